"""What clients say about tasks: submit, want, release, cancel, keep, locate.

One concern: each message of a client that names futures becomes verbs of the core and of the books. A message that
breaks the rules raises ProtocolError: the machine then puts its sender out, and with it everything that the message had
done so far. Called by `machine`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from fastsched._core import State
from fastsched.errors import ProtocolError
from fastsched.scheduler.books import Books, weigh
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.records import ClientRecord, TaskRecord
from fastsched.wire.items import make
from fastsched.wire.messages import Cancel, ErrorKind, Frames, LocatedItem, Submit, TaskItem, WantItem

__all__ = ["Futures"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_ASSIGNED, _IN_MEMORY, _ERRED = int(State.ASSIGNED), int(State.MEMORY), int(State.ERRED)
_LOCATED = int(Batch.LOCATED)
_CANCELLED, _NO_WORKERS = int(ErrorKind.CANCELLED), int(ErrorKind.NO_WORKERS)


class Futures:
    """The clients' side of the books.

    Parameters
    ----------
    books : Books
        The tables.
    """

    def __init__(self, books: Books) -> None:
        self._books = books

    def submit(self, client: ClientRecord, message: Submit) -> None:
        """Hold futures of tasks; tasks whose key is known are the same task."""
        books = self._books
        task_of, futures, core = books.task_of, client.futures, books.core
        books.learn(client, message.functions)
        for item in message.tasks:
            fid, key = item[0], item[1]
            if fid in futures:
                raise ProtocolError(f"future {fid} is used twice")
            record = task_of(key)
            if record is None:
                books.attach(client, fid, self._create(client, item))
            else:
                core.want(record.id)
                books.attach(client, fid, record)
                books.tell_present(client, fid, record)
        books.trim(client)

    def want(self, client: ClientRecord, items: Iterable[WantItem]) -> None:
        """Hold futures that arrived by pickle; one whose key nobody holds any more ends as cancelled."""
        books = self._books
        for fid, key in items:
            if fid in client.futures:
                raise ProtocolError(f"future {fid} is used twice")
            record = books.task_of(key)
            if record is None:
                record = TaskRecord(key, None, (), (), ())
                record.keyed = False
                books.enter(record, books.core.add_external())
                books.attach(client, fid, record)
                books.fail(record, _CANCELLED, f"unknown key {key!r}: the task was forgotten or never submitted")
            else:
                books.core.want(record.id)
                books.attach(client, fid, record)
                books.tell_present(client, fid, record)

    def release(self, client: ClientRecord, fids: Iterable[int]) -> None:
        """Hold these futures no longer."""
        detach, unwant = self._books.detach, self._books.unwant
        for fid in fids:
            unwant(detach(client, fid))

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
            books.unkey(record)
            if books.core.state(record.id) != _ERRED:
                books.fail(record, _CANCELLED, message.reason or f"{record.key} was cancelled")
                self._cancel_running(record)

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

    def gone(self, client: ClientRecord) -> None:
        """The client's connection ended: nobody wants its futures any more."""
        unwant = self._books.unwant
        futures, client.futures = client.futures, {}
        for record in futures.values():
            unwant(record)
        client.inlined.clear()
        client.inlined_bytes = 0
        self._books.unlearn(client)

    # -- inside -------------------------------------------------------------------------------------------------------

    def _create(self, client: ClientRecord, item: TaskItem) -> TaskRecord:
        """A new task with one want."""
        _, key, fn, args, dependencies, pins, priority, retries, parent = item
        books, core = self._books, self._books.core
        function = client.functions.get(fn)
        if function is None:
            raise ProtocolError(f"task {key} names function {fn.hex()}, which this connection did not bring")
        inputs: tuple[TaskRecord, ...] = ()
        pinned: tuple[TaskRecord, ...] = ()
        if dependencies:
            inputs = tuple([books.future(client, fid) for fid in dependencies])
        if pins:
            pinned = tuple([books.future(client, fid) for fid in pins])
        record = TaskRecord(key, function, args, inputs, pinned)
        record.retries = retries
        # children of the oldest parent go first: they let it end
        order = core.order(parent) if parent and core.known(parent) else -1
        # an input that is named twice is one edge
        ids = list(dict.fromkeys([record.id for record in inputs])) if len(inputs) > 1 else [r.id for r in inputs]
        books.enter(record, core.add_task(ids, priority, order))
        if books.hopeless is not None:
            books.fail(record, _NO_WORKERS, books.hopeless)
        return record

    def _cancel_running(self, record: TaskRecord) -> None:
        """End what runs with the value of a cancelled task (the core has ended what waited for it)."""
        books, core = self._books, self._books.core
        todo = deque(core.dependents(record.id))
        while todo:
            task_id = todo.popleft()
            if core.state(task_id) == _ASSIGNED:
                dependent = books.record(task_id)
                dependent.error = record.error
                dependent.settled = False
                core.err(task_id)
                todo.extend(core.dependents(task_id))
