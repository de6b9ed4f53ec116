"""What a thread of a worker has waited for too long: it is sent there, whatever the slots say.

One concern: from a `Claim` to the task that must run so that the thread can go on. That may be one that the claimed one
waits for. If it waits for a slot here it is sent at once. If it waits for a slot at another worker it is asked back
first: the threads there may all be stuck, too, perhaps in locks of the user that tasks here hold. A worker that has
begun with it keeps it, and says nothing.

Called by `machine`.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastsched._core import EARLY, State
from fastsched.scheduler.books import Books
from fastsched.scheduler.effects import Effects
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.records import WorkerRecord
from fastsched.scheduler.task import TaskRecord

__all__ = ["Claims"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_WAITING, _READY, _ASSIGNED = int(State.WAITING), int(State.READY), int(State.ASSIGNED)
_TELL_RETRACT = int(Batch.RETRACT)


class Claims:
    """Tasks that workers claim.

    Parameters
    ----------
    books : Books
        The tables.
    effects : Effects
        Sends a task to a worker.

    Attributes
    ----------
    asked : dict
        By task id, what was asked back: of which attempt, and who claims it. A worker that keeps it does not say so, so
        what has become of these is looked up whenever another one is added.
    """

    def __init__(self, books: Books, effects: Effects) -> None:
        self._books = books
        self._effects = effects
        self.asked: dict[int, tuple[int, WorkerRecord]] = {}

    def claim(self, record: TaskRecord, worker: WorkerRecord) -> None:
        """A thread there waits for this task."""
        core = self._books.core
        seen = {record.id}
        todo = [record]
        while todo:
            record = todo.pop()
            state = core.state(record.id)
            if state == _READY:
                self._send(record.id, worker)
                return
            if state == _WAITING or (state == _ASSIGNED and core.flags(record.id) & EARLY):
                for dependency in record.dependencies:
                    if dependency.id not in seen:
                        seen.add(dependency.id)
                        todo.append(dependency)
            elif state == _ASSIGNED and core.worker(record.id) != worker.handle and self._ask_back(record.id, worker):
                return

    def returned(self, attempts: Iterable[tuple[int, int]]) -> None:
        """These came back: those that are claimed are sent to who claims them."""
        for task_id, run in attempts:
            if task_id in self.asked:
                asked, worker = self.asked.pop(task_id)
                if asked == run:
                    self._send(task_id, worker)

    def gone(self, worker: WorkerRecord) -> None:
        """A worker left: it claims nothing any more."""
        for task_id in [task_id for task_id, (_, claimant) in self.asked.items() if claimant is worker]:
            del self.asked[task_id]

    def check(self) -> None:
        """Whoever claims something is there."""
        for task_id, (run, worker) in self.asked.items():
            if worker.peer not in self._books.workers:
                raise AssertionError(f"attempt {run} of task {task_id} is claimed by a worker that is gone: {worker}")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _send(self, task_id: int, worker: WorkerRecord) -> None:
        core = self._books.core
        if core.known(task_id) and core.state(task_id) == _READY:
            run = core.claim(task_id, worker.handle)
            if run:
                self._effects.assign(task_id, worker.handle, run)

    def _ask_back(self, task_id: int, worker: WorkerRecord) -> bool:
        """False: it was asked back already."""
        core, run = self._books.core, self._books.core.run(task_id)
        if task_id in self.asked and self.asked[task_id][0] == run:
            return False
        for other in list(self.asked):
            if not core.known(other) or core.state(other) != _ASSIGNED or core.run(other) != self.asked[other][0]:
                del self.asked[other]
        self.asked[task_id] = (run, worker)
        self._books.worker(core.worker(task_id)).outbox.add(_TELL_RETRACT, (task_id, run))
        return True
