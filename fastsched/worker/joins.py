"""Orders of the scheduler for tasks that are children here: the child's run answers them.

One concern: where the nest and the rows meet. A task that was published, or that is submitted elsewhere too, may be
ordered here while a thread runs it as a child, or after that; nothing then has to run twice. The order holds no slot
(`joined`), and the value of the child is held as that of any task. Held by `machine`. May import messages, and its own
room's records.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastsched.wire.items import make
from fastsched.wire.messages import Adopt, ErredItem, ErrorItem, FinishedItem
from fastsched.worker.jobs import Child, ChildStage
from fastsched.worker.lineage import held_keys
from fastsched.worker.nest import Nest
from fastsched.worker.news import News
from fastsched.worker.rows import Rows
from fastsched.worker.store import Value

__all__ = ["Joins"]

# Plain ints: to look up a member of an enum runs Python code.
_WAITING, _READY, _RUNNING, _DONE = map(
    int, (ChildStage.WAITING, ChildStage.READY, ChildStage.RUNNING, ChildStage.DONE)
)


class Joins:
    """The orders that children answer.

    Parameters
    ----------
    rows : Rows
        Where their values are held for the scheduler.
    nest : Nest
        Where the children are.
    news : News
        Takes the outcomes.
    inline_bytes : int
        Larger values are not sent along.

    Attributes
    ----------
    joined : dict of int
        Task id -> attempt, of orders that a running child will answer: they hold no slot.
    """

    __slots__ = ("_inline_bytes", "_nest", "_news", "_rows", "joined")

    def __init__(self, rows: Rows, nest: Nest, news: News, inline_bytes: int) -> None:
        self._rows = rows
        self._nest = nest
        self._news = news
        self._inline_bytes = inline_bytes
        self.joined: dict[int, int] = {}

    def takes(self, child: Child, id: int, attempt: int) -> bool:
        """Whether a child with the key of an order is run here, or was: then nothing else has to run."""
        if child.stage == _DONE and child.started and child.value is not None:  # not as it was reported to us
            self._answer(child, child.value, [(id, attempt)], 0, held_keys(child))
            return True
        if child.stage == _RUNNING:
            self._nest.ask(child, id, attempt)
            self.joined[id] = attempt
            self._news.lent += 1
            return True
        if child.stage == _READY or child.stage == _WAITING:
            self._nest.share_keys((child.key,))  # the order runs it
        return False

    def adopted(self, message: Adopt) -> None:
        """Published children have ids: what has ended meanwhile is told under them."""
        nest = self._nest
        for child, id, attempt, error in nest.adopted(message):
            if error is not None:
                self._news.erred.append(make(ErredItem, (id, attempt, error)))
            elif child.value is not None:
                self._answer(child, child.value, [(id, attempt)], 0, held_keys(child))
        nest.settled(message)

    def finished(self, child: Child, value: Value, micros: int, pins: tuple[str, ...]) -> bool:
        """A thread has run it. True: the scheduler counts on the value, and the core has a new row."""
        asked = self._nest.finished(child, value, pins)
        if not asked:
            return False
        self._part(asked)
        self._answer(child, value, asked, micros, pins)
        return True

    def failed(self, child: Child, error: ErrorItem) -> None:
        """A thread has run it, in vain."""
        asked = self._nest.failed(child, error)
        self._part(asked)
        for id, attempt in asked:
            self._news.erred.append(make(ErredItem, (id, attempt, error)))

    def drop(self, id: int, attempt: int) -> None:
        """The scheduler does not want this attempt any more: no child needs to answer it."""
        self._nest.unask(id, attempt)
        self._part(((id, attempt),))

    def give_back(self) -> None:
        """The worker leaves: others shall run what waits for a child."""
        for id, attempt in list(self.joined.items()):
            self._nest.unask(id, attempt)
            self._part(((id, attempt),))
            self._news.returned.append((id, attempt))

    def _part(self, asked: Iterable[tuple[int, int]]) -> None:
        """These are not answered by the run of a child any more: it has ended, or nobody waits for it."""
        for id, attempt in asked:
            if self.joined.get(id) == attempt:
                del self.joined[id]
                self._news.lent -= 1

    def _answer(
        self, child: Child, value: Value, asked: Iterable[tuple[int, int]], micros: int, pins: tuple[str, ...]
    ) -> None:
        """Hold a child's value under the scheduler's ids; report it as the outcome of these attempts (0: it knows)."""
        frames = value.frames if value.nbytes <= self._inline_bytes else None
        self._nest.share_keys(pins)
        value.pins = bool(pins)
        for id, attempt in asked:
            self._rows.house(child.key, id, value)
            if attempt:
                item = make(FinishedItem, (id, attempt, value.type_name, value.nbytes, micros, frames, pins))
                self._news.finished.append(item)
