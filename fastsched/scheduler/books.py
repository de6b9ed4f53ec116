"""The scheduler's tables, and the operations that keep them and the core in step.

One concern: every reference that is counted is counted here: futures of clients, pins, values at hand, functions. The
modules beside this one decide; they change the tables through these verbs, so that `invariants` can recompute each of
them. No clock, no socket; may import ground (`wire`, `_core`, `config`, `errors`) and `records`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

from fastsched._core import SchedulerCore, State
from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.scheduler.fids import Fids
from fastsched.scheduler.outbox import Batch, Outbox
from fastsched.scheduler.records import ClientRecord, Function, WantPair, WorkerRecord
from fastsched.scheduler.task import TaskRecord, extras_of, specify
from fastsched.wire.items import make
from fastsched.wire.messages import Buffer, ErrorItem, FailedItem, Frames, FunctionItem, ResultItem

__all__ = ["Books", "row_of", "weigh"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_TELL_FINISHED, _TELL_ERRED = int(Batch.FINISHED), int(Batch.ERRED)
_RELEASED, _WAITING, _READY = int(State.RELEASED), int(State.WAITING), int(State.READY)
_ASSIGNED, _IN_MEMORY, _ERRED = int(State.ASSIGNED), int(State.MEMORY), int(State.ERRED)

_ROW = 0xFFFFFFFF  # a constant of this size in the midst of code would be an object

HOLDERS = 4  # addresses that are named for one value: more would be bytes, not help
MOST_INLINED = 0x7FFFFFFF  # what a record can count


def row_of(task_id: int) -> int:
    """The part of a task id that is its row."""
    return task_id & _ROW


def weigh(frames: Frames) -> int:
    """Bytes of a pickled value."""
    total = 0
    for frame in frames:
        total += frame.view.nbytes if type(frame) is Buffer else len(frame)
    return total


class Books:
    """Everything that the scheduler knows.

    Parameters
    ----------
    config : Config
        Budgets and limits.
    epoch : int
        The first generation of task ids.
    """

    def __init__(self, config: Config, epoch: int = 1) -> None:
        self.config = config
        self.core = SchedulerCore(locality_bytes=config.locality_bytes, first_generation=epoch)
        self.records: list[TaskRecord | None] = []  # by row of the core
        self.keys: dict[str, TaskRecord] = {}
        self.holds: dict[int, int] = {}  # by task id: how often it is held, so that it is not forgotten
        self.functions: dict[bytes, Function] = {}  # as long as they are used
        self.clients: dict[int, ClientRecord] = {}  # by peer; workers are clients too
        self.leaving: list[ClientRecord] = []  # clients that are gone, of which futures are still to be released
        self.workers: dict[int, WorkerRecord] = {}  # by peer
        self.names: dict[str, WorkerRecord] = {}
        self.handles: dict[int, WorkerRecord] = {}  # by row of the core
        self.dirty: list[Outbox] = []  # with something to send
        self.retained = 0  # bytes of values at hand, of those that count against Config.retain_budget
        self.passing: list[TaskRecord] = []  # values at hand until the end of this turn only
        # limits that are looked at for each value
        self.inline_bytes = min(config.inline_bytes, MOST_INLINED)
        self.inline_budget = config.inline_budget
        self.retain_budget = config.retain_budget
        self.hopeless: str | None = None  # why no worker will come, if supervision gave up
        self.gathering = False  # nothing is placed yet; see `heritage`

    # -- tasks --------------------------------------------------------------------------------------------------------

    def enter(self, record: TaskRecord, task_id: int) -> None:
        """File a record under the row that the core gave it."""
        record.id = task_id
        row = row_of(task_id)
        records = self.records
        if row == len(records):  # the core takes new rows one after the other
            records.append(record)
        else:
            records[row] = record
        if record.keyed:
            self.keys[record.key] = record
        self._use(record)

    def specify(
        self,
        record: TaskRecord,
        function: Function,
        args: Frames,
        dependencies: tuple[TaskRecord, ...],
        pins: tuple[TaskRecord, ...],
    ) -> None:
        """The task behind a row of which nothing but the key was known. The caller has told the core."""
        specify(record, function, args, dependencies, pins)
        self._use(record)

    def _use(self, record: TaskRecord) -> None:
        """A specification refers to a function and to what it pins."""
        if record.function is not None:
            record.function.users += 1
        if record.extras is not None:
            for pin in record.extras.pins:
                self.core.want(pin.id)

    def record(self, task_id: int) -> TaskRecord:
        """The record of a row that the core knows, or has just forgotten."""
        return self.at(row_of(task_id))

    def at(self, row: int) -> TaskRecord:
        """The record of a row."""
        record = self.records[row]
        if record is None:
            raise KeyError(f"there is no record at row {row}")
        return record

    def task_of(self, key: str) -> TaskRecord | None:
        """The task of this key, None if there is none.

        One that lost its last want earlier in this turn is gone from the core, although its FORGET is still to come.
        """
        record = self.keys.get(key)
        if record is None or self.core.known(record.id):
            return record
        self.unkey(record)
        return None

    def forget(self, record: TaskRecord) -> None:
        """The core recycles the row: drop everything that the record holds."""
        self.drop_value(record)
        self.unkey(record)
        if record.extras is not None:
            for pin in record.extras.pins:
                self.unwant(pin)
            for task in record.extras.held:
                self.let_go(task)
        if record.function is not None:
            self._disuse(record.function)
        self.records[row_of(record.id)] = None

    def unwant(self, record: TaskRecord) -> None:
        """One reference less. An error that nobody looks at is no outcome any more: the task may be computed again."""
        self.core.unwant(record.id)
        if record.error is not None and self.core.known(record.id) and self.core.state(record.id) == _RELEASED:
            record.told = 0

    def hold(self, record: TaskRecord) -> None:
        """It stays known, though nobody may need it: then it is not computed."""
        task_id = record.id
        self.holds[task_id] = self.holds.get(task_id, 0) + 1
        self.core.hold(task_id)

    def let_go(self, record: TaskRecord) -> None:
        """One hold less."""
        task_id = record.id
        holds = self.holds.pop(task_id)
        if holds > 1:
            self.holds[task_id] = holds - 1
        else:
            self.core.let_go(task_id)

    def unkey(self, record: TaskRecord) -> None:
        """From now on a task of this key is another task."""
        if record.keyed:
            record.keyed = False
            del self.keys[record.key]

    def fail(self, record: TaskRecord, kind: int, text: str, worker: str = "") -> None:
        """End a task without a value (`kind`: an `ErrorKind`), in whatever state it is; what needs it ends with it."""
        record.error = make(ErrorItem, (kind, None, record.key, worker, self.core.run(record.id), text))
        record.told = 0
        self.core.err(record.id)

    # -- values at hand ----------------------------------------------------------------------------------------------

    def keep_value(self, record: TaskRecord, frames: Frames) -> None:
        """Hold a small value: within the budget for as long as it lives, else until the end of this turn."""
        size = weigh(frames)
        record.frames = frames
        if self.retained + size > self.retain_budget:
            self.passing.append(record)
        self.retained += size

    def lose_value(self, record: TaskRecord) -> None:
        """The value is lost: so is the copy here. What it pinned stays: somebody may look into a copy only now."""
        if record.frames is not None:
            self.retained -= weigh(record.frames)
            record.frames = None

    def drop_value(self, record: TaskRecord) -> None:
        """The value is freed: so is the copy here, and what it pinned."""
        self.lose_value(record)
        extras = record.extras
        if extras is not None and extras.value_pins:
            pins, extras.value_pins = extras.value_pins, ()
            for pin in pins:
                self.unwant(pin)

    def pin_value(self, record: TaskRecord, pins: Sequence[TaskRecord]) -> None:
        """The value of `record` contains futures of these tasks: they stay as long as it does.

        So do those in a copy of it that was lost before. As with any counting of references, two values that contain
        each other's futures are never freed.
        """
        if not pins:
            return
        extras = extras_of(record)
        known = {record, *extras.value_pins}
        fresh = [pin for pin in dict.fromkeys(pins) if pin not in known]
        extras.value_pins += tuple(fresh)
        for pin in fresh:
            self.core.want(pin.id)

    def let_pass(self) -> None:
        """End of the turn: values over the budget are dropped here; their workers hold them."""
        if not self.passing:
            return
        passing, self.passing = self.passing, []
        for record in passing:
            if record.frames is not None:
                self.retained -= weigh(record.frames)
                record.frames = None

    def addresses(self, record: TaskRecord, but: WorkerRecord | None = None) -> tuple[str, ...]:
        """Where a value can be fetched, as far as it is worth saying; from silent workers if there are no others."""
        found = []
        silent = []
        for handle in self.core.holders(record.id):
            worker = self.handles[handle]
            if worker is not but and worker.address and not worker.suspect:
                if worker.client.silent:
                    silent.append(worker.address)
                    continue
                found.append(worker.address)
                if len(found) == HOLDERS:
                    break
        return tuple(found or silent[:HOLDERS])

    # -- futures ------------------------------------------------------------------------------------------------------

    def attach(self, client: ClientRecord, fid: int, record: TaskRecord) -> None:
        """A client's future stands for this task. The caller has the core count it."""
        client.futures.put(fid, row_of(record.id))
        if record.client is None:
            record.client = client
            record.fid = fid
            return
        extras = extras_of(record)
        others = extras.others
        if others is None:
            others = extras.others = []
        others.append((client, fid))
        # Released futures stay in the list until it has doubled: removal would be linear, a dict per task too large.
        length = len(others)
        if length >= 16 and length & (length - 1) == 0:
            extras.others = self._others(record)

    def detach(self, client: ClientRecord, fid: int) -> TaskRecord:
        """A client's future is released. The caller has the core uncount it.

        Raises
        ------
        ProtocolError
            If the client has no such future.
        """
        row = client.futures.take(fid)
        if row < 0:
            raise ProtocolError(f"there is no future {fid}")
        record = self.at(row)
        if record.client is client and record.fid == fid:
            record.client = None
            client.inlined_bytes -= record.inlined
            record.inlined = 0
        elif client.inlined:
            client.inlined_bytes -= client.inlined.pop(fid, 0)
        return record

    def detach_all(self, client: ClientRecord) -> list[TaskRecord]:
        """The client has gone. The caller has the core uncount each of these."""
        futures, client.futures = client.futures, Fids()
        tasks = [self.at(row) for _, row in futures.items()]
        for record in tasks:
            if record.client is client:
                record.client = None
                record.inlined = 0
        client.inlined.clear()
        client.inlined_bytes = 0
        return tasks

    def future(self, client: ClientRecord, fid: int) -> TaskRecord:
        """The task for which a client's future stands.

        Raises
        ------
        ProtocolError
            If the client has no such future.
        """
        row = client.futures.row(fid)
        if row < 0:
            raise ProtocolError(f"there is no future {fid}")
        return self.at(row)

    def listeners(self, record: TaskRecord) -> list[WantPair]:
        """The futures that stand for a task now."""
        pairs = [] if record.client is None else [(record.client, record.fid)]
        if record.extras is not None:
            pairs += self._others(record)
        return pairs

    def _others(self, record: TaskRecord) -> list[WantPair]:
        """The further futures of a task that are not released."""
        extras, row = record.extras, row_of(record.id)
        found: list[WantPair] = []
        if extras is None or extras.others is None:
            return found
        for client, fid in extras.others:
            if client.futures.row(fid) == row:
                found.append((client, fid))
        return found

    def tell(self, kind: int, record: TaskRecord) -> None:
        """Tell the futures that stand for a task what became of it (`kind`: a `Batch`, FINISHED, ERRED or LOST)."""
        if record.client is not None:
            self.tell_one(kind, record, record.client, record.fid)
        if record.extras is not None and record.extras.others is not None:
            for client, fid in self.listeners(record):
                if client is not record.client or fid != record.fid:
                    self.tell_one(kind, record, client, fid)

    def tell_one(self, kind: int, record: TaskRecord, client: ClientRecord, fid: int) -> None:
        """Tell one of them."""
        if kind == _TELL_FINISHED:
            self._tell_finished(record, client, fid)
        elif kind == _TELL_ERRED:
            error = record.error
            if error is None:
                raise AssertionError(f"{record} erred without an error")
            size = 0 if error.frames is None else weigh(error.frames)
            client.outbox.add(_TELL_ERRED, make(FailedItem, (fid, error)), size)
        else:
            client.outbox.add(kind, fid)

    def _tell_finished(self, record: TaskRecord, client: ClientRecord, fid: int) -> None:
        """The value is there; it goes along if it is at hand, small, and within the client's budget."""
        frames = record.frames
        size = 0
        if frames is not None:
            size = weigh(frames)
            if size > self.inline_bytes or not self._spend(record, client, fid, size):
                frames, size = None, 0
        client.outbox.add(_TELL_FINISHED, make(ResultItem, (fid, record.type_name, record.nbytes, frames)), size)

    def _spend(self, record: TaskRecord, client: ClientRecord, fid: int, size: int) -> bool:
        """Count what travels to a future against its client's budget, once; False if it is too much."""
        first = record.client is client and record.fid == fid
        if record.inlined if first else fid in client.inlined:
            return True
        if client.inlined_bytes + size > self.inline_budget:
            return False
        client.inlined_bytes += size
        if first:
            record.inlined = size
        else:
            client.inlined[fid] = size
        return True

    def tell_present(self, client: ClientRecord, fid: int, record: TaskRecord) -> None:
        """Tell a future that has just been attached to a known task what the others have been told already."""
        state = self.core.state(record.id)
        if state not in (_IN_MEMORY, _ERRED):
            record.told = 0
        elif record.told == state:  # else an effect of this turn will tell all of them
            self.tell_one(_TELL_FINISHED if state == _IN_MEMORY else _TELL_ERRED, record, client, fid)

    # -- functions -----------------------------------------------------------------------------------------------------

    def learn(self, client: ClientRecord, items: Sequence[tuple[bytes, Frames]]) -> None:
        """A client's connection brings functions."""
        for fn, frames in items:
            function = self.functions.get(fn)
            if function is None:
                function = self.functions[fn] = Function(fn, frames)
            if fn not in client.functions:
                client.functions[fn] = function
                function.users += 1
            client.functions.move_to_end(fn)  # sent again, because the other end had forgotten it: now it is the newest

    def trim(self, client: ClientRecord) -> None:
        """Forget the oldest functions of a connection beyond its bound; its other end does the same."""
        while len(client.functions) > self.config.functions:
            self._disuse(client.functions.popitem(last=False)[1])

    def unlearn(self, client: ClientRecord) -> None:
        """The connection that brought these functions has ended."""
        functions, client.functions = client.functions, OrderedDict()
        for function in functions.values():
            self._disuse(function)

    def _disuse(self, function: Function) -> None:
        """A task or a connection refers to it no longer."""
        function.users -= 1
        if not function.users:
            del self.functions[function.fn]

    def send_function(self, worker: WorkerRecord, function: Function) -> None:
        """Send a function to a worker that does not have it."""
        worker.functions[function.fn] = None
        evicts = len(worker.functions) > self.config.functions
        if evicts:
            worker.functions.popitem(last=False)
        item = make(FunctionItem, (function.fn, function.frames))
        worker.outbox.add_function(item, weigh(function.frames), evicts)

    # -- peers --------------------------------------------------------------------------------------------------------

    def worker(self, handle: int) -> WorkerRecord:
        """The worker of a row of the core."""
        return self.handles[handle]

    def settle_open(self, worker: WorkerRecord) -> None:
        """It gets new tasks if nothing speaks against it."""
        shut = self.gathering or worker.brings or worker.suspect or worker.full or worker.retiring
        shut = shut or worker.client.silent or worker.returns > 0.0
        self.core.set_open(worker.handle, not shut)

    def outbox(self, peer: int) -> Outbox:
        """A new outbox for a connection."""
        return Outbox(peer, self.config.batch_items, self.dirty)

    def unfinished(self) -> Iterator[TaskRecord]:
        """Tasks that somebody waits for."""
        for record in self.records:
            if record is not None and self.core.known(record.id):
                state = self.core.state(record.id)
                if state in (_WAITING, _READY, _ASSIGNED):
                    yield record
