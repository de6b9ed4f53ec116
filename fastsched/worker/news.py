"""What a worker has to tell the scheduler, collected until somebody sends it.

One concern: turn many small pieces of news into as few `Done` messages as the limits of the wire allow. Owned by
`machine`. Imports only messages and config.
"""

from __future__ import annotations

from fastsched.config import Config
from fastsched.wire.messages import Done, ErredItem, FinishedItem, MissingItem

__all__ = ["News"]


class News:
    """The lists may be appended to by the machine; `take` empties them.

    Parameters
    ----------
    config : Config
        ``batch_items`` items at most go into one message, and inline values of a quarter of ``frame_bytes``.
    """

    __slots__ = ("_batch_bytes", "_batch_items", "_told_lent", "erred", "finished", "missing", "replicas", "returned")

    def __init__(self, config: Config) -> None:
        self.finished: list[FinishedItem] = []
        self.erred: list[ErredItem] = []
        self.returned: list[tuple[int, int]] = []
        self.missing: list[MissingItem] = []
        self.replicas: list[tuple[int, int]] = []
        self._told_lent = 0
        self._batch_items = config.batch_items
        self._batch_bytes = config.frame_bytes // 4

    def waits(self, lent: int) -> bool:
        """Whether `take` would give a message."""
        return bool(
            self.finished
            or lent != self._told_lent
            or self.erred
            or self.returned
            or self.missing
            or self.replicas
        )  # fmt: skip

    def take(self, lent: int) -> list[Done]:
        """The news as messages; nothing is left. `lent`: tasks that hold no slot, as of now."""
        if not self.waits(lent):
            return []
        self._told_lent = lent
        finished, rest = self.finished, self.erred or self.returned or self.missing or self.replicas
        if not rest and len(finished) <= self._batch_items and _inline_bytes(finished) <= self._batch_bytes:
            self.finished = []
            return [Done(tuple(finished), (), (), (), (), lent)]
        return self._take_batches(lent)

    def _take_batches(self, lent: int) -> list[Done]:
        most = self._batch_items
        done = [Done(tuple(batch), (), (), (), (), lent) for batch in self._finished_batches()]
        done += [
            Done((), tuple(self.erred[at : at + most]), (), (), (), lent) for at in range(0, len(self.erred), most)
        ]
        rest = max(len(self.returned), len(self.missing), len(self.replicas))
        for at in range(0, rest, most):
            end = at + most
            returned, missing, replicas = self.returned[at:end], self.missing[at:end], self.replicas[at:end]
            done.append(Done((), (), tuple(returned), tuple(missing), tuple(replicas), lent))
        self.finished, self.erred, self.returned, self.missing, self.replicas = [], [], [], [], []
        return done

    def _finished_batches(self) -> list[list[FinishedItem]]:
        """Cut where a batch would hold too many items, or too many bytes."""
        batches: list[list[FinishedItem]] = []
        room = items = 0
        for item in self.finished:
            nbytes = item.nbytes if item.frames is not None else 0
            if items == 0 or nbytes > room:
                batches.append([])
                room, items = self._batch_bytes, self._batch_items
            batches[-1].append(item)
            room -= nbytes
            items -= 1
        return batches


def _inline_bytes(finished: list[FinishedItem]) -> int:
    return sum([item[3] for item in finished if item[5] is not None])
