"""What a worker has to tell the scheduler, collected until somebody sends it.

One concern: turn many small pieces of news into few `Done` messages. Owned by `machine`; it and `joins`
append to the lists.
Imports only messages.
"""

from __future__ import annotations

from fastsched.wire.items import make
from fastsched.wire.messages import Done, ErredItem, FinishedItem, Message, MissingItem

__all__ = ["News"]


class News:
    """The attributes have the names and the items of the fields of `Done`.

    Parameters
    ----------
    batch_items : int
        Items of one kind in one message at the most.
    slots : int
        The worker's. More than these cannot be taken, as far as the scheduler is concerned: a task that was claimed
        beside a full slot, and is wanted no more, takes none of its own.

    Attributes
    ----------
    lent : int
        Wanted tasks that hold no slot at the moment, less the slots of running ones that nobody wants.
    """

    __slots__ = ("_batch_items", "_slots", "_told_lent", "erred", "finished", "lent", "missing", "replicas", "returned")

    def __init__(self, batch_items: int, slots: int) -> None:
        self.finished: list[FinishedItem] = []
        self.erred: list[ErredItem] = []
        self.returned: list[tuple[int, int]] = []
        self.missing: list[MissingItem] = []
        self.replicas: list[tuple[int, int]] = []
        self.lent = 0
        self._told_lent = 0
        self._batch_items = batch_items
        self._slots = slots

    def waits(self) -> bool:
        """Whether `take` would give a message."""
        if self.finished or max(self.lent, -self._slots) != self._told_lent:
            return True
        return bool(self.erred or self.returned or self.missing or self.replicas)

    def forget(self) -> None:
        """Who was to hear all this is gone, and whoever comes knows of no slot that is lent."""
        for items in (self.finished, self.erred, self.returned, self.missing, self.replicas):
            items.clear()
        self._told_lent = 0

    def take(self) -> list[Message]:
        """The news as messages; nothing is left."""
        if not self.waits():
            return []
        self._told_lent = lent = max(self.lent, -self._slots)
        finished, erred, returned = self.finished, self.erred, self.returned
        missing, replicas = self.missing, self.replicas
        most = self._batch_items
        if not (erred or returned or missing or replicas) and len(finished) <= most:  # nearly always
            done = make(Done, (tuple(finished), (), (), (), (), lent))
            finished.clear()
            return [done]
        self.finished, self.erred, self.returned, self.missing, self.replicas = [], [], [], [], []
        longest = max(len(finished), len(erred), len(returned), len(missing), len(replicas))
        return [
            make(
                Done,
                (
                    tuple(finished[at : at + most]),
                    tuple(erred[at : at + most]),
                    tuple(returned[at : at + most]),
                    tuple(missing[at : at + most]),
                    tuple(replicas[at : at + most]),
                    lent,
                ),
            )
            for at in range(0, longest or 1, most)
        ]
