"""What a worker does with what it is told: the machine of one worker, without threads, sockets or a clock.

One concern: tasks and values of this worker. The scheduler's messages go in by `receive`, the executor's and the
fetcher's news by verbs of their own (`finished`, `failed`, `secede`, `rejoin`, `fetched`); what is to be done comes out
of `drain` as a list of actions. `worker.server` holds it under one lock; tests and the simulation drive it alone.

Theory of operation
-------------------
The machine holds a `SchedulerCore` with one worker: itself. A task that the scheduler sends is a row there, an input
that is not here yet is an EXTERNAL row; so waiting for inputs, priorities, slots, secede and rejoin are the core's.
ASSIGN means "start in a slot". Every row that the scheduler knows to be here (its task, a replica that was announced)
is *held*: one reference in the core in the scheduler's name, which `Free`, `Drop` and `Retract` give up. What nobody
holds or needs the core forgets by itself.

Task ids are the scheduler's, rows are ours; `Rows.ids` leads from one to the other. It names the *current* row of an id
only: a running attempt that was dropped keeps its row and its slot until its thread is through, while a newer attempt
of the same task has a row of its own already; and a row whose value is gone stays behind, nameless, while a result
that was made from it lives.

A task may come before its inputs are computed, if they are computed here: its row depends on their rows, and the core
starts it when they are through, without a word to the scheduler. If such an input goes (it raised, was given back or
dropped), those that came because of it are forgotten without a word: the scheduler hears of the input, and that is
their end for it, too.

What tasks of this worker launch stays in the `nest` until somebody else has to know of it. The nest and the rows meet
in `joins`: an order of the scheduler for a task that is a child here is answered by the child's run, and a published
child is held as any value is. May import: _core, messages, config, and its own room's records.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastsched._core import Effect, State
from fastsched.config import Config
from fastsched.wire.items import make, quoted
from fastsched.wire.messages import (
    Accept,
    Adopt,
    Bring,
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
    Message,
    MissingItem,
    Put,
    Replicate,
    Retract,
    Run,
    RunItem,
)
from fastsched.worker import invariants
from fastsched.worker.copies import Copies
from fastsched.worker.fetches import NOBODY
from fastsched.worker.jobs import Action, Brood, Child, Entry, Function, Input, Job, Resume, Send, Start
from fastsched.worker.joins import Joins
from fastsched.worker.keepsakes import Keepsakes
from fastsched.worker.lineage import awaited_by
from fastsched.worker.nest import Nest
from fastsched.worker.news import News
from fastsched.worker.rows import Rows
from fastsched.worker.store import Value

__all__ = ["SCHEDULER", "WorkerMachine"]

SCHEDULER = 0
"""The one peer that gives orders; peers that ask for data have other numbers."""

CLAIM_SECONDS = 0.09
"""After so long a thread that waits may be stuck. A little less than what it waits for until it looks."""

# Plain ints: to look up a member of an enum runs Python code, and to compare with one costs ten times as much.
_ASSIGN, _FREE, _FORGET = int(Effect.ASSIGN), int(Effect.FREE), int(Effect.FORGET)
_FETCH, _REJOIN, _ERR = int(Effect.FETCH), int(Effect.REJOIN), int(Effect.ERRED)
_WAITING, _READY, _ASSIGNED = int(State.WAITING), int(State.READY), int(State.ASSIGNED)
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
        self.stale = 0  # orders and news that came too late
        self.executed = 0  # orders that threads have run
        self.executed_micros = 0
        self.inline = 0  # children that ran in their parent's thread
        self.inline_micros = 0
        self.overdrawn = 0  # tasks that ran without a slot, because who held it might wait for them
        self._rows = Rows(nthreads, address, seed)
        self._functions: dict[bytes, Function] = {}
        self._starts: list[Start | Resume] = []
        self._answers: list[Action] = []
        self._news = News(config.batch_items, nthreads)
        self._most_functions = config.functions
        self._inline_bytes = config.inline_bytes
        self._orders: dict[str, Job] = {}  # by key: jobs that are queued, that run, and whose value is here
        self.nest = Nest(config, self._functions, self._orders, self._rows.store)
        self._joins = Joins(self._rows, self.nest, self._news, config.inline_bytes)
        self._copies = Copies(self._rows, self._news)
        self._keepsakes = Keepsakes(self._rows, self._news, config.batch_items)

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
            self.stale += self._copies.put(message)
        elif type(message) is Replicate:
            self.stale += self._copies.replicate(message)
        elif type(message) is Adopt:
            self._joins.adopted(message)
        elif type(message) is Accept:
            for job in self._keepsakes.accepted(message.items):
                self._forsake(job)
        elif not self.nest.receive(message):
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
        known = self._functions.pop(fn, None) or self.nest.function(fn)
        self._functions[fn] = known or Function(fn, frames)
        if len(self._functions) > self._most_functions:
            del self._functions[next(iter(self._functions))]

    def _accept(self, item: RunItem) -> None:
        id, attempt, key, fn, args, inputs, priority, order = item
        rows = self._rows
        if id in rows.ids and not self._replace(id, attempt):
            return
        function = self._functions.get(fn)
        if function is None:
            text = f"the function of task {quoted(key)} is not known to worker {quoted(self.name)}"
            error = make(ErrorItem, (_SERIALIZATION, None, key, self.name, attempt, text))
            self._news.erred.append(make(ErredItem, (id, attempt, error)))
            return
        child = self.nest.by_key(key, fn, args)
        if child is not None and self._joins.takes(child, id, attempt):
            return
        if not inputs:
            job = Job(item, function, ())
            row = rows.core.add_task((), priority, order)
        else:
            missing = tuple([entry[0] for entry in inputs if not rows.obtainable(entry)])
            if missing:
                self._news.missing.append(make(MissingItem, (id, attempt, missing)))
                return
            job = Job(item, function, [rows.input_row(entry) for entry in inputs])
            row = rows.core.add_task(job.inputs, priority, order)
            for source, entry in zip(job.inputs, inputs, strict=True):
                rows.fill(source, entry)
        job.row = row
        rows.jobs[row] = job
        rows.ids[id] = row
        self._orders[key] = job

    def child_finished(self, child: Child, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        """A thread has run a child of its own task. (Orders are answered also if nobody here wants it any more.)"""
        self.inline += 1
        self.inline_micros += micros
        if self._joins.finished(child, value, micros, pins):
            self._settle()

    def child_failed(self, child: Child, error: ErrorItem) -> None:
        """A thread has run a child of its own task, in vain."""
        self.inline += 1
        self._joins.failed(child, error)

    def _replace(self, id: int, attempt: int) -> bool:
        """Make way for an attempt at a task that has a row here. False: there is nothing to run."""
        rows = self._rows
        row = rows.ids[id]
        old = rows.jobs.get(row)
        if old is None:
            self._give_way(rows.inputs[row])
        elif attempt <= old.attempt:
            self.stale += 1
            return False
        elif (value := rows.store.get(row)) is not None:
            # Freed while a task here still needs it, and asked for again: the value is at hand.
            old.attempt = attempt
            rows.hold(old)
            self._announce(old, value, 0, ())
            return False
        else:
            self._forsake(old)
        self._settle()  # rows that were forgotten by this must not be found by the task to come
        return True

    def _give_way(self, entry: Input) -> None:
        """A value from elsewhere is to be computed here: who waits for it waits in vain, who has it keeps it."""
        if entry.row not in self._rows.store:
            self._miss(entry)
        self._rows.let_go(entry)
        self._rows.unmap(entry)

    # -- inputs -----------------------------------------------------------------------------------------------------

    def _start_fetch(self, row: int) -> None:
        """The core has found that this input is needed."""
        rows = self._rows
        entry = rows.inputs[row]
        if rows.fetches.row(entry.id) == row and not rows.fetches.ask(entry.id):  # else it came with the task
            self._miss(entry)

    def _miss(self, entry: Input) -> None:
        """It cannot be had: give back every task that waits for this input."""
        rows = self._rows
        if not rows.core.known(entry.row):  # the tasks that waited for it were given back for another one
            return
        for dependent in rows.core.dependents(entry.row):
            job = rows.jobs[dependent]
            if job.wanted and not job.started and rows.core.state(dependent) == _WAITING:
                self._news.missing.append(make(MissingItem, (job.id, job.attempt, (entry.id,))))
                self._forsake(job)
        rows.let_go(entry)  # of a copy that the scheduler has asked for

    def fetched(self, address: str, items: Iterable[tuple[int, Frames | None]], now: float) -> None:
        """The answer of the worker at `address` to a `Fetch`; frames of None: it has none, or cannot be reached."""
        rows = self._rows
        for id, frames in items:
            row = rows.fetches.answered(id, address)
            if row is None:
                self.stale += 1
            elif row == NOBODY:
                continue
            elif frames is not None:
                rows.fetches.drop(id)
                self._fetched(rows.inputs[row], Value(frames))
            elif not rows.fetches.ask(id):
                self._miss(rows.inputs[row])
        self._settle()

    def _fetched(self, entry: Input, value: Value) -> None:
        if self._rows.keep(entry.row, value):
            self._rows.hold(entry)
            self._news.replicas.append((entry.id, value.nbytes))

    # -- the scheduler changes its mind -----------------------------------------------------------------------------

    def _current(self, id: int, attempt: int) -> Job | None:
        """The job of exactly this attempt."""
        job = self._rows.jobs.get(self._rows.ids.get(id, NOBODY))
        if job is None or job.attempt != attempt:
            self.stale += 1
            return None
        return job

    def _forsake(self, job: Job) -> None:
        """The scheduler wants no more of this attempt. If it runs it keeps its slot until its thread is through."""
        rows = self._rows
        rows.unmap(job)
        self._no_order(job)
        if job.wanted:
            job.wanted = False
            self._news.lent -= job.started
        if job.started:
            self.nest.everybody().shaken = True
        else:
            if rows.core.needed(job.row):
                rows.core.err(job.row)  # those that came because of it go with it
            rows.let_go(job)

    def _no_order(self, job: Job) -> None:
        if self._orders.get(job.key) is job:
            del self._orders[job.key]

    def _on_free(self, message: Free) -> None:
        rows = self._rows
        for id in message.ids:
            row = rows.ids.get(id, NOBODY)
            entry: Entry | None = rows.jobs.get(row) or rows.inputs.get(row)
            if entry is None or not entry.held or row not in rows.store:
                self.stale += 1  # a replica that came and went, or one that was never announced
            else:
                rows.let_go(entry)

    def _on_retract(self, message: Retract) -> None:
        for id, attempt in message.attempts:
            job = self._current(id, attempt)
            if job is not None and not job.started:
                self._forsake(job)
                self._news.returned.append((id, attempt))

    def _on_drop(self, message: Drop) -> None:
        """If the attempt was faster than the order, its value stays: the news of it is answered by a Free."""
        for id, attempt in message.attempts:
            self._joins.drop(id, attempt)
            job = self._current(id, attempt)
            if job is not None and job.row not in self._rows.store:
                self._forsake(job)

    # -- news of the executor ---------------------------------------------------------------------------------------

    def finished(self, job: Job, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        """The job's thread has its value. `micros`: its run time; `pins`: keys of futures inside the value."""
        if not self._rows.core.finish(job.row, job.run, self._rows.me, value.nbytes):
            raise AssertionError(f"{job!r} finished, but did not run")
        self.executed += 1
        self.executed_micros += micros
        self._rows.store.put(job.row, value)
        job.release()
        self._news.lent -= job.lends()
        value.pins = bool(pins)
        if job.wanted and job.id:
            self._announce(job, value, micros, pins)
        else:
            self._keepsakes.finished(job, value, pins)
            self._rows.let_go(job)
        job.seceded = False
        if pins:  # whoever takes it from here has to keep the futures inside, and does not know them
            self._no_order(job)
        self._settle()

    def _announce(self, job: Job, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        nbytes = value.nbytes
        frames = value.frames if nbytes <= self._inline_bytes else None
        item = make(FinishedItem, (job.id, job.attempt, value.type_name, nbytes, micros, frames, pins))
        self._news.finished.append(item)

    def failed(self, job: Job, error: ErrorItem) -> None:
        """The job's thread ended without a value."""
        if not self._rows.core.fail(job.row, job.run, self._rows.me):
            raise AssertionError(f"{job!r} failed, but did not run")
        self.executed += 1
        job.release()
        self._news.lent -= job.lends()
        job.started = False
        if job.wanted and job.id:
            self._news.erred.append(make(ErredItem, (job.id, job.attempt, error)))
        self._keepsakes.failed(job)
        self._forsake(job)
        job.seceded = False
        self._settle()

    def has_room(self) -> bool:
        """Whether a slot is free, and nobody waits for one."""
        return self._rows.core.free_slots(self._rows.me) > 0

    def secede(self, job: Job) -> bool:
        """The job lends its slot; False if it has none to lend."""
        if job.seceded or not self._rows.core.secede(job.row):
            return False
        job.seceded = True
        self._news.lent += 1
        self._settle()
        return True

    def rejoin(self, job: Job) -> bool:
        """The job wants a slot again. True: it has one; False: a `Resume` will follow."""
        if not job.seceded:
            return True
        resumed = self._rows.core.rejoin(job.row)
        if resumed:
            self._resumed(job)
        self._settle()
        return resumed

    def overdraw(self, job: Job) -> bool:
        """A job that waits for its slot goes on without. False: it has its slot, a `Resume` says so."""
        if not job.seceded or not self._rows.core.overdraw(job.row):
            return False
        self.overdrawn += 1
        self._resumed(job)
        self._settle()
        return True

    def is_stuck(self, brood: Brood, seconds: float) -> bool:
        """Whether a thread may claim that has waited so long, and nothing moved: longer, the more of its claims run."""
        jobs, core = self._rows.jobs, self._rows.core
        brood.claimed = [job for job in brood.claimed if jobs.get(job.row) is job and core.state(job.row) == _ASSIGNED]
        return seconds >= CLAIM_SECONDS * 4.0 ** len(brood.claimed)

    def claim(self, brood: Brood) -> bool:
        """Start a queued child of this brood's tasks, or what one waits for, without a slot. False: there is none."""
        core, names = self._rows.core, awaited_by(brood, self.nest.everybody().publics.values())
        for key, job in self._orders.items():
            if key in names and not job.started and core.state(job.row) == _READY:
                run = core.claim(job.row, self._rows.me)
                if run:
                    self.overdrawn += 1
                    brood.claimed.append(job)
                    self._start(job, run)
                    self._settle()
                    return True
        return False

    def _resumed(self, job: Job) -> None:
        job.seceded = False
        self._news.lent -= 1

    # -- what the turn brought --------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """Let the core place what it can, and follow its effects. The last step of every verb."""
        core = self._rows.core
        while core.end_turn():
            while kind := core.next_effect():
                self._follow(kind, core.effect_id, core.effect_b)

    def _follow(self, kind: int, row: int, run: int) -> None:
        rows = self._rows
        if kind == _ASSIGN:
            self._start(rows.jobs[row], run)
        elif kind == _FREE:
            rows.store.pop(row)
            entry = rows.entry(row)
            rows.unmap(entry)
            if self._orders.get(entry.key) is entry:
                del self._orders[entry.key]
        elif kind == _FORGET:
            rows.forget(row)
        elif kind == _FETCH:
            self._start_fetch(row)
        elif kind == _ERR:
            job = rows.jobs[row]
            if job.wanted:  # its input is gone
                self._forsake(job)
        elif kind == _REJOIN:
            job = rows.jobs[row]
            self._resumed(job)
            self._starts.append(make(Resume, (job,)))

    def _start(self, job: Job, run: int) -> None:
        job.run = run
        job.started = True
        if job.inputs:
            job.values = [self._rows.store[row] for row in job.inputs]
        self._starts.append(make(Start, (job,)))

    def starts(self) -> list[Start | Resume]:
        """Only what threads wait for. The rest stays for the next `drain`."""
        if not self._starts:
            return []  # a list of the caller's own: ours is filled again, when the caller has dropped the lock
        starts, self._starts = self._starts, []
        return starts

    def has_news(self) -> bool:
        """Whether `drain` would give more than `starts`."""
        return bool(self._rows.fetches or self._answers) or self._news.waits() or self.nest.has_messages()

    def reports(self) -> list[Message]:
        """Only what the scheduler shall hear."""
        if not self.nest.has_messages():
            return self._news.take()
        return self.nest.messages() + self._news.take()  # in this order: outcomes name children by their keys

    def errands(self) -> list[Action]:
        """All but that: starts, fetches and answers to others."""
        actions: list[Action] = [*self.starts()]
        if self._rows.fetches:
            actions += self._rows.fetches.take()
        if self._answers:
            actions += self._answers
            self._answers = []
        return actions

    def drain(self) -> list[Action]:
        """All that is to be done, and nothing is left: errands first, then reports, as messages to the scheduler."""
        return self.errands() + [make(Send, (SCHEDULER, message)) for message in self.reports()]

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
        self._joins.give_back()
        self._settle()

    def part(self, going: set[Job], mark: int, error: ErrorItem) -> None:
        """The scheduler is gone. Keep what another can be told of; `going`, what has not begun, and children end."""
        for job in self._keepsakes.part([*self.queued(), *self.started()], going):
            self._forsake(job)
        self._joins.give_back()
        self.nest.part(mark, error)
        self._settle()
        self._keepsakes.parted()
        self._functions.clear()

    def brought(self) -> list[Bring]:
        """What was kept: the first thing that another scheduler hears."""
        return self._keepsakes.brought()

    # -- questions --------------------------------------------------------------------------------------------------

    def frames_of(self, id: int) -> Frames | None:
        """A value that is here."""
        return self._rows.frames_of(id)

    def read(self, ids: Iterable[int]) -> tuple[DatumItem, ...]:
        """The answer to `GetData`."""
        return tuple([make(DatumItem, (id, self.frames_of(id))) for id in ids])

    @property
    def address(self) -> str:
        """Where this worker serves its data."""
        return self._rows.address

    @address.setter
    def address(self, address: str) -> None:
        self._rows.address = address

    @property
    def n_rows(self) -> int:
        """Tasks and inputs that it knows."""
        return len(self._rows.jobs) + len(self._rows.inputs)

    @property
    def nbytes(self) -> int:
        """Bytes of all values here."""
        return self._rows.store.nbytes

    @property
    def lent(self) -> int:
        """Wanted tasks that hold no slot at the moment, less the slots of running ones that nobody wants."""
        return self._news.lent

    def started(self) -> list[Job]:
        """Jobs that threads run, or are about to."""
        core = self._rows.core
        return [job for row, job in self._rows.jobs.items() if job.started and core.state(row) == _ASSIGNED]

    def queued(self) -> list[Job]:
        """Jobs that wait for inputs or for a slot."""
        return [job for job in self._rows.jobs.values() if not job.started]

    def check(self) -> None:
        """Recompute every invariant from scratch; AssertionError says which one does not hold."""
        invariants.check_rows(self._rows)
        invariants.check_slots(self._rows, len(self._joins.joined), self._news.lent, self.overdrawn)
        invariants.check_orders(self._rows, self._orders)
        self.nest.check()
