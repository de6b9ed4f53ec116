"""The threads in which tasks run.

One concern: give every started job a thread, and every waiting thread its job. A thread that has finished a job
reports it to the machine and takes the next one in the same critical section, without a hand-off. Held by `server`; may
import the machine, the runner, the page, the context, the desk, relays and coroutines. Knows no socket: what is to be
sent is the server's affair (`flush`, `leave`, `arm`).

Which thread does what
----------------------
A thread *runs* a job, or is *parked* (in `_parked`, the last one in is the first one out: its stack is warm), or waits
in `rejoin` for its slot. One that is parked reads the scheduler's orders meanwhile, if nobody else does (`net._pump`):
so a task that comes to an idle worker finds the thread that runs it without a hand-off. A job that starts takes the
parked thread that has just read of it, else the last parked, else a new one. A thread whose task seceded keeps running
that task, so there may be many more threads than slots; when they park, those above that number end after a while.

A thread whose task waits for children that have not begun runs them itself, one inside the other if need be, in the
slot of the task (`run_children`). While it is in a `worker_client` block and runs none, the slot is *lendable*: the
backstop lends it if the thread has made no step since it came by last. Too deep, it has another one go on (`relays`).
"""

from __future__ import annotations

import itertools
import threading
from asyncio import _get_running_loop
from collections.abc import Callable, Iterable
from threading import get_ident

from fastsched._wait import Waiter, is_deep, may_wait, monotonic
from fastsched.page import NO_SEAT, Page
from fastsched.worker.context import CurrentTask, Host, current, leave_place, take_place
from fastsched.worker.coroutines import Coroutines
from fastsched.worker.desk import Desk
from fastsched.worker.jobs import Brood, Child, ChildStage, Job, Resume, Start
from fastsched.worker.machine import WorkerMachine
from fastsched.worker.relays import Relays
from fastsched.worker.reporting import report, report_child
from fastsched.worker.runner import Outcome, could_not_start, dropped_before, run_job

__all__ = ["Executor"]

PLAIN = frozenset((type(None), bool, int, float, str, bytes))
"""Results of these types are gone at once; with others a finalizer of the user's may go off, and take its time."""

IDLE_SECONDS = 5.0
"""How long a parked thread beyond the number of slots stays: starting one costs 100 us, keeping one some memory."""

MOST_DEPTH = 24
"""So many children run inside each other in one thread: each takes some ten of the 1000 frames that Python allows."""

OVERDRAW_SECONDS = 0.1
"""So long a task waits to have its slot back; then it goes on without one, and nothing new starts meanwhile."""

_READY = int(ChildStage.READY)  # a plain int: to look up a member of an enum runs Python code

LONG_TICKS = 1000
"""After so many ticks of the backstop, about a second, without a step of its thread a child is published."""

FINE_MICROS = 200.0
"""Before a job that may run longer than this, the news is sent; sending costs some 20 us."""


