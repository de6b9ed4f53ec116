"""Values that clients put into the cluster.

One concern: bring a value to a worker (or to all) and hold it here until one has it. Such a value cannot be computed:
its row in the core is EXTERNAL, the core asks for it by FETCH and hears of it by `replica`. Called by `machine`
(messages, peers) and `effects`.
"""

from __future__ import annotations

from typing import NamedTuple

from fastsched._core import EXTERNAL, State
from fastsched.errors import ProtocolError
from fastsched.scheduler.books import Books, weigh
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.records import ClientRecord, WorkerRecord
from fastsched.scheduler.seek import Seeking
from fastsched.scheduler.task import TaskRecord
from fastsched.wire.items import make, quoted
from fastsched.wire.messages import ErrorKind, Frames, PutItem, Scatter, ScatterItem

__all__ = ["Scattering"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_RELEASED, _WAITING, _IN_MEMORY, _ERRED = map(int, (State.RELEASED, State.WAITING, State.MEMORY, State.ERRED))
_PUT = int(Batch.PUT)
_NO_WORKERS = int(ErrorKind.NO_WORKERS)


class Wish(NamedTuple):
    """Where the client wants a value."""

    workers: frozenset[str]  # names; empty: anywhere
    broadcast: bool  # on each of them


ANYWHERE = Wish(frozenset(), False)


class Scattering:
    """Values on their way to workers.

    Parameters
    ----------
    books : Books
        The tables.
    seeking : Seeking
        Knows which keys are sought.
    seed : int
        With which worker the round begins.
    """

    def __init__(self, books: Books, seeking: Seeking, seed: int) -> None:
        self._books = books
        self._seeking = seeking
        self._turn = seed  # whose turn it is to get the next value
        self._wishes: dict[int, Wish] = {}  # by task id, while it is under way
        self._under_way: dict[int, set[int]] = {}  # task id -> workers (of the core) that it was sent to
        self._unplaced: dict[int, TaskRecord] = {}  # wait for a worker

    def scatter(self, client: ClientRecord, message: Scatter) -> None:
        """Take in values; each is reported as finished when a worker has it."""
        books = self._books
        wish = make(Wish, (frozenset(message.workers), message.broadcast))
        unknown = sorted(name for name in wish.workers if name not in books.names)
        for item in message.items:
            fid, key, _, frames, pins = item
            if fid in client.futures:
                raise ProtocolError(f"future {fid} is used twice")
            pinned = [books.future(client, pin) for pin in pins]
            record = books.task_of(key)
            if record is not None and not unknown and self._is_there(record):
                books.core.want(record.id)
                books.attach(client, fid, record)
                books.tell_present(client, fid, record)
                self._spread(record, frames, wish)
                continue
            if record is not None and not unknown and self._is_waited_for(record):
                self._bring(client, item, pinned, record, wish)
                continue
            if record is not None and not unknown:
                books.unkey(record)
            record = self._create(client, item, pinned, keyed=not unknown)
            if unknown:
                known = ", ".join(sorted(books.names)) or "none"
                books.fail(record, _NO_WORKERS, f"no worker has the name {quoted(unknown[0])} (there are: {known})")
            elif books.hopeless is not None:
                books.fail(record, _NO_WORKERS, books.hopeless)
            else:
                self._wishes[record.id] = wish

    def place(self, record: TaskRecord) -> None:
        """The value is needed and at hand: send it to a worker, or hold it until one comes."""
        books = self._books
        wish = self._wishes.get(record.id, ANYWHERE)
        there = [worker for worker in books.workers.values() if not worker.suspect]
        heard = [worker for worker in there if not (worker.client.silent or worker.retiring)]
        wanted = [worker for worker in there if worker.name in wish.workers and not worker.retiring] or heard or there
        if not wanted:
            self._unplaced[record.id] = record
            return
        if not wish.broadcast:
            self._turn += 1
            wanted = [wanted[self._turn % len(wanted)]]
        self._under_way[record.id] = {worker.handle for worker in wanted}
        for worker in wanted:
            self._put(worker, record)

    def arrived(self, record: TaskRecord) -> None:
        """A worker has it: only small values stay here too, within the budget."""
        books = self._books
        self._settle(record.id)
        if record.frames is not None:
            size = weigh(record.frames)
            if size > books.config.inline_bytes or books.retained > books.config.retain_budget:
                books.retained -= size
                record.frames = None

    def forget(self, record: TaskRecord) -> None:
        """Nobody wants it any more."""
        self._settle(record.id)

    def joined(self, worker: WorkerRecord) -> None:
        """A worker is there: send what waited for one."""
        unplaced, self._unplaced = self._unplaced, {}
        for record in unplaced.values():
            if self._is_waiting(record):
                self.place(record)

    def gone(self, worker: WorkerRecord) -> None:
        """A worker is gone: what was under way to it goes to another one."""
        for task_id, handles in list(self._under_way.items()):
            handles.discard(worker.handle)
            if not handles:
                del self._under_way[task_id]
                record = self._books.record(task_id)
                if self._is_waiting(record):
                    self.place(record)

    def check(self) -> None:
        """Every value under way is one that the core waits for."""
        core = self._books.core
        for task_id in {*self._wishes, *self._under_way, *self._unplaced}:
            if not core.known(task_id) or core.state(task_id) == _IN_MEMORY:
                raise AssertionError(f"scattered value {task_id} is not under way")
        for task_id, handles in self._under_way.items():
            if not handles or not handles <= self._books.handles.keys():
                raise AssertionError(f"scattered value {task_id} is under way to {handles}")
        if self._unplaced and any(not worker.suspect for worker in self._books.workers.values()):
            raise AssertionError(f"scattered values wait for a worker, and there is one: {self._unplaced}")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _create(self, client: ClientRecord, item: ScatterItem, pinned: list[TaskRecord], keyed: bool) -> TaskRecord:
        books = self._books
        fid, key, type_name, frames, _ = item
        size = weigh(frames)
        record = TaskRecord(key, None, (), (), ())
        record.keyed = keyed
        record.type_name = type_name
        record.nbytes = size
        record.frames = frames
        books.retained += size
        books.enter(record, books.core.add_external(1, size))
        books.attach(client, fid, record)
        books.pin_value(record, pinned)
        return record

    def _is_waited_for(self, record: TaskRecord) -> bool:
        """Somebody wants this key, and nobody has told what it is: then it is that of the value."""
        books = self._books
        if books.hopeless is not None or record.id in self._seeking.condemned:
            return False
        return self._seeking.is_sought(record) and books.core.state(record.id) != _ERRED

    def _bring(
        self, client: ClientRecord, item: ScatterItem, pinned: list[TaskRecord], record: TaskRecord, wish: Wish
    ) -> None:
        books = self._books
        record.type_name, record.frames = item[2], item[3]
        record.nbytes = weigh(record.frames)
        books.retained += record.nbytes
        self._wishes[record.id] = wish
        was_asked = self._seeking.found(record)
        books.core.want(record.id)
        books.attach(client, item[0], record)
        books.pin_value(record, pinned)
        if was_asked:  # else the core is going to say that it is needed
            self.place(record)

    def _is_there(self, record: TaskRecord) -> bool:
        """The value of a known key is there or will be: the new one is not needed."""
        core = self._books.core
        state = core.state(record.id)
        if core.flags(record.id) & EXTERNAL:
            return state == _IN_MEMORY or (state == _WAITING and record.frames is not None)
        return state not in (_RELEASED, _ERRED)

    def _is_waiting(self, record: TaskRecord) -> bool:
        core = self._books.core
        return record.frames is not None and core.known(record.id) and core.state(record.id) == _WAITING

    def _spread(self, record: TaskRecord, frames: Frames, wish: Wish) -> None:
        """A value that is in memory already, scattered once more with ``broadcast``: bring it to those who lack it."""
        books = self._books
        if not wish.broadcast or books.core.state(record.id) != _IN_MEMORY:
            return
        holders = books.core.holders(record.id)
        for worker in books.workers.values():
            if worker.handle in holders or worker.retiring:
                continue
            if not wish.workers or worker.name in wish.workers:
                item = make(PutItem, (record.id, record.key, record.type_name, frames))
                worker.outbox.add(_PUT, item, weigh(frames))

    def _put(self, worker: WorkerRecord, record: TaskRecord) -> None:
        frames = record.frames
        if frames is None:
            raise AssertionError(f"{record} shall be sent and is not at hand")
        item = make(PutItem, (record.id, record.key, record.type_name, frames))
        worker.outbox.add(_PUT, item, weigh(frames))

    def _settle(self, task_id: int) -> None:
        self._wishes.pop(task_id, None)
        self._under_way.pop(task_id, None)
        self._unplaced.pop(task_id, None)
