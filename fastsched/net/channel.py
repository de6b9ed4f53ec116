"""The face that every way of passing messages has: a socket to another process, or a queue inside this one.

One concern: this interface. `net.stream.Stream` and `net.inproc.InprocEnd` have it; servers and clients see nothing
else. Imports only the vocabulary of the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from fastsched.wire.messages import Message

__all__ = ["Channel", "OnClosed", "OnLevel", "OnMessages"]

OnMessages: TypeAlias = "Callable[[Channel, list[Message]], object]"
OnClosed: TypeAlias = "Callable[[Channel, Exception | None], object]"
OnLevel: TypeAlias = "Callable[[Channel], object]"


class Channel(Protocol):
    """One end of a connection. All callbacks run in the loop's thread; they may be set anew at any time there.

    Attributes
    ----------
    on_message : callable
        ``(channel, messages)``: all messages that one wake-up brought, in order.
    on_closed : callable
        ``(channel, reason)``, exactly once and last; `reason` is None after `close` or a peer's orderly end.
    on_full, on_drained : callable or None
        ``(channel,)``: the unsent bytes have risen above the high-water mark, have fallen to the low one.
    label : str
        The other end, for people.
    """

    on_message: OnMessages
    on_closed: OnClosed
    on_full: OnLevel | None
    on_drained: OnLevel | None
    label: str

    @property
    def buffered(self) -> int:
        """Unsent bytes."""

    def send(self, message: Message) -> None:
        """Send from any thread; never blocks; whole, in order per thread, nothing once closed."""

    def send_all(self, messages: list[Message]) -> None:
        """Send them in one packet; as `send`."""

    def close(self, flush: bool = True) -> None:
        """End the connection from any thread; with `flush` after what was sent before has left."""

    def pause_reading(self) -> None:
        """Deliver no messages until `resume_reading`; in the loop's thread."""

    def resume_reading(self) -> None:
        """Deliver messages again; in the loop's thread."""
