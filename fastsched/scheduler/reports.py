"""What workers report: finished, erred, given back, inputs missing, replicas.

One concern: a report that is up to date becomes verbs of the core; one of an old attempt is dropped, and its value
freed; one that this worker cannot have (another worker's task, an attempt that never was) raises ProtocolError. Called
by `machine`.
"""

from __future__ import annotations

from sys import intern
from typing import NamedTuple

from fastsched._core import State
from fastsched.errors import ProtocolError
from fastsched.scheduler.books import Books, weigh
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.prefill import Prefill
from fastsched.scheduler.records import WorkerRecord
from fastsched.scheduler.silence import Silence
from fastsched.scheduler.task import TaskRecord
from fastsched.wire.items import make
from fastsched.wire.messages import Done, ErredItem, ErrorItem, ErrorKind, FinishedItem, MissingItem

__all__ = ["Reports"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_WAITING, _ASSIGNED = int(State.WAITING), int(State.ASSIGNED)
_FREE = int(Batch.FREE)
_DATA_LOST = int(ErrorKind.DATA_LOST)
_ERRORS_OF_TASKS = frozenset(
    map(int, (ErrorKind.TASK, ErrorKind.SERIALIZATION, ErrorKind.CANCELLED, ErrorKind.CYCLIC_WAIT))
)

# A task that cannot get its inputs is tried again, at first at once. After the second miss it rests for FIRST_PAUSE
# seconds, after each further one for twice as long, up to 64 times that. After 8 misses (0.6 s) those who were said to
# hold the inputs are believed not to: the inputs are computed again. After three rounds of this the task ends.
FIRST_PAUSE = 0.005
DOUBLINGS = 6
MISSES_BEFORE_DOUBT = 8
MISSES = 24


class Resting(NamedTuple):
    """An attempt that could not get its inputs and waits to be queued again; the core counts it as assigned."""

    until: float
    id: int
    run: int
    worker: int  # of the core


class Reports:
    """The workers' side of the books.

    Parameters
    ----------
    books : Books
        The tables.
    prefill : Prefill
        Hears run times and what was given back.
    silence : Silence
        Knows which attempts were moved while their worker was silent.
    """

    def __init__(self, books: Books, prefill: Prefill, silence: Silence) -> None:
        self._books = books
        self._prefill = prefill
        self._silence = silence
        self._resting: list[Resting] = []

    def done(self, worker: WorkerRecord, message: Done, now: float) -> None:
        """Take in the news of one turn of a worker.

        Raises
        ------
        ProtocolError
            If it reports what it cannot know.
        """
        finished, erred, returned, missing, replicas, lent = message
        seconds = self._finished(worker, finished) if finished else 0.0
        if erred or returned or missing or replicas:
            self._rarer(worker, message, now)
        if lent < -worker.slots:
            raise ProtocolError("dropped attempts cannot hold more slots than there are")
        if lent != worker.lent:
            worker.lent = lent
            self._books.core.set_lent(worker.handle, lent)
            self._prefill.crowded.add(worker)  # a slot that was lent and is taken again is one less for the others
        self._prefill.heard(worker, len(finished), seconds, now)

    def tick(self, now: float) -> None:
        """Queue again what has rested long enough."""
        due = [entry for entry in self._resting if entry.until <= now]
        if due:
            self._resting = [entry for entry in self._resting if entry.until > now]
            for _, task_id, run, handle in due:
                self._books.core.give_back(task_id, run, handle)

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min(self._resting).until if self._resting else None

    def gone(self, worker: WorkerRecord) -> None:
        """A worker's connection ended: the core queues its tasks again."""
        self._resting = [entry for entry in self._resting if entry.worker != worker.handle]

    def check(self) -> None:
        """Every resting attempt belongs to a worker that is there."""
        for entry in self._resting:
            if entry.worker not in self._books.handles:
                raise AssertionError(f"{entry} is on a worker that is gone")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _rarer(self, worker: WorkerRecord, message: Done, now: float) -> None:
        for item in message.erred:
            self._erred(worker, item)
        for task_id, run in message.returned:
            if not self._books.core.give_back(task_id, run, worker.handle):
                self._check_claim(worker, task_id, run)
        if message.returned:
            self._prefill.returned(worker)
        for miss in message.missing:
            self._missing(worker, miss, now)
        for task_id, nbytes in message.replicas:
            self._replica(worker, task_id, nbytes)

    def _finished(self, worker: WorkerRecord, items: tuple[FinishedItem, ...]) -> float:
        """The values that came to memory; returns their run time in seconds."""
        books, core, handle = self._books, self._books.core, worker.handle
        total = 0.0
        for task_id, run, type_name, nbytes, micros, frames, pins in items:
            if nbytes < 0 or micros < 0:
                raise ProtocolError("a negative size or run time")
            if not core.finish(task_id, run, handle, nbytes):
                again = self._silence.reclaim(worker, task_id, run)
                if not again or not core.finish(task_id, again, handle, nbytes):
                    self._stale(worker, task_id, run)
                    continue
            record = books.record(task_id)
            record.type_name = intern(type_name)
            record.nbytes = nbytes
            record.told = 0
            record.misses = 0
            total += micros
            if frames is not None and weigh(frames) <= books.inline_bytes:
                books.keep_value(record, frames)
            if pins:
                books.pin_value(record, [pin for key in pins if (pin := books.task_of(key)) is not None])
        return total * 1e-6

    def _erred(self, worker: WorkerRecord, report: ErredItem) -> None:
        """The task raised: again if it may, else it ends."""
        task_id, run, error = report
        books, core = self._books, self._books.core
        if not core.known(task_id) or core.run(task_id) != run or core.worker(task_id) != worker.handle:
            run = self._silence.reclaim(worker, task_id, run)
            if not run:
                self._stale(worker, task_id, report[1])
                return
        item = make(ErrorItem, tuple(error))
        if item.kind not in _ERRORS_OF_TASKS:
            raise ProtocolError(f"a task cannot end by error {item.kind}")
        record = books.record(task_id)
        if record.retries > 0:
            record.retries -= 1
            core.retry(task_id, run, worker.handle)
        else:
            record.error = item
            record.told = 0
            core.fail(task_id, run, worker.handle)

    def _missing(self, worker: WorkerRecord, item: MissingItem, now: float) -> None:
        """The task could not get its inputs.

        Their holder is probably dying, and its end not known yet: try again, but not in a tight loop.
        """
        task_id, run, inputs = item
        books, core = self._books, self._books.core
        if not core.known(task_id) or core.run(task_id) != run or core.worker(task_id) != worker.handle:
            self._check_claim(worker, task_id, run)
            return
        record = books.record(task_id)
        record.misses += 1
        if record.misses > MISSES:
            keys = ", ".join(books.record(i).key for i in inputs if core.known(i))
            text = (
                f"{record.key} could not get its inputs ({keys}) in {record.misses} attempts, the last on {worker.name}"
            )
            books.fail(record, _DATA_LOST, text, worker.name)
            return
        for dependency in record.dependencies:
            if dependency.id in inputs:
                self._disbelieve(dependency, worker, everybody=record.misses % MISSES_BEFORE_DOUBT == 0)
        if record.misses == 1:
            core.give_back(task_id, run, worker.handle)
        else:
            pause = FIRST_PAUSE * 2.0 ** min(record.misses - 2, DOUBLINGS)
            self._resting.append(make(Resting, (now + pause, task_id, run, worker.handle)))

    def _disbelieve(self, record: TaskRecord, witness: WorkerRecord, everybody: bool) -> None:
        """A value was not where it was said to be: `witness` itself does not have it; often enough, nobody has it."""
        books = self._books
        for handle in books.core.holders(record.id):
            if everybody or handle == witness.handle:
                books.core.drop_replica(record.id, handle)
                books.handles[handle].outbox.add(_FREE, record.id)

    def _replica(self, worker: WorkerRecord, task_id: int, nbytes: int) -> None:
        if nbytes < 0:
            raise ProtocolError("a negative size")
        core = self._books.core
        if not core.known(task_id):
            worker.outbox.add(_FREE, task_id)
            return
        waiting = core.state(task_id) == _WAITING
        if not core.replica(task_id, worker.handle, nbytes):
            if core.worker(task_id) != worker.handle:  # else the order to compute it replaces this copy by the result
                worker.outbox.add(_FREE, task_id)
        elif waiting:  # a scattered value has arrived
            record = self._books.record(task_id)
            record.told = 0
            record.nbytes = nbytes

    def _stale(self, worker: WorkerRecord, task_id: int, run: int) -> None:
        """A result of an attempt that is not the present one: the worker shall not keep its value."""
        self._check_claim(worker, task_id, run)
        core, handle = self._books.core, worker.handle
        if not core.known(task_id) or (core.worker(task_id) != handle and not core.holds(handle, task_id)):
            worker.outbox.add(_FREE, task_id)

    def _check_claim(self, worker: WorkerRecord, task_id: int, run: int) -> None:
        """An attempt has one worker: a report of it by another is a lie.

        Raises
        ------
        ProtocolError
            If this attempt is not and was not this worker's.
        """
        core = self._books.core
        if not core.known(task_id):
            return
        current = core.run(task_id)
        if run > current or (
            run == current and core.state(task_id) == _ASSIGNED and core.worker(task_id) != worker.handle
        ):
            raise ProtocolError(f"attempt {run} of task {task_id} is not this worker's")
