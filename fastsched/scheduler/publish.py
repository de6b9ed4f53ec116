"""Tasks that a worker has kept to itself, and that others need now.

One concern: a `Publish` of a worker becomes rows of the core. Such a task may have begun or ended at the worker before
the scheduler hears of it, and what it was made from may be gone: that is entered as lineage, so that the value can be
computed again if it is lost, and is not computed because of it. The worker hears the ids by `Adopt`, which goes into
its outbox at once, and so before all that follows from the turn.

What breaks the rules raises ProtocolError, as in `futures`. Called by `machine`.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import intern

from fastsched._core import State
from fastsched.errors import ProtocolError
from fastsched.scheduler.books import Books, weigh
from fastsched.scheduler.futures import Futures
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.records import ClientRecord, WorkerRecord
from fastsched.scheduler.seek import Seeking
from fastsched.scheduler.task import TaskRecord, extras_of
from fastsched.wire.items import make
from fastsched.wire.messages import ErrorItem, LocalItem, Publish, Stage

__all__ = ["Publishing"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_LINEAGE, _RUNNING, _FINISHED, _FAILED = map(int, (Stage.LINEAGE, Stage.RUNNING, Stage.FINISHED, Stage.FAILED))
_IN_MEMORY = int(State.MEMORY)
_ADOPT = int(Batch.ADOPT)


class Publishing:
    """The tasks that workers publish.

    Parameters
    ----------
    books : Books
        The tables.
    futures : Futures
        Enters new tasks.
    seeking : Seeking
        Knows which keys are sought.
    """

    def __init__(self, books: Books, futures: Futures, seeking: Seeking) -> None:
        self._books = books
        self._futures = futures
        self._seeking = seeking
        # The lineage of publications that may not have come to their end, by peer: fid -> task. One that is large comes
        # in several messages, so the tasks are held until the peer says something else.
        self.open: dict[int, dict[int, TaskRecord]] = {}

    def publish(self, client: ClientRecord, worker: WorkerRecord, message: Publish) -> None:
        """Take in tasks, inputs first."""
        books = self._books
        functions, items = message
        lineage = self.open.get(client.peer, {})
        if functions:
            books.learn(client, functions)
        for item in items:
            self._publish_one(client, worker, lineage, item)
        if functions:
            books.trim(client)

    def close(self, client: ClientRecord) -> None:
        """What a peer has published has come to its end: lineage that nothing was made from is forgotten."""
        lineage = self.open.pop(client.peer, None)
        if lineage:
            for record in lineage.values():
                self._books.let_go(record)

    def check(self) -> None:
        """Every hold is of a publication of a worker that is there, or of a task that has a future of it."""
        books = self._books
        held = [record for lineage in self.open.values() for record in lineage.values()]
        for record in books.records:
            if record is not None and record.extras is not None:
                held += record.extras.held
        holds: dict[int, int] = {}
        for record in held:
            holds[record.id] = holds.get(record.id, 0) + 1
        if holds != books.holds:
            raise AssertionError(f"tasks are held {books.holds} instead of {holds}")
        if not all(books.core.known(task_id) for task_id in holds):
            raise AssertionError("a task that is held was forgotten")
        if not self.open.keys() <= self._books.workers.keys():
            raise AssertionError("a publication of a worker that is gone is open")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _publish_one(
        self, client: ClientRecord, worker: WorkerRecord, lineage: dict[int, TaskRecord], item: LocalItem
    ) -> None:
        books, core = self._books, self._books.core
        fid, stage = item[0], item[9]
        _check_item(item)
        if fid in client.futures or fid in lineage:
            raise ProtocolError(f"future {fid} is used twice")
        record = books.task_of(item[1])
        is_new = record is None  # nobody has been told anything of it
        is_found = is_there = False
        if record is None or self._seeking.is_sought(record):
            sought, record = record, self._enter(client, worker, lineage, item, record)
            is_found = record is sought
            is_new = not is_found
            is_there = is_found and core.state(record.id) == _IN_MEMORY
        if stage == _LINEAGE:
            self._hold(client, lineage, fid, record)
            return
        # nobody else has begun with it: then it is this worker's, also if it was known
        is_free = core.run(record.id) == 0
        task_id = run = 0
        if is_there or (stage == _FINISHED and is_free and core.publish(record.id, worker.handle, item[11], 1)):
            if is_there:
                core.want(record.id)
            task_id = record.id
            self._take_value(record, item, is_new)
        else:
            core.want(record.id)
            if stage == _RUNNING and is_free:
                run = core.claim(record.id, worker.handle)
            if run:
                task_id = record.id
                core.secede(task_id)  # it runs in a slot that is another task's
        books.attach(client, fid, record)
        if stage == _FAILED and (is_new or is_found):
            self._take_error(record, item)
        elif not is_new:
            books.tell_present(client, fid, record)
        worker.outbox.add(_ADOPT, (fid, task_id, run))

    def _enter(
        self,
        client: ClientRecord,
        worker: WorkerRecord,
        lineage: dict[int, TaskRecord],
        item: LocalItem,
        sought: TaskRecord | None,
    ) -> TaskRecord:
        """A new task that nobody wants yet, or the one whose key is `sought`."""
        _, key, fn, args, dependencies, pins, priority, retries, parent = item[:9]
        function = self._futures.function_of(client, key, fn)
        inputs = self._tasks_of(client, lineage, dependencies)
        pinned = self._tasks_of(client, {}, [fid for fid in pins if fid not in lineage])
        held = tuple([lineage[fid] for fid in pins if fid in lineage]) if len(pinned) < len(pins) else ()
        record = None
        if sought is not None and self._seeking.may_be(sought, client, inputs + pinned + held):
            handle = worker.handle if item[9] == _FINISHED else -1
            if self._futures.find(sought, function, item, inputs, pinned, handle, item[11]):
                record = sought
        if record is None:
            record = TaskRecord(key, function, args, inputs, pinned)
            self._futures.enter(record, priority, retries, parent, 0)
        if held:
            extras_of(record).held = held
            for task in held:
                self._books.hold(task)
        return record

    def _tasks_of(
        self, client: ClientRecord, lineage: dict[int, TaskRecord], fids: Iterable[int]
    ) -> tuple[TaskRecord, ...]:
        """What these futures of a worker stand for."""
        return tuple([lineage[fid] if fid in lineage else self._books.future(client, fid) for fid in fids])

    def _hold(self, client: ClientRecord, lineage: dict[int, TaskRecord], fid: int, record: TaskRecord) -> None:
        """A way to compute it again, if something that follows was made from it."""
        self.open[client.peer] = lineage
        lineage[fid] = record
        self._books.hold(record)

    def _take_value(self, record: TaskRecord, item: LocalItem, is_new: bool) -> None:
        """It is in memory at the worker."""
        books = self._books
        type_name, nbytes, frames, value_pins = item[10:14]
        record.type_name = intern(type_name)
        record.nbytes = nbytes
        record.told = _IN_MEMORY if is_new else 0  # the worker need not be told
        if frames is not None and weigh(frames) <= books.inline_bytes:
            books.keep_value(record, frames)
        if value_pins:
            books.pin_value(record, [pin for key in value_pins if (pin := books.task_of(key)) is not None])

    def _take_error(self, record: TaskRecord, item: LocalItem) -> None:
        """It has ended without a value."""
        record.error = make(ErrorItem, tuple(item[14][0]))
        record.told = 0
        self._books.core.err(record.id)


def _check_item(item: LocalItem) -> None:
    """Does it say what belongs to its stage, and nothing else?"""
    stage, _, nbytes, frames, value_pins, error = item[9:]
    if not _LINEAGE <= stage <= _FAILED:
        raise ProtocolError(f"there is no stage {stage}")
    if nbytes < 0:
        raise ProtocolError("a negative size")
    if stage != _FINISHED and (frames is not None or value_pins):
        raise ProtocolError("a value of a task that has not finished")
    if len(error) != (stage == _FAILED):
        raise ProtocolError(f"{len(error)} errors of a task at stage {stage}")
