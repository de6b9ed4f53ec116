"""The worker's connection to the scheduler, as the client inside the worker sees it.

One concern: give that client the face of a channel's end (`net.channel.Channel`) over a connection that is not its
own: its messages go out between the worker's, what is meant for it is delivered to it. Made and fed by `server`;
joined with a client by `nested`. Imports only messages and `wire.runs`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastsched.wire.messages import Answer, FailedItem, Located, Message, Report, ResultItem
from fastsched.wire.runs import Entry, as_items

__all__ = ["FOR_CLIENT", "WorkerClientChannel"]

FOR_CLIENT: frozenset[type] = frozenset((Report, Located, Answer))
"""What the scheduler tells a client."""


class WorkerClientChannel:
    """One end of a channel, see `net.channel.Channel`.

    Parameters
    ----------
    forward : callable
        Takes items (see `wire.runs`), for the nest or the scheduler, after the worker's own news. Called under the
        worker's lock.

    Attributes
    ----------
    on_turn : callable
        Set by the client: told after each delivery.
    on_ends : callable
        Set by the client: told of tasks that have ended here.
    on_parted : callable
        Set by the client: told why the scheduler is gone, of which there may be another soon; gives back a number above
        all fids that it has given so far.
    flush_client : callable
        Set by the client: carries out what finalizers have left to it.
    """

    label = "scheduler"
    buffered = 0
    on_full = None
    on_drained = None

    def __init__(self, forward: Callable[[list[Entry]], None]) -> None:
        self._forward = forward
        self._open = True
        self.on_message: Callable[[Any, list[Message]], object] = _nothing
        self.on_closed: Callable[[Any, Exception | None], object] = _nothing
        self.on_turn: Callable[[], object] = _nothing
        self.on_ends: Callable[[list[ResultItem], list[FailedItem]], object] = _nothing
        self.on_parted: Callable[[str], int] = _no_fids
        self.flush_client: Callable[[], object] = _nothing

    def send(self, message: Message) -> None:
        """Send, under the worker's lock; nothing once closed."""
        if self._open:
            self._forward(as_items(message))

    def send_all(self, messages: list[Message]) -> None:
        """Send in one packet, under the worker's lock; nothing once closed."""
        if self._open:
            items: list[Entry] = []
            for message in messages:
                items += as_items(message)
            self._forward(items)

    def send_items(self, items: list[Entry]) -> None:
        """Send what has not become messages, under the worker's lock; nothing once closed."""
        if self._open:
            self._forward(items)

    def close(self, flush: bool = True) -> None:
        """Send and deliver nothing more; the worker's connection stays."""
        self._open = False

    def pause_reading(self) -> None:
        """Without effect: the worker has to read."""

    def resume_reading(self) -> None:
        """Without effect."""

    def deliver(self, messages: list[Message]) -> None:
        """Messages of the scheduler have come; called under the worker's lock."""
        if self._open:
            self.on_message(self, messages)
            self.on_turn()

    def tell_ends(self, finished: list[ResultItem], erred: list[FailedItem]) -> None:
        """Tasks of the client have ended that never left; called under the worker's lock."""
        if self._open:
            self.on_ends(finished, erred)

    def part(self, text: str) -> int:
        """The scheduler is gone, of which there may be another soon; called under the worker's lock."""
        return self.on_parted(text) if self._open else 0

    def end(self, reason: Exception | None) -> None:
        """The worker's connection has ended."""
        if self._open:
            self._open = False
            self.on_closed(self, reason)


def _nothing(*args: object) -> None:
    """Nobody listens yet."""


def _no_fids(text: str) -> int:
    """Nobody has given any yet."""
    return 0
