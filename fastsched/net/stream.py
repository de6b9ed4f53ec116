"""Messages over a connected socket whose peer has proved who it is.

One concern: moving bytes between a non-blocking socket and the codec. Called by servers and clients, which see it as a
`net.channel.Channel`. Imports the codec, the vocabulary, config and errors.

Sending happens in the thread that has the news: the bytes are made outside the lock, written at once if nothing is
waiting, and only what the socket does not take is left to the loop. Reading happens in the loop's thread or, with a
pump, in the thread that waits for the news. So there are no asyncio transports here: they can be used by the loop's
thread alone. Compiled, and without a Python frame between the first byte that is taken from the socket and the last
message that is handed on: a signal handler that raises loses none.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections import deque
from enum import IntEnum
from itertools import islice
from typing import Any, NamedTuple

from fastsched._wait import TurnLock, monotonic
from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.net._pump import READ_BYTES, Pump
from fastsched.net._socket import Seam, receive_some, send_some
from fastsched.net.channel import OnClosed, OnLevel, OnMessages
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.messages import Message, Role

__all__ = ["Connection", "Stream"]

log = logging.getLogger(__name__)

WRITES_PER_TURN = 16  # so that one greedy peer does not keep the others waiting
JOIN_BYTES = 16 << 10  # several messages up to here are copied together
PIECES_PER_WRITE = 64  # more is not sent at once
LEAST_BYTES = 16 << 10  # read at once, however long it takes to take them in
LONG_SECONDS = 0.0005  # for what one read brought: next time less is read, so that other peers have their turns
SHORT_SECONDS = 0.000125
DRAIN_BYTES = 16 << 10
DRAINS = 64  # a peer that sends faster than this has to live with the error


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


# Plain ints: to look up a member of an enum runs Python code.
_OPEN, _FLUSHING, _CLOSED = int(State.OPEN), int(State.FLUSHING), int(State.CLOSED)


class Stream:
    """One end of a connection, see `net.channel.Channel`. Made and used in the loop's thread, except `send` and
    `close`, and with a pump also the reading.

    Parameters
    ----------
    connection : Connection
        From `net.listener` or `net.connect`; the stream owns its socket from now on.
    reader : asyncio.AbstractEventLoop or Pump
        Who reads it: the loop of the calling thread, or a pump of that loop; `on_message` is called in whatever thread
        the pump reads.
    config : Config
        Limits, water marks, and how long `close` may flush.
    allowed : frozenset of message types
        What this peer may send; anything else ends the connection.
    on_message, on_closed, on_full, on_drained : callable
        See `Channel`. A server that stops reading from a full peer bounds what that peer can make it hold. The other
        side must then go on reading, or both wait for each other.

    Attributes
    ----------
    role, label
        Of the connection.
    paused : bool
        Between `pause_reading` and `resume_reading`.
    broken : bool
        Something could not be sent: the connection has ended, or our end of it was closed behind our back.
    reads : int
        How often bytes have come: a peer in the midst of a long message lives, too.
    """

    def __init__(
        self,
        connection: Connection,
        reader: asyncio.AbstractEventLoop | Pump,
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
        pump = reader if isinstance(reader, Pump) else None
        self._loop: asyncio.AbstractEventLoop = pump.loop if pump is not None else reader  # type: ignore[assignment]
        self._pump = pump
        self._scratch = self._room = _scratch.view if pump is None else pump.scratch
        self._config = config
        self._decoder = Decoder(config, allowed)
        self._lock = TurnLock()  # guards the five below, and writing to the socket
        self._backlog: deque[memoryview] = deque()
        self._buffered = 0
        self._full = False
        self._writer_armed = False
        self._state = _OPEN
        self.paused = False
        self.broken = False
        self.reads = 0
        self._seam: Seam | None = None
        self._given_up = False
        self._deadline: asyncio.TimerHandle | None = None
        self._loop.call_soon(self._start, connection.rest)

    def __repr__(self) -> str:
        return f"<Stream to {self.label}, {State(self._state).name.lower()}, {self._buffered} bytes unsent>"

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
        self._send(encode(message, self._config))

    def send_all(self, messages: list[Message]) -> None:
        """Send several messages by one write; see `Channel.send_all`. Raises as `send`, and sends none of them then."""
        pieces: list[Any] = []
        for message in messages:
            pieces += encode(message, self._config)
        self._send(pieces)

    def seam(self, beat: Message) -> Seam:
        """From now on a thread without the interpreter lock may put this message in between others."""
        with self._lock:
            seam = self._seam = Seam(self._fd, b"".join(encode(beat, self._config)), bool(self._backlog))
            if self._state == _CLOSED:
                seam.close()
        return seam

    def _send(self, pieces: list[Any]) -> None:
        with self._lock:
            if self._state != _OPEN:
                return
            if self._backlog:
                rest = pieces
            else:
                try:
                    rest = _write(self._fd, _joined(pieces), self._seam)
                except OSError as error:
                    self.broken = True
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
            self._soon(self._tell_level, True)

    def close(self, flush: bool = True) -> None:
        """End the connection; see `Channel.close`. Flushing ends after `Config.close_seconds` at the latest."""
        with self._lock:
            if self._state != _OPEN:
                if flush or self._state == _CLOSED:
                    return
            elif flush and self._backlog:
                self._state = _FLUSHING
                self._soon(self._limit_flush)
                return
            self._state = _FLUSHING  # nothing is sent from here on; `_finish` closes
            self._soon(self._finish, None)

    def _soon(self, function: Any, *args: Any) -> None:
        try:
            if self._pump is None:
                self._loop.call_soon_threadsafe(function, *args)
            else:
                self._pump.post(function, *args)
        except RuntimeError:  # the loop was closed: nobody is left to tell
            return

    # -- sending: the loop's thread
    # ----------------------------------------------------------------------------------------

    def _arm_writer(self) -> None:
        if self._state != _CLOSED:
            self._loop.add_writer(self._fd, self._on_writable)

    def _on_writable(self) -> None:
        """Send what waits, as far as the socket takes it."""
        failure: OSError | None = None
        with self._lock:
            if self._state == _CLOSED:
                return
            try:
                self._send_backlog()
            except OSError as error:
                failure = error
            if not self._backlog:
                self._loop.remove_writer(self._fd)
                self._writer_armed = False
            if self._full and self._buffered <= self._config.low_water_bytes:
                self._full = False
                self._soon(self._tell_level, False)  # under the lock: in the order in which the levels were reached
            flushed = self._state == _FLUSHING and not self._backlog
        if failure is not None or flushed:
            self._finish(failure)

    def _send_backlog(self) -> None:
        backlog = self._backlog
        for _ in range(WRITES_PER_TURN):
            pieces = list(islice(backlog, PIECES_PER_WRITE))
            if not pieces:
                return
            sent = send_some(self._fd, pieces, self._seam, len(pieces) == len(backlog))
            if sent < 0:
                return
            self._buffered -= sent
            while sent:
                size = backlog[0].nbytes
                if sent < size:
                    backlog[0] = backlog[0][sent:]
                    break
                backlog.popleft()
                sent -= size

    def _tell_level(self, full: bool) -> None:
        """What is told last is how it is: a full stream that has drained meanwhile is not called full any more."""
        tell = self.on_full if full else self.on_drained
        if tell is not None and self._state == _OPEN and (self._full or not full):
            tell(self)

    def _limit_flush(self) -> None:
        """We are closing: take nothing more from the peer, and do not wait for ever until it takes what is left."""
        if self._state == _FLUSHING:
            self._stop_reading()
            self._deadline = self._loop.call_later(self._config.close_seconds, self._finish, None)

    # -- receiving: the loop's thread, or that of the pump
    # -----------------------------------------------------------------

    def _start(self, rest: bytes) -> None:
        if self._state == _OPEN:
            if rest:
                self._take(rest)
                if self._pump is not None:
                    self._pump.end_round()
            if self._state == _OPEN and not self.paused:
                self._read_on()

    def _read_on(self) -> None:
        if self._given_up:
            return
        if self._pump is None:
            self._loop.add_reader(self._fd, self.on_readable)
        else:
            self._pump.add(self._fd, self)

    def _stop_reading(self) -> None:
        if self._pump is None:
            self._loop.remove_reader(self._fd)
        else:
            self._pump.remove(self._fd)

    def pause_reading(self) -> None:
        """See `Channel.pause_reading`."""
        if not self.paused:
            self.paused = True
            if self._state == _OPEN:
                self._stop_reading()

    def resume_reading(self) -> None:
        """See `Channel.resume_reading`."""
        if self.paused:
            self.paused = False
            if self._state == _OPEN:
                self._read_on()

    def on_readable(self) -> None:
        """There is something to be read: what it is goes to `on_message`. Called by the loop or by the pump."""
        if self._state != _OPEN or self.paused or self._given_up:
            return
        try:
            size = receive_some(self._fd, self._room)
        except OSError as error:
            self._give_up(self._finish, error)
            return
        if size > 0:
            self.reads += 1
            start = monotonic()
            self._take(self._scratch[:size])
            self._learn(size, monotonic() - start)
        elif size == 0:
            self._give_up(self._ended)

    def _learn(self, size: int, seconds: float) -> None:
        """How much to read at once, by what it took: a peer that sends a million tasks must not have the turns alone.

        What takes long is the number of messages and items in it; the bytes of large values are soon copied.
        """
        room = len(self._room)
        if seconds > LONG_SECONDS and room > LEAST_BYTES:
            self._room = self._scratch[: room // 2]
        elif size == room and seconds < SHORT_SECONDS and room < len(self._scratch):
            self._room = self._scratch[: 2 * room]

    def _take(self, data: bytes | memoryview) -> None:
        try:
            messages = self._decoder.feed(data)  # copies what it keeps
        except ProtocolError as error:
            self._give_up(self._put_out, error)
            return
        if messages:
            try:
                self.on_message(self, messages)
            except Exception as error:  # noqa: BLE001  a bug of ours; the peer must not go on as if it had been done
                self._give_up(self._fail, error)

    def _give_up(self, function: Any, *args: Any) -> None:
        """Nothing more is read; the loop's thread does the rest."""
        self._given_up = True  # else `_start` and `resume_reading` would read on before that thread comes to it
        self._stop_reading()
        if self._pump is None:
            function(*args)
        else:
            self._pump.post(function, *args)

    def _put_out(self, error: ProtocolError) -> None:
        log.warning("%s broke the rules of the wire and is put out: %s", self.label, error)
        self._finish(error)

    def _fail(self, error: Exception) -> None:
        log.error("what %s sent could not be taken in; its connection ends", self.label, exc_info=error)
        self._finish(error)

    def _ended(self) -> None:
        """The peer has sent its last byte."""
        midway = self._decoder.midway
        self._finish(ConnectionResetError("the connection ended in the middle of a message") if midway else None)

    def _finish(self, reason: Exception | None) -> None:
        """Close the socket and report the end, once."""
        with self._lock:
            if self._state == _CLOSED:
                return
            self._state = _CLOSED
            self._backlog.clear()
            self._buffered = 0
            if self._seam is not None:
                self._seam.close()
        if reason is None:
            _drain(self._fd)
        if self._deadline is not None:
            self._deadline.cancel()
        self._stop_reading()
        self._loop.remove_writer(self._fd)
        self._sock.close()
        self.on_closed(self, reason)


