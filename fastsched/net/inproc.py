"""A channel inside one process: two ends with the face of a stream, and messages as they are, without bytes.

One concern: passing messages between two users of one loop, as a connection would: later, in order, in one batch per
turn. Called by embedded clusters. Imports only the vocabulary of the wire.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from fastsched.net.channel import Channel, OnClosed, OnLevel, OnMessages
from fastsched.wire.messages import Message

__all__ = ["InprocEnd", "channel_pair"]


def channel_pair(loop: asyncio.AbstractEventLoop, label: str = "inproc") -> tuple[InprocEnd, InprocEnd]:
    """Two connected ends; set their callbacks before the first message arrives, that is before the loop runs again."""
    first, second = InprocEnd(loop, label), InprocEnd(loop, label)
    first.join(second)
    second.join(first)
    return first, second


def _ignore_messages(channel: Channel, messages: list[Message]) -> None:
    """Nobody has said what to do with messages."""


def _ignore_closed(channel: Channel, reason: Exception | None) -> None:
    """Nobody has asked to know of the end."""


class InprocEnd:
    """One end of a `channel_pair`; see `net.channel.Channel` for what its members promise."""

    def __init__(self, loop: asyncio.AbstractEventLoop, label: str) -> None:
        self.on_message: OnMessages = _ignore_messages
        self.on_closed: OnClosed = _ignore_closed
        self.on_full: OnLevel | None = None  # never called: what was sent is already there
        self.on_drained: OnLevel | None = None
        self.label = label
        self._loop = loop
        self._loop_thread = 0  # known from the first delivery on
        self._peer = self
        self._inbox: deque[Message] = deque()
        self._paused = False
        self._open = True  # what is sent may still arrive here
        self._reported = False

    def join(self, peer: InprocEnd) -> None:
        """Say where the other end is; `channel_pair` does it once."""
        self._peer = peer

    @property
    def buffered(self) -> int:
        """Always 0: nothing waits for a socket."""
        return 0

    def send(self, message: Message) -> None:
        """See `Channel.send`."""
        if self._open:
            self._peer.put(message)

    def put(self, message: Message) -> None:
        """Take a message from the other end, to deliver it in a turn of its own."""
        self._inbox.append(message)
        self._soon(self._deliver)

    def close(self, flush: bool = True) -> None:
        """See `Channel.close`."""
        if self._open:
            self._open = False
            self._soon(self._end, flush)

    def pause_reading(self) -> None:
        """See `Channel.pause_reading`."""
        self._paused = True

    def resume_reading(self) -> None:
        """See `Channel.resume_reading`."""
        self._paused = False
        self._soon(self._deliver)

    def _soon(self, function: Callable[..., object], *args: Any) -> None:
        """In the loop's thread this is a mere append; elsewhere it also wakes the loop."""
        try:
            if self._loop_thread == threading.get_ident():
                self._loop.call_soon(function, *args)
            else:
                self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:  # the loop was closed: nobody is left to tell
            return

    def _deliver(self) -> None:
        self._loop_thread = threading.get_ident()
        if self._inbox and self._open and not self._paused:
            take = self._inbox.popleft
            self.on_message(self, [take() for _ in range(len(self._inbox))])  # other threads may append meanwhile

    def _end(self, flush: bool) -> None:
        """In the loop's thread: both ends learn of it, the other one after what was sent to it."""
        if not flush:
            self._peer.discard()
        self._report()
        self._peer.hang_up()

    def discard(self) -> None:
        """Forget what was not delivered yet."""
        self._inbox.clear()

    def hang_up(self) -> None:
        """The other end was closed: deliver what is left, paused or not, and report the end."""
        self._paused = False
        self._deliver()
        self._open = False
        self._report()

    def _report(self) -> None:
        if not self._reported:
            self._reported = True
            self.on_closed(self, None)
