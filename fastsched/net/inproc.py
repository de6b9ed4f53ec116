"""A channel inside one process: two ends under one lock, and messages as they are, without bytes.

One concern: passing messages between a client and the scheduler that is embedded beside it. Nothing is queued and
nobody is woken: what one end sends the other has received when the call returns, in the same thread, under the lock
that both sides share; after `send_all` it has also carried out what follows. Called by embedded clusters. Imports only
the vocabulary of the wire and the pump.
"""

from __future__ import annotations

from collections.abc import Callable

from fastsched.net._pump import Pump
from fastsched.net.channel import Channel, OnClosed, OnLevel, OnMessages
from fastsched.wire.messages import Message

__all__ = ["InprocEnd", "channel_pair"]


def channel_pair(pump: Pump, label: str = "inproc") -> tuple[InprocEnd, InprocEnd]:
    """Two connected ends; set their callbacks before the first message is sent."""
    first, second = InprocEnd(pump, label), InprocEnd(pump, label)
    first.join(second)
    second.join(first)
    return first, second


def _ignore_messages(channel: Channel, messages: list[Message]) -> None:
    """Nobody has said what to do with messages."""


def _ignore_closed(channel: Channel, reason: Exception | None) -> None:
    """Nobody has asked to know of the end."""


def _ignore_turn() -> None:
    """Nobody has asked to know of turns."""


class InprocEnd:
    """One end of a `channel_pair`; see `net.channel.Channel` for what its members promise.

    `send` and `send_all` are called under the lock that both sides share.

    Attributes
    ----------
    on_turn : callable
        Called after the messages of a turn.
    """

    __slots__ = (
        "_open", "_peer", "_pump", "_reported", "label", "on_closed", "on_drained", "on_full", "on_message", "on_turn",
    )  # fmt: skip

    def __init__(self, pump: Pump, label: str) -> None:
        self.on_message: OnMessages = _ignore_messages
        self.on_closed: OnClosed = _ignore_closed
        self.on_turn: Callable[[], object] = _ignore_turn
        self.on_full: OnLevel | None = None  # never called: what was sent is already there
        self.on_drained: OnLevel | None = None
        self.label = label
        self._pump = pump
        self._peer = self
        self._open = True
        self._reported = False

    def join(self, peer: InprocEnd) -> None:
        """Say where the other end is; `channel_pair` does it once."""
        self._peer = peer

    @property
    def buffered(self) -> int:
        """Always 0: nothing waits for a socket."""
        return 0

    def send(self, message: Message) -> None:
        """See `Channel.send`: the other end has it when this returns."""
        if self._open:
            self._peer.on_message(self._peer, [message])

    def send_all(self, messages: list[Message]) -> None:
        """See `Channel.send_all`: it was all of a turn, and the other end has acted on it when this returns."""
        if self._open:
            self._peer.on_message(self._peer, messages)
            self._peer.on_turn()

    def close(self, flush: bool = True) -> None:
        """See `Channel.close`: from now on nothing is passed on, either way; both ends are told in the I/O thread."""
        if self._open:
            self.shut()
            self._peer.shut()

    def shut(self) -> None:
        """This end is closed, by whichever side."""
        self._open = False
        if not self._reported:
            self._reported = True
            self._pump.post(self.on_closed, self, None)

    def pause_reading(self) -> None:
        """Without effect: messages are handed over, not read."""

    def resume_reading(self) -> None:
        """Without effect."""