class Executor:
    """Threads for the jobs of one machine.

    Parameters
    ----------
    machine : WorkerMachine
        Touched under the host's lock only, by everybody.
    page : Page
        Where it is written what executes.
    host : Host
        What tasks see of the worker. Its pump is what threads without a job read.
    flush : callable
        Sends what the machine has to tell, in the calling thread.
    leave : callable
        The same, unless more news will follow at once and may leave together with it.
    idle_seconds : float
        See `IDLE_SECONDS`.
    """

    def __init__(
        self,
        machine: WorkerMachine,
        page: Page,
        host: Host,
        flush: Callable[[], bool],
        leave: Callable[[], None],
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._machine = machine
        self._lock = host.lock
        self._pump = host.pump
        self._page = page
        self._host = host
        self._flush = flush
        self._leave = leave
        self._idle_seconds = idle_seconds
        self._name = host.name
        self._config = host.config
        self._parked: dict[int, Desk] = {}  # by the thread's identity, in the order of parking
        self._rejoining: dict[Job, Desk] = {}
        self.desks: dict[int, Desk] = {}  # of all threads
        # Whom the backstop looks at; it also takes those out for which there is no more reason (a thread would do that
        # for each child): those that run children, and those with a lendable slot that is not lent.
        self._deep: dict[Desk, None] = {}
        self._lenders: dict[Desk, None] = {}
        self._relays = Relays(machine.nest, host, self._parked, self)
        self.coroutines = Coroutines(machine, page, host, self.begin, self._flush)  # jobs whose call makes one
        self._numbers = itertools.count(1)
        self._lends = 0  # slots that were lent so far
        self._stopped = False

    @property
    def parked(self) -> int:
        """Threads without a job."""
        return len(self._parked)

    # -- from any thread ----------------------------------------------------------------------------------------------

    def begin(self, starts: list[Start | Resume]) -> None:
        """Give these jobs their threads. Called without the lock."""
        while starts:
            more: list[Start | Resume] = []
            for action in starts:
                job: Job = action.job
                if type(action) is Resume:
                    self._rejoining.pop(job).waiter.open()
                    continue
                desk = self.next_parked()
                if desk is None:
                    more += self._begin_in_new_thread(job)
                else:
                    desk.job = job
                    desk.waiter.open()
            starts = more

    def next_parked(self) -> Desk | None:
        """Whom to give a job: the calling thread, if it is parked (it has just read of the job), else the warmest."""
        if not self._parked:
            return None
        desk = self._parked.pop(get_ident(), None)
        if desk is None:
            try:
                _, desk = self._parked.popitem()
            except KeyError:  # another thread was faster
                return None
        return desk

    def _begin_in_new_thread(self, job: Job) -> list[Start | Resume]:
        """What else can start because this could not."""
        try:
            self.new_thread(Desk(job))
        except (RuntimeError, MemoryError) as error:
            with self._lock:
                self._machine.failed(job, could_not_start(job, self._host.name, error))
                starts = self._machine.starts()
            self._pump.arm()
            return starts
        return []

    def new_thread(self, desk: Desk) -> None:
        """Begin a thread, or raise RuntimeError or MemoryError."""
        name = f"fastsched-task-{next(self._numbers)}"
        threading.Thread(target=self._work, args=(desk,), name=name, daemon=True).start()

    def stop(self) -> None:
        """End the parked threads; the others end when their tasks do."""
        self._stopped = True
        self.coroutines.stop()
        while (desk := self.next_parked()) is not None:
            desk.job = None
            desk.waiter.open()

    def launching(self) -> set[Job]:
        """Under the lock: those that have launched tasks, or asked for futures."""
        return {desk.root for desk in list(self.desks.values()) if desk.brood is not None}

    # -- from the thread of a task ------------------------------------------------------------------------------------

    def brood(self) -> Brood | None:
        """Where what the calling thread submits waits to begin; None outside a task."""
        task = current()
        if task is None or task.on_loop:  # a coroutine runs no children in its thread
            return None
        desk: Desk = task.thread
        if desk.brood is None:
            desk.brood = Brood()
        return desk.brood

    def open_block(self, task: CurrentTask) -> bool:
        """See `Host`."""
        desk: Desk = task.thread
        if desk.lendable or task.root.seceded:
            return False
        desk.steps += 1
        self.may_lend(desk)
        return True

    def may_lend(self, desk: Desk) -> None:
        """The slot of this thread's task is lent when the backstop finds it idle."""
        desk.lendable = True
        if not desk.listed:
            desk.listed = True
            self._lenders[desk] = None
        self._pump.arm()

    def close_block(self, task: CurrentTask) -> None:
        """See `Host`."""
        desk: Desk = task.thread
        lock = self._lock
        lock.acquire()
        desk.lendable = False
        lent = task.root.seceded
        lock.release()
        if lent:
            self.rejoin(task)

    def begin_wait(self, task: CurrentTask, waiter: Waiter) -> bool:
        """See `Host`."""
        desk: Desk = task.thread
        desk.blocked = waiter
        desk.since = desk.moved = monotonic()
        desk.steps += 1
        desk.moves = self._moves()
        if desk.brood is not None and desk.brood.ready:
            with self._lock:
                self._machine.nest.give_up(desk.brood)
        if task.root.seceded:
            return False
        self.secede(task)
        return True

    def end_wait(self, task: CurrentTask, had: bool) -> None:
        """See `Host`."""
        desk: Desk = task.thread
        desk.blocked = None
        desk.away += monotonic() - desk.since
        desk.steps += 1
        if had and not desk.lendable:
            self.rejoin(task)

    def run_children(self, task: CurrentTask, fids: Iterable[int], until_error: bool, most: int) -> None:
        """See `Host`."""
        desk: Desk = task.thread
        nest, lock = self._machine.nest, self._lock
        if not nest.waits():
            return
        if desk.depth >= MOST_DEPTH or is_deep() or _get_running_loop() is not None:
            self._relays.pass_on(task, list(fids), until_error, most)
            return
        lock.acquire()
        try:
            had = not task.root.seceded
            stack = nest.children(fids)
            child: Child | None = None
            if stack:
                if self._has_slot(desk):
                    child = nest.claim(stack, most > 0)
                else:
                    nest.hand_over(fids)  # they may be another thread's
                    if desk.brood is not None:
                        nest.give_up(desk.brood)
        finally:
            lock.release()
        lendable = desk.lendable
        if child is None:
            if not (had or lendable):
                self.secede(task)
            return
        if most > 0 and nest.has_messages():  # what others shall run meanwhile
            self._flush()
        desk.lendable = False  # a child needs the slot
        desk.depth += 1
        if not desk.deep:
            desk.deep = True
            self._deep[desk] = None
            self._pump.arm()
        try:
            while child is not None:
                most -= 1
                child = self._run_child(task, child, stack, until_error, most == 0)
        finally:
            desk.place.task = task
            desk.depth -= 1
            desk.steps += 1
            if not lendable:
                self._as_before(task, had)
            elif task.root.seceded:
                desk.lendable = True
            else:
                self.may_lend(desk)

    def _as_before(self, task: CurrentTask, had: bool) -> None:
        """Outside a block a task has its slot after its children if, and only if, it `had` it before."""
        if had:
            self.rejoin(task)  # one of them may have seceded by hand
        else:
            self.secede(task)

    def _run_child(
        self, task: CurrentTask, child: Child, stack: list[Child], until_error: bool, last: bool
    ) -> Child | None:
        """Run a child that was claimed; the next one, if there is one to be run here."""
        host, lock = self._host, self._lock
        desk: Desk = task.thread
        nest = self._machine.nest
        desk.place.task = CurrentTask(child, host, desk, desk.root, task)
        desk.steps += 1
        away, desk.away = desk.away, 0.0
        outcome = run_job(child, self._name, self._config)
        micros = outcome.micros
        if outcome.end is not None:
            child.function.note(max(micros - 1e6 * desk.away, 0.0))
        desk.away = away + 1e-6 * micros
        if outcome.pins:
            host.flush_client()
        following: Child | None = None
        lock.acquire()
        try:
            desk.lendable = False  # a block that it has not closed
            if outcome.end is None:  # its outcome comes later; there may be many such
                self.coroutines.start(Desk(child), outcome.result)
                ends = last or self.coroutines.full()
            else:
                failed = report_child(self._machine, host, child, outcome)
                ends = last or task.job.dropped or (failed and until_error)
                if child.stage == _READY:  # to be tried again
                    stack.append(child)
            if not ends and stack and self._has_slot(desk):
                following = nest.claim(stack)
        finally:
            lock.release()
        outcome.result = None  # outside the lock
        if nest.has_messages():
            self._leave()
        if following is None and nest.waits():  # a child of another thread, perhaps, which waits already
            self._pump.arm()
        self._pump.glance()
        return following

    def unstick(self, task: CurrentTask) -> bool:
        """See `Host`."""
        desk: Desk = task.thread
        machine, now, moves = self._machine, monotonic(), self._moves()
        if desk.moves != moves:  # the worker is busy, not stuck
            desk.moves, desk.moved = moves, now
            return False
        brood = desk.brood
        if brood is None:
            return False
        starts: list[Start | Resume] = []
        asked = False
        with self._lock:
            if machine.is_stuck(brood, now - desk.moved):
                asked = not machine.claim(brood) and machine.nest.claim_away(brood)
                starts = machine.starts()
        self.begin(starts)  # in a thread of its own: it may wait for what this one runs
        if asked:
            self._flush()
        return asked

    def _moves(self) -> int:
        """Grows with each task that ends and each slot that is lent: who waits has a reason to go on."""
        return self._machine.executed + self._machine.inline + self._lends

    def _has_slot(self, desk: Desk) -> bool:
        """Under the lock: whether the task of this thread has a slot, or can have it back at once."""
        root = desk.root
        if not root.seceded:
            return True
        if not self._machine.has_room() or not self._machine.rejoin(root):
            return False
        self._sit(desk)
        return True

    def _sit(self, desk: Desk) -> None:
        """The thread has a slot: it stands on the page."""
        if desk.seat == NO_SEAT:
            desk.seat = self._page.take()
        self._page.write(desk.seat, desk.root.id)

    def _stand_up(self, desk: Desk) -> None:
        """It has none."""
        self._page.give(desk.seat)
        desk.seat = NO_SEAT

    def hand_over(self, fids: Iterable[int]) -> None:
        """See `Host`."""
        with self._lock:
            self._machine.nest.hand_over(fids)
        self._flush()

    def tick(self) -> None:
        """The backstop: slots of threads that make no step are lent, their children handed over."""
        for desk in list(self._lenders):
            if not desk.lendable or desk.root.seceded:
                self._strike(desk)
            elif desk.steps == desk.seen:
                self._lend(desk)
            desk.seen = desk.steps
        nest = self._machine.nest
        if nest.waits() or nest.ages():
            with self._lock:
                nest.tick()
        if self._look_at_long_ones() or self._lenders or nest.waits() or nest.ages():
            self._pump.arm()

    def _look_at_long_ones(self) -> bool:
        """The scheduler shall know of children that run for long: equal calls elsewhere are the same task.

        False: there is nobody to look at again.
        """
        again = False
        for desk in list(self._deep):
            if not desk.depth:
                del self._deep[desk]
                desk.deep = False
                continue
            if desk.steps != desk.still_at:
                desk.still_at = desk.steps
                desk.still = 0
            elif desk.still < LONG_TICKS:
                desk.still += 1
                if desk.still == LONG_TICKS:
                    task = desk.place.task
                    if task is not None:  # the thread may be through with all of them by now
                        with self._lock:
                            self._machine.nest.share_keys(task.keys())
            again = again or desk.still < LONG_TICKS
        return again

    def _lend(self, desk: Desk) -> None:
        """In the I/O thread: the thread of this desk does nothing with its slot."""
        with self._lock:
            if not desk.lendable or desk.root.seceded:
                return
            starts = self._secede(desk)
        self._strike(desk)
        self.begin(starts)

    def _strike(self, desk: Desk) -> None:
        """In the I/O thread, between two steps of Python: there is nothing to lend."""
        del self._lenders[desk]
        desk.listed = False

    def _secede(self, desk: Desk) -> list[Start | Resume]:
        """Under the lock: give the slot away; who can start because of that."""
        self._lends += 1
        if self._machine.secede(desk.root):
            self._stand_up(desk)
        return self._machine.starts()

    def secede(self, task: CurrentTask) -> None:
        """Lend the task's slot."""
        if task.root.seceded:
            return
        desk: Desk = task.thread
        with self._lock:
            if task.root.seceded:
                return
            starts = self._secede(desk)
        self.begin(starts)
        self._pump.arm()

    def rejoin(self, task: CurrentTask) -> None:
        """Wait for a slot; a task that nobody wants any more ends without.

        Raises
        ------
        RuntimeError
            This is a finalizer that interrupts the worker itself.
        """
        if not task.root.seceded or task.job.dropped:
            return
        if not may_wait():
            raise RuntimeError("a finalizer cannot wait for a slot here: it interrupts the worker itself")
        desk: Desk = task.thread
        with self._lock:
            here = self._machine.rejoin(task.root)
            if not here:
                self._rejoining[task.root] = desk
        if here:
            self._pump.arm()
        else:
            self._wait_for_slot(desk, task.root)
        self._sit(desk)
        if desk.lendable:  # by hand, inside a block
            self.may_lend(desk)

    def _wait_for_slot(self, desk: Desk, root: Job) -> None:
        """Whoever gives us the slot sends the news. But who holds it may wait for this thread: for a lock, say."""
        moves = self._moves()
        while not self._pump.wait(desk.waiter, OVERDRAW_SECONDS, True):
            if moves != self._moves():  # it is slow, not stuck
                moves = self._moves()
                continue
            with self._lock:
                if not desk.waiter.over and self._machine.overdraw(root):
                    del self._rejoining[root]
                    self._pump.arm()
                    return
        desk.waiter.close()

    # -- the threads --------------------------------------------------------------------------------------------------

    def _work(self, desk: Desk) -> None:
        """A thread, from its beginning to its end."""
        desk.place = take_place(self._host)
        self.desks[get_ident()] = desk
        try:
            self._run_jobs(desk)
        finally:
            del self.desks[get_ident()]
            leave_place()

    def _run_jobs(self, desk: Desk) -> None:
        """Run jobs until there is nothing to do for too long."""
        host, place = self._host, desk.place
        job = desk.take_job() or self._park(desk)  # a relay finds the waiter open
        while job is not None:
            desk.root = job
            self._sit(desk)
            desk.lendable = False  # a block that the last one has not closed
            desk.away = 0.0
            place.task = CurrentTask(job, host, desk, job, None)
            outcome = run_job(job, host.name, host.config) if job.wanted else dropped_before(job, host.name)
            place.task = None
            if outcome.end is not None:
                job.function.note(max(outcome.micros - 1e6 * desk.away, 0.0))
            if outcome.pins:
                host.flush_client()
            job = self._settle(desk, job, outcome)
            del outcome  # and the value in it
            if job is None:
                job = self._park(desk)

    def _settle(self, desk: Desk, job: Job, outcome: Outcome) -> Job | None:
        """Report the job and take the next one. None: there is none, and the thread is among the parked."""
        machine, lock = self._machine, self._lock
        plain = type(outcome.result) in PLAIN
        following: Job | None = None
        lock.acquire()
        try:
            if desk.brood is not None:  # what the task has not waited for
                machine.nest.give_up(desk.brood)
                desk.brood = None
            if outcome.end is None:  # a coroutine: the loop runs it, in this slot
                self.coroutines.start(desk.passed_on(), outcome.result)
            else:
                report(machine, job, outcome)
            starts = machine.starts()
            for at, action in enumerate(starts):
                if type(action) is Start:
                    following = action.job
                    del starts[at]
                    break
            if plain and following is None:
                self._parked[get_ident()] = desk  # in here, so that the next job finds it
        finally:
            lock.release()
        if starts:
            self.begin(starts)
        if following is None:
            if self._flush() is not False:  # what cannot be reported was not done, and is to blame for what follows
                self._stand_up(desk)
        elif following.function.micros > FINE_MICROS:
            self._flush()
        else:
            self._leave()
        outcome.result = None  # outside the lock, and not before it was reported
        if not plain and following is None:
            self._parked[get_ident()] = desk  # not before: no job shall wait for what the result takes along
        return following

    def _park(self, desk: Desk) -> Job | None:
        """Wait among the parked for a job. None: the thread shall end."""
        parked, waiter = self._parked, desk.waiter
        while True:
            seconds = self._idle_seconds if len(parked) > self._host.nthreads else -1.0
            if self._stopped or not self._pump.wait(waiter, seconds, True):
                if not self._stopped and len(parked) <= self._host.nthreads:
                    continue
                if parked.pop(get_ident(), None) is not None:
                    return None
                self._pump.wait(waiter, -1.0, True)  # somebody was faster and is about to wake us
            waiter.close()
            if desk.relay is None:
                return desk.take_job()
            self._relays.carry_on(desk)
