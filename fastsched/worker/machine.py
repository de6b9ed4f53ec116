"""What a worker does with what it is told: the machine of one worker, without threads, sockets or a clock.

One concern: tasks and values of this worker. The scheduler's messages go in by `receive`, the executor's and the
fetcher's news by verbs of their own (`finished`, `failed`, `secede`, `rejoin`, `fetched`, `fetch_failed`); what is to
be done comes out of `drain` as a list of actions. `worker.server` holds it under one lock; tests and the simulation
drive it alone.

Theory of operation ------------------- The machine holds a `SchedulerCore` with one worker: itself. A task that the
scheduler sends is a row there, an input that is not here yet is an EXTERNAL row; so waiting for inputs, priorities,
slots, secede and rejoin are the core's. ASSIGN means "start in a slot". Every row that the scheduler knows to be here
(its task, a replica that was announced) is *held*: one reference in the core in the scheduler's name, which `Free`,
`Drop` and `Retract` give up. What nobody holds or needs the core forgets by itself.

Task ids are the scheduler's, rows are ours; `_ids` leads from one to the other. It names the *current* row of an id
only: a running attempt that was dropped keeps its row and its slot until its thread is through, while a newer attempt
of the same task has a row of its own already.

May import: _core, messages, config, and its own room's records.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from fastsched._core import Effect, SchedulerCore, State
from fastsched.config import MIB, Config
from fastsched.wire.messages import (
    Data,
    DatumItem,
    Drop,
    ErredItem,
    ErrorItem,
    ErrorKind,
    FinishedItem,
    Frames,
    Free,
    FunctionItem,
    GetData,
    InputItem,
    Message,
    MissingItem,
    Put,
    PutItem,
    Retract,
    Run,
    RunItem,
)
from fastsched.worker.jobs import Action, Fetch, Fetching, Function, Input, Job, Resume, Send, Start
from fastsched.worker.news import News
from fastsched.worker.store import Store, Value

__all__ = ["SCHEDULER", "WorkerMachine"]

SCHEDULER = 0
"""The one peer that gives orders; peers that ask for data have other numbers."""

FETCH_BYTES = 64 * MIB
"""Inputs are asked for in portions of about this size: the first can be used while the rest travels."""

# Plain ints: comparing with a member of an IntEnum costs ten times as much, and there are four effects per task.
_ASSIGN, _FREE, _FORGET = int(Effect.ASSIGN), int(Effect.FREE), int(Effect.FORGET)
_FETCH, _REJOIN = int(Effect.FETCH), int(Effect.REJOIN)
_WAITING, _READY, _ASSIGNED, _IN_MEMORY = (
    int(State.WAITING), int(State.READY), int(State.ASSIGNED), int(State.MEMORY),
)  # fmt: skip


class WorkerMachine:
    """One worker.

    Parameters
    ----------
    config : Config
        Limits.
    nthreads : int
        Slots: how many tasks run at the same time.
    name : str
        The worker's name, for errors.
    address : str
        Where this worker serves its data, so that it never asks itself.
    seed : int
        Of the choice between several holders of an input.
    """

    def __init__(self, config: Config, nthreads: int, name: str = "", address: str = "", seed: int = 0) -> None:
        self.name = name
        self.address = address
        self.stale = 0  # orders and news that came too late
        self._config = config
        self._core = SchedulerCore()
        self._me = self._core.add_worker(nthreads)
        self._rows: dict[int, Job | Input] = {}
        self._ids: dict[int, int] = {}  # the scheduler's id -> row
        self._store = Store()
        self._functions: dict[bytes, Function] = {}
        self._fetching: dict[int, Fetching] = {}  # by the scheduler's id
        self._lent = 0  # wanted jobs without a slot
        self._random = random.Random(seed)
        self._starts: list[Start | Resume] = []
        self._asks: list[tuple[str, int, int]] = []  # (address, id, bytes)
        self._answers: list[Action] = []
        self._news = News(config.batch_items)
        self._handlers: dict[type, Callable[[Any], None]] = {
            Run: self._on_run,
            Free: self._on_free,
            Retract: self._on_retract,
            Drop: self._on_drop,
            Put: self._on_put,
        }

    # -- orders -----------------------------------------------------------------------------------------------------

    def receive(self, peer: int, message: Message, now: float) -> None:
        """Take one message: an order of the scheduler, or `GetData` of any peer.

        Raises
        ------
        TypeError
            If a worker has nothing to do with such a message: the caller's bug, the wire lets none through.
        """
        if type(message) is GetData:
            self._answers.append(Send(peer, Data(message.request, self.read(message.ids))))
            return
        handler = self._handlers.get(type(message))
        if handler is None or peer != SCHEDULER:
            raise TypeError(f"a worker's machine does not take {type(message).__name__} from peer {peer}")
        handler(message)
        self._settle()

    def _on_run(self, message: Run) -> None:
        for function in message.functions:
            self._learn(function)
        for item in message.tasks:
            self._accept(item)

    def _learn(self, item: FunctionItem) -> None:
        """The scheduler forgets its oldest at the same bound, and then sends them again; jobs hold on to theirs."""
        fn, frames = item
        known = self._functions.pop(fn, None)
        self._functions[fn] = known or Function(fn, frames)
        if len(self._functions) > self._config.functions:
            del self._functions[next(iter(self._functions))]

    def _accept(self, item: RunItem) -> None:
        id, attempt, key, fn, _, inputs, priority, order = item
        if id in self._ids and not self._replace(id, attempt):
            return
        function = self._functions.get(fn)
        if function is None:
            text = f"the function of task {key!r} is not known to worker {self.name!r}"
            error = ErrorItem(ErrorKind.SERIALIZATION, None, key, self.name, attempt, text)
            self._news.erred.append(ErredItem(id, attempt, error))
            return
        if not inputs:
            job = Job(item, function, ())
            row = self._core.add_task((), priority, order)
        else:
            missing = tuple(entry[0] for entry in inputs if not self._obtainable(entry))
            if missing:
                self._news.missing.append(MissingItem(id, attempt, missing))
                return
            job = Job(item, function, [self._input_row(entry) for entry in inputs])
            row = self._core.add_task(job.inputs, priority, order)
            for source, entry in zip(job.inputs, inputs, strict=True):
                self._fill(source, entry)
        job.row = row
        self._rows[row] = job
        self._ids[id] = row

    def _replace(self, id: int, attempt: int) -> bool:
        """Make way for an attempt at a task that has a row here. False: there is nothing to run."""
        old = self._rows[self._ids[id]]
        if isinstance(old, Job):
            if attempt <= old.attempt:
                self.stale += 1
                return False
            value = self._store.get(old.row)
            if value is not None:
                # Freed while a task here still needs it, and asked for again: the value is at hand.
                old.attempt = attempt
                self._hold(old)
                self._announce(old, value, 0, ())
                return False
            self._forsake(old)
        else:
            if old.row not in self._store:
                self._miss(old.row)  # nobody has it, or we would not be asked to compute it
                self._drop_fetch(id)
            self._let_go(old)
            del self._ids[id]
        self._settle()  # rows that were forgotten by this must not be found by the task to come
        return True

    # -- inputs -----------------------------------------------------------------------------------------------------

    def _obtainable(self, item: InputItem) -> bool:
        id, _, _, frames, addresses = item
        row = self._ids.get(id)
        if row is not None:
            return row in self._store or isinstance(self._rows[row], Input)
        return frames is not None or any(address != self.address for address in addresses)

    def _input_row(self, item: InputItem) -> int:
        """The row of an input, made if it has none. A new one rests until the task needs it."""
        id, key, nbytes, frames, addresses = item
        row = self._ids.get(id)
        if row is None:
            row = self._core.add_external(0, nbytes)
            self._ids[id] = row
            self._rows[row] = Input(id, key, row)
        if frames is None and row not in self._store:
            fetching = self._fetching.get(id)
            if fetching is None:
                fetching = self._fetching[id] = Fetching(nbytes)
            fetching.row = row  # it may have been asked for by others, who lost interest before it came
            known = (self.address, fetching.asked, *fetching.addresses)
            fetching.addresses += [address for address in addresses if address not in known]
        return row

    def _fill(self, row: int, item: InputItem) -> None:
        """Use the value that came with the task, if the row still waits for one."""
        frames = item[3]
        if frames is not None and row not in self._store:
            self._drop_fetch(item[0])
            self._keep(row, Value(frames))

    def _keep(self, row: int, value: Value) -> bool:
        """Hold the value of an input; False if nobody needs it."""
        if not self._core.replica(row, self._me, value.nbytes):
            return False
        self._store.put(row, value)
        return True

    def _drop_fetch(self, id: int) -> None:
        """Nobody waits for this any more; an answer that is under way will be thrown away."""
        fetching = self._fetching.get(id)
        if fetching is not None:
            if fetching.asked:
                fetching.row = 0
            else:
                del self._fetching[id]

    def _start_fetch(self, row: int) -> None:
        id = self._rows[row].id
        fetching = self._fetching.get(id)
        if fetching is not None and fetching.row == row and not fetching.asked:
            self._ask(id, fetching)  # else: it came with the task, or is under way

    def _ask(self, id: int, fetching: Fetching) -> None:
        """Ask one more address; without one, the tasks that wait for the value cannot start here."""
        if not fetching.addresses:
            del self._fetching[id]
            self._miss(fetching.row)
            return
        at = self._random.randrange(len(fetching.addresses))  # not everybody's first choice shall be the same holder
        fetching.asked = fetching.addresses.pop(at)
        self._asks.append((fetching.asked, id, fetching.nbytes))

    def _fetches(self) -> list[Action]:
        """What is to be asked for, one action per address, cut where an answer would become too large."""
        asks: dict[str, list[int]] = {}
        room: dict[str, int] = {}
        fetches: list[Action] = []
        for address, id, nbytes in self._asks:
            ids = asks.setdefault(address, [])
            if ids and nbytes > room[address]:
                fetches.append(Fetch(address, tuple(ids)))
                ids.clear()
            if not ids:
                room[address] = FETCH_BYTES
            ids.append(id)
            room[address] -= nbytes
        self._asks = []
        return fetches + [Fetch(address, tuple(ids)) for address, ids in asks.items()]

    def _miss(self, row: int) -> None:
        """Give back every task that waits for this input."""
        id = self._rows[row].id
        for dependent in self._core.dependents(row):
            job = self._rows[dependent]
            if isinstance(job, Job) and job.wanted and not job.started:
                self._news.missing.append(MissingItem(job.id, job.attempt, (id,)))
                self._forsake(job)

    def fetched(self, address: str, items: Iterable[tuple[int, Frames | None]], now: float) -> None:
        """The answer of the worker at `address` to a `Fetch`; frames of None: it has no such value."""
        for id, frames in items:
            fetching = self._fetching.get(id)
            if fetching is None or fetching.asked != address:
                self.stale += 1
                continue
            fetching.asked = ""
            if fetching.row == 0:
                del self._fetching[id]
            elif frames is None:
                self._ask(id, fetching)
            else:
                del self._fetching[id]
                value = Value(frames)
                if self._keep(fetching.row, value):
                    self._hold(self._rows[fetching.row])
                    self._news.replicas.append((id, value.nbytes))
        self._settle()

    def fetch_failed(self, address: str, ids: Iterable[int], now: float) -> None:
        """The worker at `address` cannot be reached, or left before it answered."""
        self.fetched(address, [(id, None) for id in ids], now)

    # -- the scheduler changes its mind -----------------------------------------------------------------------------

    def _hold(self, entry: Job | Input) -> None:
        if not entry.held:
            entry.held = True
            self._core.want(entry.row)

    def _let_go(self, entry: Job | Input) -> None:
        if entry.held:
            entry.held = False
            self._core.unwant(entry.row)

    def _current(self, id: int, attempt: int) -> Job | None:
        """The job of exactly this attempt."""
        row = self._ids.get(id)
        job = None if row is None else self._rows[row]
        if not isinstance(job, Job) or job.attempt != attempt:
            self.stale += 1
            return None
        return job

    def _forsake(self, job: Job) -> None:
        """The scheduler wants no more of this attempt. If it runs it keeps its slot until its thread is through."""
        if self._ids.get(job.id) == job.row:
            del self._ids[job.id]
        if job.wanted:
            job.wanted = False
            self._lent -= job.seceded
        if not job.started:
            self._let_go(job)

    def _on_free(self, message: Free) -> None:
        for id in message.ids:
            row = self._ids.get(id)
            entry = None if row is None else self._rows[row]
            if entry is None or not entry.held or row not in self._store:
                self.stale += 1  # a replica that came and went, or one that was never announced
            else:
                self._let_go(entry)

    def _on_retract(self, message: Retract) -> None:
        for id, attempt in message.attempts:
            job = self._current(id, attempt)
            if job is not None and not job.started:
                self._forsake(job)
                self._news.returned.append((id, attempt))

    def _on_drop(self, message: Drop) -> None:
        for id, attempt in message.attempts:
            job = self._current(id, attempt)
            if job is None:
                continue
            if job.row in self._store:
                self._let_go(job)  # it was faster than the order: as a Free
            else:
                self._forsake(job)

    def _on_put(self, message: Put) -> None:
        for item in message.items:
            self._put(item)

    def _put(self, item: PutItem) -> None:
        id, key, type_name, frames = item
        row = self._ids.get(id)
        if row is None:
            row = self._core.add_external(1)
            entry = self._rows[row] = Input(id, key, row)
            entry.held = True
            self._ids[id] = row
        elif row not in self._store and isinstance(self._rows[row], Job):
            self.stale += 1  # a task of that id runs here: its own value will do
            return
        else:
            self._hold(self._rows[row])
        value = self._store.get(row)
        if value is None:
            value = Value(frames, type_name)
            self._drop_fetch(id)
            self._keep(row, value)
        self._news.replicas.append((id, value.nbytes))

    # -- news of the executor ---------------------------------------------------------------------------------------

    def finished(self, job: Job, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        """The job's thread has its value. `micros`: its run time; `pins`: keys of futures inside the value."""
        if not self._core.finish(job.row, job.run, self._me, value.nbytes):
            raise AssertionError(f"{job!r} finished, but did not run")
        self._store.put(job.row, value)
        job.values = ()
        if job.wanted:
            self._lent -= job.seceded
            self._announce(job, value, micros, pins)
        else:
            self._let_go(job)
        job.seceded = False
        self._settle()

    def _announce(self, job: Job, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        nbytes = value.nbytes
        frames = value.frames if nbytes <= self._config.inline_bytes else None
        self._news.finished.append(FinishedItem(job.id, job.attempt, value.type_name, nbytes, micros, frames, pins))

    def failed(self, job: Job, error: ErrorItem) -> None:
        """The job's thread ended without a value."""
        if not self._core.fail(job.row, job.run, self._me):
            raise AssertionError(f"{job!r} failed, but did not run")
        job.values = ()
        job.started = False
        if job.wanted:
            self._news.erred.append(ErredItem(job.id, job.attempt, error))
        self._forsake(job)
        job.seceded = False
        self._settle()

    def secede(self, job: Job) -> bool:
        """The job lends its slot; False if it has none to lend."""
        if job.seceded or not self._core.secede(job.row):
            return False
        job.seceded = True
        self._lent += job.wanted
        self._settle()
        return True

    def rejoin(self, job: Job) -> bool:
        """The job wants a slot again. True: it has one; False: a `Resume` will follow."""
        if not job.seceded:
            return True
        resumed = self._core.rejoin(job.row)
        if resumed:
            self._resumed(job)
        self._settle()
        return resumed

    def _resumed(self, job: Job) -> None:
        job.seceded = False
        self._lent -= job.wanted

    # -- what the turn brought --------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Let the core place what it can, and follow its effects. The last step of every verb."""
        effects = self._core.drain()
        while effects:
            for kind, row, _, run in effects:
                if kind == _ASSIGN:
                    self._start(self._rows[row], run)
                elif kind == _FREE:
                    self._store.pop(row)
                elif kind == _FORGET:
                    self._forget(row)
                elif kind == _FETCH:
                    self._start_fetch(row)
                elif kind == _REJOIN:
                    job = self._rows[row]
                    self._resumed(job)
                    self._starts.append(Resume(job))
            effects = self._core.drain() if self._core.n_effects else ()

    def _start(self, job: Job, run: int) -> None:
        job.run = run
        job.started = True
        if job.inputs:
            store = self._store
            job.values = [store.get(row) for row in job.inputs]
        self._starts.append(Start(job))

    def _forget(self, row: int) -> None:
        entry = self._rows.pop(row)
        if self._ids.get(entry.id) == row:
            del self._ids[entry.id]
            fetching = self._fetching.get(entry.id)
            if fetching is not None and fetching.row == row:
                self._drop_fetch(entry.id)

    def starts(self) -> list[Start | Resume]:
        """Only what threads wait for. The rest stays for the next `drain`."""
        starts = self._starts
        if starts:
            self._starts = []
        return starts

    @property
    def has_news(self) -> bool:
        """Whether `drain` would give more than `starts`."""
        return bool(self._asks or self._answers) or self._news.waits(self._lent)

    def drain(self) -> list[Action]:
        """All that is to be done, and nothing is left: starts, fetches, answers and messages to the scheduler."""
        actions: list[Action] = [*self.starts()]
        if self._asks:
            actions += self._fetches()
        if self._answers:
            actions += self._answers
            self._answers = []
        actions += [Send(SCHEDULER, done) for done in self._news.take(self._lent)]
        return actions

    def tick(self, now: float) -> None:
        """Nothing here waits for a time."""

    def next_deadline(self) -> float | None:
        """Nothing here waits for a time."""
        return None

    # -- questions --------------------------------------------------------------------------------------------------

    def frames_of(self, id: int) -> Frames | None:
        """A value that is here."""
        row = self._ids.get(id)
        value = None if row is None else self._store.get(row)
        return None if value is None else value.frames

    def read(self, ids: Iterable[int]) -> tuple[DatumItem, ...]:
        """The answer to `GetData`."""
        return tuple(DatumItem(id, self.frames_of(id)) for id in ids)

    @property
    def nbytes(self) -> int:
        """Bytes of all values here."""
        return self._store.nbytes

    @property
    def lent(self) -> int:
        """Wanted tasks that hold no slot at the moment."""
        return self._lent

    def started(self) -> list[Job]:
        """Jobs that threads run, or are about to."""
        return [job for job in self._jobs() if job.started and job.row not in self._store]

    def queued(self) -> list[Job]:
        """Jobs that wait for inputs or for a slot."""
        return [job for job in self._jobs() if not job.started]

    def _jobs(self) -> list[Job]:
        return [entry for entry in self._rows.values() if isinstance(entry, Job)]

    def check(self) -> None:
        """Recompute every invariant from scratch; AssertionError says which one does not hold."""
        core, store = self._core, self._store
        core.check()
        store.check()
        _expect(set(core.tasks()) == set(self._rows), "the core and the machine know the same rows")
        in_memory = {row for row in self._rows if core.state(row) == _IN_MEMORY}
        _expect(in_memory == set(store.rows()), "the values of the store are the rows in memory")
        _expect(core.occupancy(self._me) <= core.slots(self._me), "no more tasks hold a slot than there are")
        _expect(not core.n_ready or core.free_slots(self._me) == 0, "no slot is free while a task is ready")
        for id, row in self._ids.items():
            _expect(self._rows[row].id == id, f"the row of {id:#x} is its own")
        for row, entry in self._rows.items():
            _expect(core.wants(row) == entry.held, f"{entry!r}: the core's reference is the scheduler's")
            if isinstance(entry, Input):
                self._check_input(entry)
            else:
                self._check_job(entry)
        for id, fetching in self._fetching.items():
            _expect(
                fetching.row == self._ids.get(id) or (not fetching.row and fetching.asked), f"{id:#x} is waited for"
            )
        lent = sum(job.seceded and job.wanted for job in self._jobs())
        _expect(lent == self._lent, f"{self._lent} tasks are said to hold no slot, but {lent} do")

    def _check_input(self, entry: Input) -> None:
        if self._core.state(entry.row) != _IN_MEMORY:
            _expect(self._ids.get(entry.id) == entry.row, f"{entry!r}: is current while it waits")
            fetching = self._fetching.get(entry.id)
            _expect(fetching is not None and fetching.asked != "", f"{entry!r}: was asked for")

    def _check_job(self, job: Job) -> None:
        state = self._core.state(job.row)
        if state == _IN_MEMORY:
            _expect(not job.seceded, f"{job!r}: has finished and lends nothing")
            return
        _expect(job.started == (state == _ASSIGNED), f"{job!r}: runs here and in the core")
        _expect(job.started or state in (_WAITING, _READY), f"{job!r}: waits here and in the core")
        _expect(job.started or job.wanted, f"{job!r}: what is not wanted any more is not in the queue")
        _expect(job.wanted == (self._ids.get(job.id) == job.row), f"{job!r}: is current as long as it is wanted")
        if job.started:
            _expect(len(job.values) == len(job.inputs) and None not in job.values, f"{job!r}: started with its inputs")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"does not hold: {what}")
