"""Messages over a connected socket whose peer has proved who it is.

One concern: moving bytes between a non-blocking socket and the codec. Called by servers and clients, which see it as a
`net.channel.Channel`. Imports the codec, the vocabulary, config and errors.

Reading happens in the loop's thread. Sending happens in the thread that has the news: the bytes are made outside the
lock, written at once if nothing is waiting, and only what the socket does not take is left to the loop. So there are
no asyncio transports here: they can be written to by the loop's thread alone.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections import deque
from enum import IntEnum
from itertools import islice
from typing import Any, NamedTuple

from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.net.channel import OnClosed, OnLevel, OnMessages
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.messages import Message, Role

__all__ = ["Connection", "Stream"]

log = logging.getLogger(__name__)

READ_BYTES = 256 << 10  # more than a Unix socket holds at once
WRITES_PER_TURN = 16  # so that one greedy peer does not keep the others waiting
PIECES_PER_WRITE = 512  # below every system's IOV_MAX


class Connection(NamedTuple):
    """A socket after a successful handshake."""

    sock: socket.socket  # non-blocking
    role: Role  # what the peer proved to be
    rest: bytes  # what came after the handshake
    label: str  # the peer, for people


class State(IntEnum):
    """Of a stream."""

    OPEN = 0
    FLUSHING = 1  # closed by us, with bytes still to send
    CLOSED = 2


class Stream:
    """One end of a connection, see `net.channel.Channel`. Made and used in the loop's thread, except `send` and
    `close`.

    Parameters
    ----------
    connection : Connection
        From `net.listener` or `net.connect`; the stream owns its socket from now on.
    loop : asyncio.AbstractEventLoop
        The loop of the calling thread.
    config : Config
        Limits, water marks, and how long `close` may flush.
    allowed : frozenset of message types
        What this peer may send; anything else ends the connection.
    on_message, on_closed, on_full, on_drained : callable
        See `Channel`. A server that stops reading from a full peer bounds what that peer can make it hold. The other
        side must then go on reading, or both wait for each other.
    """

    def __init__(
        self,
        connection: Connection,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        allowed: frozenset[type],
        on_message: OnMessages,
        on_closed: OnClosed,
        on_full: OnLevel | None = None,
        on_drained: OnLevel | None = None,
    ) -> None:
        self.on_message = on_message
        self.on_closed = on_closed
        self.on_full = on_full
        self.on_drained = on_drained
        self.role = connection.role
        self.label = connection.label
        self._sock = connection.sock
        self._fd = connection.sock.fileno()
        self._loop = loop
        self._config = config
        self._decoder = Decoder(config, allowed)
        self._lock = threading.Lock()  # guards the five below, and writing to the socket
        self._backlog: deque[memoryview] = deque()
        self._buffered = 0
        self._full = False
        self._writer_armed = False
        self._state = State.OPEN
        self._paused = False
        self._deadline: asyncio.TimerHandle | None = None
        loop.call_soon(self._start, connection.rest)

    def __repr__(self) -> str:
        return f"<Stream to {self.label}, {self._state.name.lower()}, {self._buffered} bytes unsent>"

    @property
    def buffered(self) -> int:
        """Unsent bytes."""
        return self._buffered

    # -- sending: any thread
    # ---------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Send a message; see `Channel.send`.

        Raises
        ------
        SerializationError
            The message holds something that is no plain data, or is over a limit of the wire; nothing was sent.
        """
        pieces = encode(message, self._config)
        with self._lock:
            if self._state is not State.OPEN:
                return
            if self._backlog:
                rest = pieces
            else:
                try:
                    rest = _write(self._sock, pieces)
                except OSError as error:
                    self._soon(self._finish, error)
                    return
            if rest:
                self._keep(rest)

    def _keep(self, pieces: list[Any]) -> None:
        """Under the lock: leave these to the loop."""
        for piece in pieces:
            view = memoryview(piece)
            self._backlog.append(view)
            self._buffered += view.nbytes
        if not self._writer_armed:
            self._writer_armed = True
            self._soon(self._arm_writer)
        if self._buffered > self._config.high_water_bytes and not self._full:
            self._full = True
            self._soon(self._tell_full)

    def close(self, flush: bool = True) -> None:
        """End the connection; see `Channel.close`. Flushing ends after `Config.close_seconds` at the latest."""
        with self._lock:
            if self._state is not State.OPEN:
                if flush or self._state is State.CLOSED:
                    return
            elif flush and self._backlog:
                self._state = State.FLUSHING
                self._soon(self._limit_flush)
                return
            self._state = State.FLUSHING  # nothing is sent from here on; `_finish` closes
            self._soon(self._finish, None)

    def _soon(self, function: Any, *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop was closed: nobody is left to tell
            return

    # -- sending: the loop's thread
    # ----------------------------------------------------------------------------------------

    def _arm_writer(self) -> None:
        if self._state is not State.CLOSED:
            self._loop.add_writer(self._fd, self._on_writable)

    def _on_writable(self) -> None:
        """Send what waits, as far as the socket takes it."""
        failure: OSError | None = None
        with self._lock:
            if self._state is State.CLOSED:
                return
            try:
                self._send_backlog()
            except OSError as error:
                failure = error
            if not self._backlog:
                self._loop.remove_writer(self._fd)
                self._writer_armed = False
            drained = self._full and self._buffered <= self._config.low_water_bytes
            if drained:
                self._full = False
            flushed = self._state is State.FLUSHING and not self._backlog
        if drained and self.on_drained is not None:
            self._loop.call_soon(self.on_drained, self)
        if failure is not None or flushed:
            self._finish(failure)

    def _send_backlog(self) -> None:
        backlog = self._backlog
        for _ in range(WRITES_PER_TURN):
            pieces = list(islice(backlog, PIECES_PER_WRITE))
            if not pieces:
                return
            try:
                sent = self._sock.sendmsg(pieces)
            except (BlockingIOError, InterruptedError):
                return
            self._buffered -= sent
            while sent:
                size = backlog[0].nbytes
                if sent < size:
                    backlog[0] = backlog[0][sent:]
                    break
                backlog.popleft()
                sent -= size

    def _tell_full(self) -> None:
        if self.on_full is not None and self._state is State.OPEN:
            self.on_full(self)

    def _limit_flush(self) -> None:
        """We are closing: take nothing more from the peer, and do not wait for ever until it takes what is left."""
        if self._state is State.FLUSHING:
            self._loop.remove_reader(self._fd)
            self._deadline = self._loop.call_later(self._config.close_seconds, self._finish, None)

    # -- receiving: the loop's thread
    # --------------------------------------------------------------------------------------

    def _start(self, rest: bytes) -> None:
        if self._state is State.OPEN:
            if rest:
                self._take(rest)
            if self._state is State.OPEN and not self._paused:
                self._loop.add_reader(self._fd, self._on_readable)

    def pause_reading(self) -> None:
        """See `Channel.pause_reading`."""
        if not self._paused:
            self._paused = True
            if self._state is State.OPEN:
                self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """See `Channel.resume_reading`."""
        if self._paused:
            self._paused = False
            if self._state is State.OPEN:
                self._loop.add_reader(self._fd, self._on_readable)

    def _on_readable(self) -> None:
        if self._state is not State.OPEN:
            return
        scratch = _scratch.view
        try:
            size = self._sock.recv_into(scratch)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._finish(error)
            return
        if size:
            self._take(scratch[:size])
        else:
            self._ended()

    def _take(self, data: bytes | memoryview) -> None:
        try:
            messages = self._decoder.feed(data)  # copies what it keeps
        except ProtocolError as error:
            log.warning("%s broke the rules of the wire and is put out: %s", self.label, error)
            self._finish(error)
            return
        if messages:
            self.on_message(self, messages)

    def _ended(self) -> None:
        """The peer has sent its last byte."""
        midway = self._decoder.midway
        self._finish(ConnectionResetError("the connection ended in the middle of a message") if midway else None)

    def _finish(self, reason: Exception | None) -> None:
        """Close the socket and report the end, once."""
        with self._lock:
            if self._state is State.CLOSED:
                return
            self._state = State.CLOSED
            self._backlog.clear()
            self._buffered = 0
        if self._deadline is not None:
            self._deadline.cancel()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._sock.close()
        self.on_closed(self, reason)


class _Scratch(threading.local):
    """One thread's reading buffer: fresh memory for each read costs more, in page faults, than the read itself."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))


_scratch = _Scratch()


def _write(sock: socket.socket, pieces: list[Any]) -> list[Any]:
    """Write what the socket takes; gives back the rest, [] if that is nothing."""
    try:
        if len(pieces) == 1:
            sent = sock.send(pieces[0])
        else:
            sent = sock.sendmsg(pieces[:PIECES_PER_WRITE])
    except (BlockingIOError, InterruptedError):
        return pieces
    for index, piece in enumerate(pieces):
        size = len(piece)
        if sent < size:
            return [memoryview(piece)[sent:], *pieces[index + 1 :]]
        sent -= size
    return []
