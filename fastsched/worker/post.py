"""What leaves a worker's nest for the scheduler, in order, until somebody sends it.

One concern: turn runs of items into messages, and send each function ahead of the first task that needs it. Filled by
`nest` and `children`. Imports only messages and the records of jobs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from fastsched.wire.items import make
from fastsched.wire.messages import (
    FunctionItem,
    LocalItem,
    Locate,
    Message,
    Publish,
    Release,
    Submit,
    TaskItem,
    Want,
    WantItem,
)
from fastsched.worker.jobs import Function

__all__ = ["Post"]


class Post:
    """A queue of items and messages.

    Parameters
    ----------
    most_functions : int
        So many functions the scheduler knows of one connection; then it forgets the oldest.
    batch_items : int
        Items of one kind in one message at the most.
    """

    __slots__ = ("_batch_items", "_most_functions", "_queue", "_sent")

    def __init__(self, most_functions: int, batch_items: int) -> None:
        self._most_functions = most_functions
        self._batch_items = batch_items
        self._queue: list[tuple[type, Any]] = []
        self._sent: OrderedDict[bytes, None] = OrderedDict()  # what the scheduler has, as it knows itself

    def add(self, kind: type, item: Any) -> None:
        """A message, or an item of one: a fid, where these are the items."""
        self._queue.append((kind, item))

    def need(self, function: Function) -> None:
        """The scheduler must have this function when it reads what follows."""
        fn, sent = function.fn, self._sent
        if fn not in sent:
            sent[fn] = None
            if len(sent) > self._most_functions:
                sent.popitem(last=False)
            self._queue.append((FunctionItem, make(FunctionItem, (fn, function.frames))))

    def waits(self) -> bool:
        """Whether `take` would give a message."""
        return bool(self._queue)

    def take(self) -> list[Message]:
        """All of it; nothing is left. Runs of items of one kind are one message."""
        queue, self._queue = self._queue, []
        messages: list[Message] = []
        start, total = 0, len(queue)
        while start < total:
            kind, item = queue[start]
            group = _GROUPS.get(kind)
            stop = start + 1
            if group is None:
                messages.append(item)
            else:
                if group is _EITHER:
                    group = _kind_of_run(queue, start)
                most = total if group is Publish else min(start + self._batch_items, total)
                while stop < most and _joins(queue[stop][0], group):
                    stop += 1
                messages.append(_message(group, queue, start, stop))
            start = stop
        return messages


_EITHER = object()  # a function, before tasks or before published ones
_GROUPS: dict[type, Any] = {
    FunctionItem: _EITHER,
    TaskItem: Submit,
    LocalItem: Publish,
    WantItem: Want,
    Release: Release,
    Locate: Locate,
}


def _kind_of_run(queue: list[tuple[type, Any]], start: int) -> type:
    """What a function stands in front of."""
    while queue[start][0] is FunctionItem:
        start += 1
    return Publish if queue[start][0] is LocalItem else Submit


def _joins(kind: type, group: type) -> bool:
    """A function ends a run: it may push another one out of the scheduler's table."""
    return kind is not FunctionItem and _GROUPS.get(kind) is group


def _message(group: type, queue: list[tuple[type, Any]], start: int, stop: int) -> Message:
    functions: list[FunctionItem] = []
    items: list[Any] = []
    for at in range(start, stop):
        kind, item = queue[at]
        if kind is FunctionItem:
            functions.append(item)
        else:
            items.append(item)
    fields = (tuple(functions), tuple(items)) if group is Submit or group is Publish else (tuple(items),)
    message: Message = make(group, fields)
    return message
