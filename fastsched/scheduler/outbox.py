"""What one peer is to be told at the end of this turn: items of one kind in a row become one message.

One concern: batches that keep their order. A worker must hear ``Run, Drop, Run`` in that order and a client must not
hear "finished" before "lost" if that is not how it was, so an item joins the last batch only if it is of the same kind.
Called by every concern of the scheduler's machine; knows messages and nothing else.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from fastsched.wire.items import make
from fastsched.wire.messages import (
    Adopt,
    Drop,
    Free,
    FunctionItem,
    Located,
    Message,
    Put,
    Report,
    Retract,
    Run,
    Seek,
)

__all__ = ["Batch", "Outbox"]

# Bytes of values and arguments after which a batch is closed: far below Config.frame_bytes, far above what matters for
# speed.
HEAVY = 8 << 20


class Batch(IntEnum):
    """The kinds of batches."""

    RUN = 0
    FREE = 1
    DROP = 2
    RETRACT = 3
    PUT = 4
    FINISHED = 5
    ERRED = 6
    LOST = 7
    LOCATED = 8
    ADOPT = 9
    SEEK = 10


# A member of an enum costs several times as much to look up, and runs bytecode.
_RUN, _FREE, _DROP, _RETRACT, _PUT = map(int, (Batch.RUN, Batch.FREE, Batch.DROP, Batch.RETRACT, Batch.PUT))
_FINISHED, _ERRED, _LOST, _LOCATED = map(int, (Batch.FINISHED, Batch.ERRED, Batch.LOST, Batch.LOCATED))
_ADOPT, _SEEK = int(Batch.ADOPT), int(Batch.SEEK)
_NONE = -1


class Outbox:
    """The unsent messages of one peer.

    Parameters
    ----------
    peer : int
        Whose.
    most : int
        Items in one message; longer batches are split.
    dirty : list of Outbox
        Where this outbox enters itself when it gets its first item of a turn.
    """

    __slots__ = ("_batch", "_dirty", "_functions", "_kind", "_messages", "_most", "_weight", "closed", "peer")

    def __init__(self, peer: int, most: int, dirty: list[Outbox]) -> None:
        self.peer = peer
        self.closed = False  # the peer is gone: what is still said to it is thrown away
        self._most = most
        self._dirty = dirty
        self._kind = _NONE
        self._batch: list[Any] = []
        self._weight = 0  # bytes in the open batch
        self._functions: list[FunctionItem] = []  # of the open RUN batch
        self._messages: list[Message] = []

    def add(self, kind: int, item: Any, weight: int = 0) -> None:
        """Tell the peer `item`, which bears `weight` bytes, in a batch of this kind (a `Batch`)."""
        if self._kind != kind or self._weight > HEAVY:
            self._open(kind)
        self._batch.append(item)
        self._weight += weight

    def add_function(self, item: FunctionItem, weight: int, evicts: bool) -> None:
        """Tell the peer a function, before the tasks that are added from now on.

        `evicts`: it makes the peer forget another one, which tasks in the same message might name; so it opens a new
        message.
        """
        if self._kind != _RUN or self._weight > HEAVY or evicts:
            self._open(_RUN)
        self._functions.append(item)
        self._weight += weight

    def send(self, message: Message) -> None:
        """Tell the peer a message that is no batch."""
        self._open(_NONE)
        self._messages.append(message)

    def take(self) -> list[Message]:
        """All messages of this turn, in order; the outbox is empty afterwards."""
        if self._kind != _NONE:
            self._seal()
        messages, self._messages = self._messages, []
        return [] if self.closed else messages

    def only_brings(self) -> int:
        """How many tasks this would bring to a worker, if it brings nothing else but what may be freed; else -1."""
        if self._messages or self._kind not in (_RUN, _FREE):
            return -1
        return len(self._batch) if self._kind == _RUN else 0

    def _open(self, kind: int) -> None:
        if self._kind != _NONE:
            self._seal()
        elif not self._messages:
            self._dirty.append(self)
        self._kind = kind

    def _seal(self) -> None:
        """Close the open batch."""
        kind, items, most = self._kind, tuple(self._batch), self._most
        self._kind, self._weight = _NONE, 0
        self._batch.clear()
        functions: tuple[FunctionItem, ...] = ()
        if self._functions:  # they go in front, with the first message
            functions = tuple(self._functions)
            self._functions.clear()
        first = 0
        while len(items) - first > most:
            self._messages.append(_message(kind, functions, items[first : first + most]))
            functions = ()
            first += most
        self._messages.append(_message(kind, functions, items[first:] if first else items))


def _message(kind: int, functions: tuple[FunctionItem, ...], items: tuple[Any, ...]) -> Message:
    """How a batch becomes a message."""
    if kind == _RUN:
        return make(Run, (functions, items))
    if kind == _FINISHED:
        return make(Report, (items, (), ()))
    if kind == _ERRED:
        return make(Report, ((), items, ()))
    if kind == _LOST:
        return make(Report, ((), (), items))
    return make(_OTHERS[kind], (items,))


_OTHERS: dict[int, type[Free | Drop | Retract | Put | Located | Adopt | Seek]] = {
    _FREE: Free,
    _DROP: Drop,
    _RETRACT: Retract,
    _PUT: Put,
    _LOCATED: Located,
    _ADOPT: Adopt,
    _SEEK: Seek,
}