class _Scratch(threading.local):
    """One thread's reading buffer: fresh memory for each read costs more, in page faults, than the read itself."""

    def __init__(self) -> None:
        self.view = memoryview(bytearray(READ_BYTES))


_scratch = _Scratch()


def _drain(fd: int) -> None:
    """Take what lies there unread. Else the system tells the peer of an error, and it may not see our last words."""
    scratch = bytearray(DRAIN_BYTES)
    with contextlib.suppress(OSError):
        for _ in range(DRAINS):
            if receive_some(fd, scratch) <= 0:
                return


def _joined(pieces: list[Any]) -> list[Any]:
    """One piece, if they are short: the system takes it more quickly than several."""
    if len(pieces) == 1:
        return pieces
    size = 0
    for piece in pieces:
        size += len(piece)
    return [b"".join(pieces)] if size <= JOIN_BYTES else pieces


def _write(fd: int, pieces: list[Any], seam: Seam | None) -> list[Any]:
    """Write what the socket takes; gives back the rest, [] if that is nothing."""
    sent = send_some(fd, pieces, seam, len(pieces) <= PIECES_PER_WRITE)
    if sent < 0:
        return pieces
    for index, piece in enumerate(pieces):
        size = len(piece)
        if sent < size:
            return [memoryview(piece)[sent:], *pieces[index + 1 :]]
        sent -= size
    return []
