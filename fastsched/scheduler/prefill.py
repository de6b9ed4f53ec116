"""How far ahead of its free slots a worker is sent tasks, and when tasks are asked back.

One concern: a worker that runs short tasks must find the next one on its own desk, since a round trip costs more than
the task; a worker that runs long tasks must not sit on what an idle one could run. So each worker has a limit from the
measured run time of its tasks, and what turns out to lie at the wrong place is asked back. Called by `machine`, told by
`reports` and `effects`.
"""

from __future__ import annotations

from fastsched.scheduler.books import Books
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.records import WorkerRecord

__all__ = ["Prefill"]

_RETRACT = int(Batch.RETRACT)

AVERAGE = 8  # calls over which the moving average of a worker's run times goes
WORTH = 0.001  # seconds of surplus work below which it is not worth a message to move it...
SILENCE = 0.002  # ...unless the worker has said nothing for so long: its present task is not like the last ones
PATIENCE = 0.005  # seconds until a worker that gave nothing back is asked again; doubled each time, up to
PATIENCE_MOST = 1.0


class Prefill:
    """The limits of the workers.

    Parameters
    ----------
    books : Books
        The tables.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._deadline: float | None = None
        self._prefill_seconds = books.config.prefill_seconds
        self._prefill_most = books.config.prefill_most
        self._prefill_unknown = books.config.prefill_unknown
        self._asked: dict[WorkerRecord, tuple[int, float]] = {}  # tasks that were asked back; until when they may come
        self.crowded: set[WorkerRecord] = set()  # workers that may have more tasks than slots

    def joined(self, worker: WorkerRecord) -> None:
        """A new worker: its tasks' run times are not known."""
        self._set_limit(worker)

    def gone(self, worker: WorkerRecord) -> None:
        """The worker left."""
        self.crowded.discard(worker)
        self._asked.pop(worker, None)

    def heard(self, worker: WorkerRecord, finished: int, seconds: float, now: float) -> None:
        """A worker reported `finished` tasks that took `seconds` together."""
        worker.heard = now
        if finished:
            if self._books.core.free_slots(worker.handle) < 0:
                self.crowded.add(worker)  # tasks that were sent before their inputs may all have them now
            sample = seconds / finished
            part = 1.0 if worker.mean < 0.0 else min(1.0, finished / AVERAGE)
            worker.mean += (sample - worker.mean) * part
            self._set_limit(worker)

    def returned(self, worker: WorkerRecord) -> None:
        """A worker gave tasks back: it may be asked again at once."""
        worker.asked = worker.patience = 0.0
        self._asked.pop(worker, None)

    def assigned(self, worker: WorkerRecord) -> None:
        """It is sent a task: has it, with those that wait there for their inputs, more than slots?"""
        core = self._books.core
        if core.n_assigned(worker.handle) - core.lent(worker.handle) > worker.slots:
            self.crowded.add(worker)

    def look(self, now: float) -> None:
        """End of the turn: if slots are idle and nothing is ready, ask the most loaded workers to give back tasks."""
        self._deadline = None
        core, crowded = self._books.core, self.crowded
        if not crowded or core.n_ready or core.idle_slots <= 0:
            return
        idle = core.idle_slots
        loads = [(worker.slots - core.occupancy(worker.handle), worker.handle, worker) for worker in crowded]
        for load, _, worker in sorted(loads):  # the most loaded first
            n = -load
            if n <= 0:
                crowded.discard(worker)
                self._asked.pop(worker, None)
                continue
            if idle <= 0 or worker.client.silent:
                continue
            when = self._when(worker, n)
            if when > now:
                self._deadline = when if self._deadline is None else min(self._deadline, when)
                continue
            share = -(-n * idle // (idle + worker.slots))
            attempts = core.retractable(worker.handle, share)
            for attempt in attempts:
                worker.outbox.add(_RETRACT, attempt)
            worker.patience = min(max(2.0 * worker.patience, PATIENCE), PATIENCE_MOST)
            worker.asked = now + worker.patience
            self._asked[worker] = (len(attempts), now + SILENCE)
            self._deadline = worker.asked if self._deadline is None else min(self._deadline, worker.asked)
            idle -= len(attempts)

    def expected(self, now: float) -> int:
        """Tasks that were asked back for idle slots: others need not fill these."""
        if not self._asked:
            return 0
        tasks = 0
        for worker, (asked, until) in list(self._asked.items()):
            if until <= now:
                del self._asked[worker]
            else:
                tasks += asked
                self._deadline = until if self._deadline is None else min(self._deadline, until)
        return tasks

    def next_deadline(self) -> float | None:
        """When `look` may come to another result though nothing was heard."""
        return self._deadline

    def limit_of(self, worker: WorkerRecord) -> int:
        """Tasks that this worker is sent at most."""
        if worker.mean < 0.0:
            ahead = self._prefill_unknown
        elif worker.mean * self._prefill_most <= self._prefill_seconds:
            ahead = self._prefill_most
        else:
            ahead = int(self._prefill_seconds / worker.mean)
        return worker.slots * (1 + ahead)

    def check(self) -> None:
        """Limits are what the policy says, and every worker that has tasks beyond its slots is known as crowded."""
        for worker in self._books.workers.values():
            if worker.limit != self.limit_of(worker):
                raise AssertionError(f"{worker} has limit {worker.limit} instead of {self.limit_of(worker)}")
            if worker not in self.crowded and self._books.core.occupancy(worker.handle) > worker.slots:
                raise AssertionError(f"{worker} has tasks beyond its slots and is not known as crowded")
        if not self.crowded <= set(self._books.workers.values()):
            raise AssertionError(f"workers that are gone count as crowded: {self.crowded}")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _when(self, worker: WorkerRecord, surplus: int) -> float:
        """From when on this worker is asked for some of its surplus."""
        if 0.0 <= worker.mean * surplus < WORTH:
            return max(worker.asked, worker.heard + SILENCE)
        return worker.asked

    def _set_limit(self, worker: WorkerRecord) -> None:
        limit = self.limit_of(worker)
        if limit != worker.limit:
            worker.limit = limit
            self._books.core.set_limit(worker.handle, limit)
            # what it may wait for on its own desk: nothing before it is known that this takes no time
            self._books.core.set_early(worker.handle, 0 if worker.mean < 0.0 else limit - worker.slots)
