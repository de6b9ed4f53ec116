"""What a worker does with what it is told: the machine of one worker, without threads, sockets or a clock.

One concern: tasks and values of this worker. The scheduler's messages go in by `receive`, the executor's and the
fetcher's news by verbs of their own (`finished`, `failed`, `secede`, `rejoin`, `fetched`, `fetch_failed`); what is to
be done comes out of `drain` as a list of actions. `worker.server` holds it under one lock; tests and the simulation
drive it alone.

Theory of operation
-------------------
The machine holds a `SchedulerCore` with one worker: itself. A task that the
scheduler sends is a row there, an input that is not here yet is an EXTERNAL row; so waiting for inputs, priorities,
slots, secede and rejoin are the core's. ASSIGN means "start in a slot". Every row that the scheduler knows to be here
(its task, a replica that was announced) is *held*: one reference in the core in the scheduler's name, which `Free`,
`Drop` and `Retract` give up. What nobody holds or needs the core forgets by itself.

Task ids are the scheduler's, rows are ours; `_ids` leads from one to the other. It names the *current* row of an id
only: a running attempt that was dropped keeps its row and its slot until its thread is through, while a newer attempt
of the same task has a row of its own already; and a row whose value is gone stays behind, nameless, while a result
that was made from it lives.

A task may come before its inputs are computed, if they are computed here: its row depends on their rows, and the core
starts it when they are through, without a word to the scheduler. If such an input goes (it raised, was given back or
dropped), those that came because of it are forgotten without a word: the scheduler hears of the input, and that is
their end for it, too.

May import: _core, messages, config, and its own room's records.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastsched._core import Effect, SchedulerCore, State
from fastsched.config import Config
from fastsched.wire.items import make, quoted
from fastsched.wire.messages import (
    Data,
    DatumItem,
    Done,
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
from fastsched.worker.fetches import NOBODY, Fetches
from fastsched.worker.jobs import Action, Entry, Function, Input, Job, Resume, Send, Start
from fastsched.worker.news import News
from fastsched.worker.store import Store, Value

__all__ = ["SCHEDULER", "WorkerMachine"]

SCHEDULER = 0
"""The one peer that gives orders; peers that ask for data have other numbers."""

# Plain ints: to look up a member of an enum runs Python code, and to compare with one costs ten times as much.
_ASSIGN, _FREE, _FORGET = int(Effect.ASSIGN), int(Effect.FREE), int(Effect.FORGET)
_FETCH, _REJOIN, _ERR = int(Effect.FETCH), int(Effect.REJOIN), int(Effect.ERRED)
_RELEASED, _WAITING, _READY = int(State.RELEASED), int(State.WAITING), int(State.READY)
_ASSIGNED, _IN_MEMORY = int(State.ASSIGNED), int(State.MEMORY)
_SERIALIZATION = int(ErrorKind.SERIALIZATION)


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
        self._core = SchedulerCore()
        self._me = self._core.add_worker(nthreads)
        self._jobs: dict[int, Job] = {}  # by row
        self._inputs: dict[int, Input] = {}  # by row
        self._ids: dict[int, int] = {}  # the scheduler's id -> row
        self._store = Store()
        self._functions: dict[bytes, Function] = {}
        self._fetches = Fetches(seed)
        self._lent = 0  # the sum of `_lends` over the running jobs
        self._starts: list[Start | Resume] = []
        self._answers: list[Action] = []
        self._news = News(config.batch_items)
        self._most_functions = config.functions
        self._inline_bytes = config.inline_bytes

    # -- orders -----------------------------------------------------------------------------------------------------

    def receive(self, peer: int, message: Message, now: float) -> None:
        """Take one message: an order of the scheduler, or `GetData` of any peer.

        Raises
        ------
        TypeError
            If a worker has nothing to do with such a message: the caller's bug, the wire lets none through.
        """
        if type(message) is GetData:
            data = make(Data, (message.request, self.read(message.ids)))
            self._answers.append(make(Send, (peer, data)))
            return
        if peer != SCHEDULER:
            raise TypeError(f"a worker's machine does not take {type(message).__name__} from peer {peer}")
        if type(message) is Run:
            self._on_run(message)
        elif type(message) is Free:
            self._on_free(message)
        elif type(message) is Retract:
            self._on_retract(message)
        elif type(message) is Drop:
            self._on_drop(message)
        elif type(message) is Put:
            self._on_put(message)
        else:
            raise TypeError(f"a worker's machine has nothing to do with a {type(message).__name__}")
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
        if len(self._functions) > self._most_functions:
            del self._functions[next(iter(self._functions))]

    def _accept(self, item: RunItem) -> None:
        id, attempt, key, fn, _, inputs, priority, order = item
        if id in self._ids and not self._replace(id, attempt):
            return
        function = self._functions.get(fn)
        if function is None:
            text = f"the function of task {quoted(key)} is not known to worker {quoted(self.name)}"
            error = make(ErrorItem, (_SERIALIZATION, None, key, self.name, attempt, text))
            self._news.erred.append(make(ErredItem, (id, attempt, error)))
            return
        if not inputs:
            job = Job(item, function, ())
            row = self._core.add_task((), priority, order)
        else:
            missing = tuple([entry[0] for entry in inputs if not self._obtainable(entry)])
            if missing:
                self._news.missing.append(make(MissingItem, (id, attempt, missing)))
                return
            job = Job(item, function, [self._input_row(entry) for entry in inputs])
            row = self._core.add_task(job.inputs, priority, order)
            for source, entry in zip(job.inputs, inputs, strict=True):
                self._fill(source, entry)
        job.row = row
        self._jobs[row] = job
        self._ids[id] = row

    def _replace(self, id: int, attempt: int) -> bool:
        """Make way for an attempt at a task that has a row here. False: there is nothing to run."""
        row = self._ids[id]
        old = self._jobs.get(row)
        if old is None:
            self._give_way(self._inputs[row])
        elif attempt <= old.attempt:
            self.stale += 1
            return False
        elif (value := self._store.get(row)) is not None:
            # Freed while a task here still needs it, and asked for again: the value is at hand.
            old.attempt = attempt
            self._hold(old)
            self._announce(old, value, 0, ())
            return False
        else:
            self._forsake(old)
        self._settle()  # rows that were forgotten by this must not be found by the task to come
        return True

    def _give_way(self, entry: Input) -> None:
        """A value from elsewhere is to be computed here: who waits for it waits in vain, who has it keeps it."""
        if entry.row not in self._store:
            self._miss(entry)
        self._let_go(entry)
        self._unmap(entry)

    # -- inputs -----------------------------------------------------------------------------------------------------

    def _obtainable(self, item: InputItem) -> bool:
        """Whether the value is here, or will be: by a task that is here, or from elsewhere."""
        id, _, _, frames, addresses = item
        if id in self._ids:
            return True
        return frames is not None or bool(self._elsewhere(addresses))

    def _elsewhere(self, addresses: Iterable[str]) -> list[str]:
        return [address for address in addresses if address != self.address]

    def _input_row(self, item: InputItem) -> int:
        """The row of an input, made if it has none. A new one rests until the task needs it.

        It may be that of a task, which need not have run yet.
        """
        id, key, nbytes, frames, addresses = item
        row = self._ids.get(id)
        if row is None:
            row = self._core.add_external(0, nbytes)
            self._ids[id] = row
            self._inputs[row] = Input(id, key, row, False)
        if frames is None and row in self._inputs and row not in self._store:
            self._fetches.add(id, row, nbytes, self._elsewhere(addresses))
        return row

    def _fill(self, row: int, item: InputItem) -> None:
        """Use the value that came with the task, if the row still waits for one."""
        frames = item[3]
        if frames is not None and row in self._inputs and row not in self._store:
            self._fetches.drop(item[0])
            self._keep(row, Value(frames))

    def _keep(self, row: int, value: Value) -> bool:
        """Store the value of an input; False if nobody needs it."""
        if not self._core.replica(row, self._me, value.nbytes):
            return False
        self._store.put(row, value)
        return True

    def _start_fetch(self, row: int) -> None:
        """The core has found that this input is needed."""
        entry = self._inputs[row]
        if self._fetches.row(entry.id) == row and not self._fetches.ask(entry.id):  # else it came with the task
            self._miss(entry)

    def _miss(self, entry: Input) -> None:
        """Give back every task that waits for this input."""
        if not self._core.known(entry.row):  # the tasks that waited for it were given back for another one
            return
        for dependent in self._core.dependents(entry.row):
            job = self._jobs[dependent]
            if job.wanted and not job.started and self._core.state(dependent) == _WAITING:
                self._news.missing.append(make(MissingItem, (job.id, job.attempt, (entry.id,))))
                self._forsake(job)

    def fetched(self, address: str, items: Iterable[tuple[int, Frames | None]], now: float) -> None:
        """The answer of the worker at `address` to a `Fetch`; frames of None: it has no such value."""
        for id, frames in items:
            row = self._fetches.answered(id, address)
            if row is None:
                self.stale += 1
            elif row == NOBODY:
                continue
            elif frames is not None:
                self._fetches.drop(id)
                self._fetched(self._inputs[row], Value(frames))
            elif not self._fetches.ask(id):
                self._miss(self._inputs[row])
        self._settle()

    def _fetched(self, entry: Input, value: Value) -> None:
        if self._keep(entry.row, value):
            self._hold(entry)
            self._news.replicas.append((entry.id, value.nbytes))

    def fetch_failed(self, address: str, ids: Iterable[int], now: float) -> None:
        """The worker at `address` cannot be reached, or left before it answered."""
        self.fetched(address, [(id, None) for id in ids], now)

    # -- the scheduler changes its mind -----------------------------------------------------------------------------

    def _hold(self, entry: Entry) -> None:
        if not entry.held:
            entry.held = True
            self._core.want(entry.row)

    def _let_go(self, entry: Entry) -> None:
        if entry.held:
            entry.held = False
            self._core.unwant(entry.row)

    def _current(self, id: int, attempt: int) -> Job | None:
        """The job of exactly this attempt."""
        job = self._jobs.get(self._ids.get(id, NOBODY))
        if job is None or job.attempt != attempt:
            self.stale += 1
            return None
        return job

    def _forsake(self, job: Job) -> None:
        """The scheduler wants no more of this attempt. If it runs it keeps its slot until its thread is through."""
        self._unmap(job)
        if job.wanted:
            job.wanted = False
            self._lent -= job.started
        if not job.started:
            if self._core.needed(job.row):
                self._core.err(job.row)  # those that came because of it go with it
            self._let_go(job)

    def _on_free(self, message: Free) -> None:
        for id in message.ids:
            row = self._ids.get(id, NOBODY)
            entry: Entry | None = self._jobs.get(row) or self._inputs.get(row)
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
            self._ids[id] = row
            self._inputs[row] = Input(id, key, row, True)
        elif row in self._jobs and row not in self._store:
            self.stale += 1  # a task of that id runs here: its own value will do
            return
        else:
            self._hold(self._jobs.get(row) or self._inputs[row])
        value = self._store.get(row)
        if value is None:
            value = Value(frames, type_name)
            self._fetches.drop(id)
            self._keep(row, value)
        self._news.replicas.append((id, value.nbytes))

    # -- news of the executor ---------------------------------------------------------------------------------------

    def finished(self, job: Job, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        """The job's thread has its value. `micros`: its run time; `pins`: keys of futures inside the value."""
        if not self._core.finish(job.row, job.run, self._me, value.nbytes):
            raise AssertionError(f"{job!r} finished, but did not run")
        self._store.put(job.row, value)
        job.release()
        self._lent -= job.lends()
        if job.wanted:
            self._announce(job, value, micros, pins)
        else:
            self._let_go(job)
        job.seceded = False
        self._settle()

    def _announce(self, job: Job, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        nbytes = value.nbytes
        frames = value.frames if nbytes <= self._inline_bytes else None
        item = make(FinishedItem, (job.id, job.attempt, value.type_name, nbytes, micros, frames, pins))
        self._news.finished.append(item)

    def failed(self, job: Job, error: ErrorItem) -> None:
        """The job's thread ended without a value."""
        if not self._core.fail(job.row, job.run, self._me):
            raise AssertionError(f"{job!r} failed, but did not run")
        job.release()
        self._lent -= job.lends()
        job.started = False
        if job.wanted:
            self._news.erred.append(make(ErredItem, (job.id, job.attempt, error)))
        self._forsake(job)
        job.seceded = False
        self._settle()

    def secede(self, job: Job) -> bool:
        """The job lends its slot; False if it has none to lend."""
        if job.seceded or not self._core.secede(job.row):
            return False
        job.seceded = True
        self._lent += 1
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
        self._lent -= 1

    # -- what the turn brought --------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Let the core place what it can, and follow its effects. The last step of every verb."""
        core = self._core
        while core.end_turn():
            while kind := core.next_effect():
                self._follow(kind, core.effect_id, core.effect_b)

    def _follow(self, kind: int, row: int, run: int) -> None:
        if kind == _ASSIGN:
            self._start(self._jobs[row], run)
        elif kind == _FREE:
            self._store.pop(row)
            self._unmap(self._jobs.get(row) or self._inputs[row])
        elif kind == _FORGET:
            self._forget(row)
        elif kind == _FETCH:
            self._start_fetch(row)
        elif kind == _ERR:
            job = self._jobs[row]
            if job.wanted:  # its input is gone
                self._forsake(job)
        elif kind == _REJOIN:
            job = self._jobs[row]
            self._resumed(job)
            self._starts.append(make(Resume, (job,)))

    def _start(self, job: Job, run: int) -> None:
        job.run = run
        job.started = True
        if job.inputs:
            job.values = [self._store[row] for row in job.inputs]
        self._starts.append(make(Start, (job,)))

    def _forget(self, row: int) -> None:
        entry: Entry | None = self._jobs.pop(row, None)
        if entry is None:
            entry = self._inputs.pop(row)
        if self._fetches.row(entry.id) == row:
            self._fetches.drop(entry.id)
        self._unmap(entry)

    def _unmap(self, entry: Entry) -> None:
        """This row is not the current one of its id any more."""
        if self._ids.get(entry.id) == entry.row:
            del self._ids[entry.id]

    def starts(self) -> list[Start | Resume]:
        """Only what threads wait for. The rest stays for the next `drain`."""
        if not self._starts:
            return []  # a list of the caller's own: ours is filled again, when the caller has dropped the lock
        starts, self._starts = self._starts, []
        return starts

    def has_news(self) -> bool:
        """Whether `drain` would give more than `starts`."""
        return bool(self._fetches or self._answers) or self._news.waits(self._lent)

    def reports(self) -> list[Done]:
        """Only what the scheduler shall hear."""
        return self._news.take(self._lent)

    def errands(self) -> list[Action]:
        """All but that: starts, fetches and answers to others."""
        actions: list[Action] = [*self.starts()]
        if self._fetches:
            actions += self._fetches.take()
        if self._answers:
            actions += self._answers
            self._answers = []
        return actions

    def drain(self) -> list[Action]:
        """All that is to be done, and nothing is left: errands first, then reports, as messages to the scheduler."""
        return self.errands() + [make(Send, (SCHEDULER, done)) for done in self.reports()]

    def tick(self, now: float) -> None:
        """Nothing here waits for a time."""

    def next_deadline(self) -> float | None:
        """Nothing here waits for a time."""
        return None

    def leave(self) -> None:
        """The worker stops by plan: what has no outcome yet is given back, to be run by others. Nobody is to blame."""
        for job in [*self.queued(), *self.started()]:
            if job.wanted:
                self._news.returned.append((job.id, job.attempt))
                self._forsake(job)
        self._settle()

    # -- questions --------------------------------------------------------------------------------------------------

    def frames_of(self, id: int) -> Frames | None:
        """A value that is here."""
        row = self._ids.get(id)
        value = None if row is None else self._store.get(row)
        return None if value is None else value.frames

    def read(self, ids: Iterable[int]) -> tuple[DatumItem, ...]:
        """The answer to `GetData`."""
        return tuple([make(DatumItem, (id, self.frames_of(id))) for id in ids])

    @property
    def n_rows(self) -> int:
        """Tasks and inputs that it knows."""
        return len(self._jobs) + len(self._inputs)

    @property
    def nbytes(self) -> int:
        """Bytes of all values here."""
        return self._store.nbytes

    @property
    def lent(self) -> int:
        """Wanted tasks that hold no slot at the moment, less the slots of running ones that nobody wants."""
        return self._lent

    def started(self) -> list[Job]:
        """Jobs that threads run, or are about to."""
        return [job for row, job in self._jobs.items() if job.started and self._core.state(row) == _ASSIGNED]

    def queued(self) -> list[Job]:
        """Jobs that wait for inputs or for a slot."""
        return [job for job in self._jobs.values() if not job.started]

    def check(self) -> None:
        """Recompute every invariant from scratch; AssertionError says which one does not hold."""
        core, store = self._core, self._store
        core.check()
        store.check()
        rows = [*self._jobs, *self._inputs]
        _expect(sorted(core.tasks()) == sorted(rows), "the core and the machine know the same rows")
        in_memory = {row for row in rows if core.state(row) == _IN_MEMORY}
        _expect(in_memory == set(store.rows()), "the values of the store are those of the rows in memory")
        _expect(core.occupancy(self._me) <= core.slots(self._me), "no more tasks hold a slot than there are")
        _expect(core.n_ready == 0 or core.free_slots(self._me) == 0, "no slot is free while a task is ready")
        current = {row: id for id, row in self._ids.items()}
        _expect(current.keys() <= set(rows), "every id leads to a row")
        for row, job in self._jobs.items():
            _expect(current.get(row, job.id) == job.id, f"{job!r}: is found by its id")
            self._check_job(job, core.state(row), row in current)
        waiting = {}
        for row, entry in self._inputs.items():
            _expect(current.get(row, entry.id) == entry.id, f"{entry!r}: is found by its id")
            _expect(core.wants(row) == entry.held, f"{entry!r}: the core's reference is the scheduler's")
            if row not in in_memory and core.state(row) != _RELEASED:
                waiting[entry.id] = row
            found = row in in_memory or (row in current) == (entry.id in waiting)
            _expect(found, f"{entry!r}: is current while it is waited for")
        self._fetches.check(waiting)
        lent = sum([job.lends() for job in self.started()])
        _expect(lent == self._lent, f"{self._lent} slots are said to be lent, but {lent} are")

    def _check_job(self, job: Job, state: int, current: bool) -> None:
        _expect(self._core.wants(job.row) == job.held, f"{job!r}: the core's reference is the scheduler's")
        if state in (_RELEASED, _IN_MEMORY):
            _expect(not job.seceded, f"{job!r}: has finished and lends nothing")
            _expect(state == _IN_MEMORY or not current, f"{job!r}: is not found once its value is gone")
            return
        _expect(job.started == (state == _ASSIGNED), f"{job!r}: runs here and in the core")
        _expect(job.started or state in (_WAITING, _READY), f"{job!r}: waits here and in the core")
        _expect(job.started or job.wanted, f"{job!r}: is not in the queue once nobody wants it")
        _expect(job.wanted == current, f"{job!r}: is current as long as it is wanted")
        _expect(not job.started or len(job.values) == len(job.inputs), f"{job!r}: runs with all its inputs")


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"does not hold: {what}")
