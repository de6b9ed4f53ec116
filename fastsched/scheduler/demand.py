"""Slots that are idle while a worker keeps more tasks to itself than it can run.

One concern: who is asked to submit some of them. Workers say how many they have (`Surplus`); when slots are idle and no
task is ready for them, the workers with the most are sent a `Grant`. What is granted counts as taken until that worker
has submitted something, or has not for a while: it may have had nothing left, and need not say so.

Called by `machine`: for messages, and at the end of each turn.
"""

from __future__ import annotations

from fastsched.scheduler.books import Books
from fastsched.scheduler.records import ClientRecord, WorkerRecord
from fastsched.wire.items import make
from fastsched.wire.messages import Grant

__all__ = ["Demand"]

LAPSE = 0.002  # seconds until idle slots that were granted to a worker, and are idle still, are granted to another one


class Demand:
    """What workers offer, and what they were granted.

    Parameters
    ----------
    books : Books
        The tables.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._deadline: float | None = None
        self.surplus: dict[WorkerRecord, int] = {}  # tasks that these workers could submit; more than 0
        self.granted: dict[WorkerRecord, tuple[int, float]] = {}  # slots, and until when they count as taken

    def offered(self, worker: WorkerRecord, tasks: int) -> None:
        """A worker says how many tasks it could submit."""
        self.granted.pop(worker, None)
        self.surplus.pop(worker, None)
        if tasks > 0:
            self.surplus[worker] = tasks

    def answered(self, client: ClientRecord) -> None:
        """Somebody submits: what was granted to it is used, or the slots are still idle and may be granted again."""
        if self.granted and (worker := self._books.workers.get(client.peer)) is not None:
            self.granted.pop(worker, None)

    def gone(self, worker: WorkerRecord) -> None:
        """The worker left, or is about to."""
        self.surplus.pop(worker, None)
        self.granted.pop(worker, None)

    def look(self, now: float, expected: int = 0) -> None:
        """End of the turn: grant the slots that are idle. No task is ready then: it would have been placed there.

        `expected`: so many of the slots are for tasks that were asked back. If none comes that is noticed when they are
        asked for again.
        """
        self._deadline = None
        surplus = self.surplus
        if not surplus:
            return
        idle = self._books.core.idle_slots - expected
        if idle > 0 and self.granted:
            idle -= self._taken(now)
        while idle > 0 and surplus:
            worker = self._richest()
            slots = min(idle, surplus.pop(worker))
            idle -= slots
            self.granted[worker] = (slots, now + LAPSE)
            worker.outbox.send(make(Grant, (slots,)))
            self._wake(now + LAPSE)

    def next_deadline(self) -> float | None:
        """When `look` may come to another result though nothing was heard."""
        return self._deadline if self.surplus else None

    def check(self) -> None:
        """Only workers that are there offer anything or were granted something."""
        workers = set(self._books.workers.values())
        if not (self.surplus.keys() | self.granted.keys()) <= workers:
            raise AssertionError("a worker that is gone offers tasks, or was granted slots")
        if any(tasks <= 0 for tasks in self.surplus.values()) or any(slots <= 0 for slots, _ in self.granted.values()):
            raise AssertionError(f"nothing is offered or granted: {self.surplus}, {self.granted}")
        if self.surplus.keys() & self.granted.keys():
            raise AssertionError("a worker was granted slots, and what it offered before still counts")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _richest(self) -> WorkerRecord:
        """The worker that offers most; of equals the one that came first."""
        best: WorkerRecord | None = None
        most = 0
        for worker, tasks in self.surplus.items():
            if best is None or tasks > most or (tasks == most and worker.handle < best.handle):
                best, most = worker, tasks
        if best is None:
            raise AssertionError("no worker offers anything")
        return best

    def _taken(self, now: float) -> int:
        """Idle slots that somebody is expected to submit tasks for."""
        taken = 0
        for worker, (slots, until) in list(self.granted.items()):
            if until <= now:
                del self.granted[worker]
            else:
                taken += slots
                self._wake(until)
        return taken

    def _wake(self, when: float) -> None:
        if self._deadline is None or when < self._deadline:
            self._deadline = when
