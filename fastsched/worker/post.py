"""What leaves a worker's nest for the scheduler, in order, until somebody sends it.

One concern: send each function ahead of the first task that needs it. Filled by `nest` and `children`. Imports only
messages, `wire.runs`, and the records of jobs.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from fastsched.wire.items import make
from fastsched.wire.messages import Cancel, FunctionItem, Keep, Message, Release
from fastsched.wire.runs import Entry, as_messages
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

    __slots__ = ("_batch_items", "_mark", "_most_functions", "_queue", "_sent")

    def __init__(self, most_functions: int, batch_items: int) -> None:
        self._most_functions = most_functions
        self._batch_items = batch_items
        self._mark = 0
        self._queue: list[Entry] = []
        self._sent: OrderedDict[bytes, None] = OrderedDict()  # what the scheduler has, as it knows itself

    def add(self, kind: type, item: Any) -> None:
        """A message, or an item of one: a fid, where these are the items."""
        if self._mark:
            if kind is Release and item < self._mark:
                return
            if kind is Cancel or kind is Keep:
                item = item._replace(fids=tuple([fid for fid in item.fids if fid >= self._mark]))
        self._queue.append((kind, item))

    def any_strays(self, fids: tuple[int, ...]) -> bool:
        """Whether one of these is a future of the client that only an earlier scheduler has known."""
        return bool(self._mark and fids) and min(fids) < self._mark

    def need(self, function: Function) -> None:
        """The scheduler must have this function when it reads what follows."""
        fn, sent = function.fn, self._sent
        if fn not in sent:
            sent[fn] = None
            if len(sent) > self._most_functions:
                sent.popitem(last=False)
            self._queue.append((FunctionItem, make(FunctionItem, (fn, function.frames))))

    def forget(self, mark: int) -> None:
        """The scheduler is gone. Another one knows no function, and none of the client's futures below `mark`."""
        self._mark = mark
        self._queue.clear()
        self._sent.clear()

    def waits(self) -> bool:
        """Whether `take` would give a message."""
        return bool(self._queue)

    def take(self) -> list[Message]:
        """All of it; nothing is left."""
        queue, self._queue = self._queue, []
        return as_messages(queue, self._batch_items) if queue else []
