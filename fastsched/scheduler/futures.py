"""What clients say about tasks: submit, want, release, cancel, keep, locate.

One concern: each message of a client that names futures becomes verbs of the core and of the books. A message that
breaks the rules raises ProtocolError: the machine then puts its sender out, and with it everything that the message had
done so far. Called by `machine`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from fastsched._core import State
from fastsched.errors import ProtocolError
from fastsched.scheduler.books import Books, weigh
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.records import ClientRecord, Function
from fastsched.scheduler.seek import Seeking
from fastsched.scheduler.task import TaskRecord, extras_of
from fastsched.wire.items import make
from fastsched.wire.messages import Cancel, ErrorKind, Frames, LocatedItem, Submit, WantItem

__all__ = ["Futures"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_ASSIGNED, _IN_MEMORY, _ERRED = int(State.ASSIGNED), int(State.MEMORY), int(State.ERRED)
_LOCATED = int(Batch.LOCATED)
_CANCELLED, _NO_WORKERS = int(ErrorKind.CANCELLED), int(ErrorKind.NO_WORKERS)

RELEASED_AT_ONCE = 1000  # futures of a client that is gone: takes half a millisecond
RELEASE_SECONDS = 0.001  # from one such portion to the next
MOST_RETRIES = 0x7FFFFFFF  # what a record can count; more would take years


class Futures:
    """The clients' side of the books.

    Parameters
    ----------
    books : Books
        The tables.
    seeking : Seeking
        Looks for keys that nobody has told of.
    """

    def __init__(self, books: Books, seeking: Seeking) -> None:
        self._books = books
        self._seeking = seeking
        self._due = 0.0  # when more futures of clients that are gone are released

    def submit(self, client: ClientRecord, message: Submit) -> None:
        """Hold futures of tasks; tasks whose key is known are the same task."""
        books = self._books
        functions, tasks = message
        if functions:
            books.learn(client, functions)
        for item in tasks:
            fid, key, fn, args, dependencies, pins, priority, retries, parent = item
            if fid in client.futures:
                raise ProtocolError(f"future {fid} is used twice")
            record = books.task_of(key)
            if record is None or self._seeking.is_sought(record):
                function = self.function_of(client, key, fn)
                inputs = self._tasks_of(client, dependencies) if dependencies else ()
                pinned = self._tasks_of(client, pins) if pins else ()
                if record is None or not (
                    self._seeking.may_be(record, client, inputs + pinned)
                    and self.find(record, function, item, inputs, pinned)
                ):
                    record = TaskRecord(key, function, args, inputs, pinned)
                    self.enter(record, priority, retries, parent, 1)
                    books.attach(client, fid, record)
                    continue
            books.core.want(record.id)
            books.attach(client, fid, record)
            books.tell_present(client, fid, record)
        if functions:
            books.trim(client)

    def want(self, client: ClientRecord, items: Iterable[WantItem]) -> None:
        """Hold futures that arrived by pickle, or were made from a key; cancelled if nobody has the task."""
        books = self._books
        for fid, key in items:
            if fid in client.futures:
                raise ProtocolError(f"future {fid} is used twice")
            record = books.task_of(key)
            if record is None:
                self._seeking.enter(client, fid, key)
            else:
                if record.function is None:
                    self._seeking.wanted_again(record)
                books.core.want(record.id)
                books.attach(client, fid, record)
                books.tell_present(client, fid, record)

    def release(self, client: ClientRecord, fids: Iterable[int]) -> None:
        """Hold these futures no longer."""
        books = self._books
        for fid in fids:
            books.unwant(books.detach(client, fid))

    def keep(self, client: ClientRecord, fids: Iterable[int]) -> None:
        """Hold these tasks ourselves until they are done (fire and forget)."""
        books = self._books
        for fid in fids:
            record = books.future(client, fid)
            state = books.core.state(record.id)
            if not record.kept and state not in (_IN_MEMORY, _ERRED):
                record.kept = True
                books.core.want(record.id)

    def cancel(self, client: ClientRecord, message: Cancel) -> None:
        """End these tasks for everybody, with what waits for them; the keys are free for new tasks.

        As in ``dask.distributed.Client.cancel(force=True)``, except that dependents which have their value keep it.
        """
        books = self._books
        for fid in message.fids:
            record = books.future(client, fid)
            text = message.reason or f"{record.key} was cancelled"
            if record.function is None and self._seeking.condemn(client, record, text):
                continue
            self._cancel_one(record, text)

    def locate(self, client: ClientRecord, fids: Iterable[int]) -> None:
        """Say where these values are."""
        books = self._books
        for fid in fids:
            record = books.future(client, fid)
            frames: Frames | None = None
            addresses: tuple[str, ...] = ()
            if books.core.state(record.id) == _IN_MEMORY:
                frames = record.frames
                if frames is None:
                    addresses = books.addresses(record)
            weight = 0 if frames is None else weigh(frames)
            client.outbox.add(_LOCATED, make(LocatedItem, (fid, record.id, frames, addresses)), weight)

    def gone(self, client: ClientRecord, at_once: bool, now: float) -> None:
        """The client's connection ended: nobody wants its futures any more.

        Unless all has to be done `at_once`, those of a client that has very many are released bit by bit (`tick`): the
        others' messages come in between.
        """
        books = self._books
        if at_once or len(client.futures) <= RELEASED_AT_ONCE:
            for record in books.detach_all(client):
                books.unwant(record)
        else:
            books.leaving.append(client)
            self._due = now
        books.unlearn(client)

    def tick(self, now: float) -> None:
        """Release some more futures of a client that is gone."""
        leaving = self._books.leaving
        if leaving and now >= self._due:
            client = leaving[-1]
            self.release(client, client.futures.some(RELEASED_AT_ONCE))
            self._due = now + RELEASE_SECONDS
            if not len(client.futures):
                leaving.pop()

    def next_deadline(self) -> float | None:
        """When there is more to release."""
        return self._due if self._books.leaving else None

    def function_of(self, client: ClientRecord, key: str, fn: bytes) -> Function:
        """The function that a new task names."""
        function: Function | None = client.functions.get(fn)
        if function is None:
            raise ProtocolError(f"task {key} names function {fn.hex()}, which this connection did not bring")
        return function

    def enter(self, record: TaskRecord, priority: int, retries: int, parent: int, wants: int) -> None:
        """A new task, with so many wants."""
        books, core = self._books, self._books.core
        record.retries = min(retries, MOST_RETRIES)
        ids = _ids_of(record.dependencies)
        books.enter(record, core.add_task(ids, priority, self._order(record, parent), wants))
        if wants and books.hopeless is not None:
            books.fail(record, _NO_WORKERS, books.hopeless)

    def find(
        self,
        record: TaskRecord,
        function: Function,
        item: Sequence[Any],
        inputs: tuple[TaskRecord, ...],
        pinned: tuple[TaskRecord, ...],
        worker: int = -1,
        nbytes: int = 0,
    ) -> bool:
        """The task of a key that is sought: a `TaskItem`, or the same fields of a `LocalItem`.

        With a `worker` (of the core): the value is there. False: it has to be another task, with a record of its own.
        The caller has made sure that it `Seeking.may_be`.
        """
        books = self._books
        args, priority, retries, parent = item[3], item[6], item[7], item[8]
        condemned = self._seeking.condemned.get(record.id)
        if condemned is not None:
            worker = -1
        if not books.core.specify(record.id, _ids_of(inputs), priority, self._order(record, parent), worker, nbytes):
            books.unkey(record)  # it has ended meanwhile
            return False
        books.specify(record, function, args, inputs, pinned)
        record.retries = min(retries, MOST_RETRIES)
        self._seeking.found(record)
        if condemned is not None:
            self._cancel_one(record, condemned[1])
        return True

    # -- inside -------------------------------------------------------------------------------------------------------

    def _tasks_of(self, client: ClientRecord, fids: Iterable[int]) -> tuple[TaskRecord, ...]:
        """What these futures of a client stand for."""
        return tuple([self._books.future(client, fid) for fid in fids])

    def _cancel_one(self, record: TaskRecord, text: str) -> None:
        books = self._books
        books.unkey(record)
        if books.core.state(record.id) != _ERRED:
            books.fail(record, _CANCELLED, text)
            self._cancel_running(record)

    def _order(self, record: TaskRecord, parent: int) -> int:
        """Who has launched it is noted. Children of the oldest parent go first: they let it end."""
        core = self._books.core
        if not parent or not core.known(parent):
            return -1
        extras_of(record).parent = parent
        return core.order(parent)

    def _cancel_running(self, record: TaskRecord) -> None:
        """End what runs with the value of a cancelled task (the core has ended what waited for it)."""
        books, core = self._books, self._books.core
        todo = deque(core.dependents(record.id))
        while todo:
            task_id = todo.popleft()
            if core.state(task_id) == _ASSIGNED:
                dependent = books.record(task_id)
                dependent.error = record.error
                dependent.told = 0
                core.err(task_id)
                todo.extend(core.dependents(task_id))


def _ids_of(inputs: tuple[TaskRecord, ...]) -> Sequence[int]:
    """Each once: an input that is named twice is one edge."""
    if len(inputs) > 1:
        return list(dict.fromkeys([dependency.id for dependency in inputs]))
    return (inputs[0].id,) if inputs else ()
