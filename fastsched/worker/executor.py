"""The threads in which tasks run.

One concern: give every started job a thread, and every waiting thread its job. A thread that has finished a job
reports it to the machine and takes the next one in the same critical section, without a hand-off. Held by `server`;
may import the machine, the runner, the page and the context. Knows no socket: what is to be sent is the server's
affair (`flush`, `leave`, `arm`).

Which thread does what
----------------------
A thread *runs* a job, or is *parked* (in `_parked`, the last one in is the first one out: its stack is warm), or waits
in `rejoin` for its slot. One that is parked reads the scheduler's orders meanwhile, if nobody else does (`net._pump`):
so a task that comes to an idle worker finds the thread that runs it without a hand-off. A job that starts takes the
parked thread that has just read of it, else the last parked, else a new one. A thread whose task seceded keeps running
that task, so there may be many more threads than slots; when they park, those above the number of slots end after a
while.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from threading import get_ident

from fastsched._wait import Waiter, may_wait
from fastsched.page import NO_SEAT, Page
from fastsched.worker.context import CurrentTask, Host, take_place
from fastsched.worker.jobs import Job, Resume, Start
from fastsched.worker.machine import WorkerMachine
from fastsched.worker.runner import Outcome, could_not_start, run_job
from fastsched.worker.store import Value

__all__ = ["Executor"]

PLAIN = frozenset((type(None), bool, int, float, str, bytes))
"""Results of these types are gone at once; with others a finalizer of the user's may go off, and take its time."""

IDLE_SECONDS = 5.0
"""How long a parked thread beyond the number of slots stays: starting one costs 100 us, keeping one some memory."""

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
        flush: Callable[[], None],
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
        self._parked: dict[int, _Desk] = {}  # by the thread's identity, in the order of parking
        self._rejoining: dict[Job, _Desk] = {}
        self._numbers = itertools.count(1)
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
                desk = self._next_parked()
                if desk is None:
                    more += self._begin_in_new_thread(job)
                else:
                    desk.job = job
                    desk.waiter.open()
            starts = more

    def _next_parked(self) -> _Desk | None:
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
            name = f"fastsched-task-{next(self._numbers)}"
            threading.Thread(target=self._work, args=(_Desk(job),), name=name, daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            with self._lock:
                self._machine.failed(job, could_not_start(job, self._host.name, error))
                starts = self._machine.starts()
            self._pump.arm()
            return starts
        return []

    def stop(self) -> None:
        """End the parked threads; the others end when their tasks do."""
        self._stopped = True
        while (desk := self._next_parked()) is not None:
            desk.job = None
            desk.waiter.open()

    # -- from the thread of a task ------------------------------------------------------------------------------------

    def secede(self, task: CurrentTask) -> None:
        """Lend the task's slot."""
        if task.seceded:
            return
        with self._lock:
            task.seceded = self._machine.secede(task.job)
            starts = self._machine.starts()
        desk: _Desk = task.thread
        self._page.give(desk.seat)
        desk.seat = NO_SEAT
        self.begin(starts)
        self._pump.arm()

    def rejoin(self, task: CurrentTask) -> None:
        """Wait for a slot.

        Raises
        ------
        RuntimeError
            This is a finalizer that interrupts the worker itself.
        """
        if not task.seceded:
            return
        if not may_wait():
            raise RuntimeError("a finalizer cannot wait for a slot here: it interrupts the worker itself")
        desk: _Desk = task.thread
        with self._lock:
            here = self._machine.rejoin(task.job)
            if not here:
                self._rejoining[task.job] = desk
        if here:
            self._pump.arm()
        else:
            self._pump.wait(desk.waiter, -1.0, True)  # whoever gives us the slot sends the news
            desk.waiter.close()
        task.seceded = False
        desk.seat = self._page.take()
        self._page.write(desk.seat, task.job.id)

    # -- the threads --------------------------------------------------------------------------------------------------

    def _work(self, desk: _Desk) -> None:
        """Run jobs until there is nothing to do for too long."""
        host, page = self._host, self._page
        place = take_place(host)
        job = desk.take_job()
        while job is not None:
            if desk.seat == NO_SEAT:
                desk.seat = page.take()
            page.write(desk.seat, job.id)
            place.task = CurrentTask(job, host, desk)
            outcome = run_job(job, host.name, host.config)
            place.task = None
            page.write(desk.seat, 0)
            job.function.note(outcome.micros)
            if outcome.pins:
                host.flush_client()
            job = self._settle(desk, job, outcome)
            del outcome  # and the value in it
            if job is None:
                job = self._park(desk)

    def _settle(self, desk: _Desk, job: Job, outcome: Outcome) -> Job | None:
        """Report the job and take the next one. None: there is none, and the thread is among the parked."""
        machine, lock = self._machine, self._lock
        plain = type(outcome.result) in PLAIN
        following: Job | None = None
        lock.acquire()
        try:
            end = outcome.end
            if isinstance(end, Value):
                machine.finished(job, end, outcome.micros, outcome.pins)
            else:
                machine.failed(job, end)
            starts = machine.starts()
            for at, action in enumerate(starts):
                if type(action) is Start:
                    following = action.job
                    del starts[at]
                    break
            else:
                self._page.give(desk.seat)
                desk.seat = NO_SEAT
                if plain:
                    self._parked[get_ident()] = desk  # in here, so that the next job finds it
        finally:
            lock.release()
        if starts:
            self.begin(starts)
        if following is None or following.function.micros > FINE_MICROS:
            self._flush()
        else:
            self._leave()
        outcome.result = None  # outside the lock, and not before it was reported
        if not plain and following is None:
            self._parked[get_ident()] = desk  # not before: no job shall wait for what the result takes along
        return following

    def _park(self, desk: _Desk) -> Job | None:
        """Wait among the parked for a job. None: the thread shall end."""
        parked, waiter = self._parked, desk.waiter
        while not self._stopped:
            surplus = len(parked) > self._host.nthreads
            if self._pump.wait(waiter, self._idle_seconds if surplus else -1.0, True):
                waiter.close()
                return desk.take_job()
            if len(parked) > self._host.nthreads:
                break
        if parked.pop(get_ident(), None) is None:  # somebody was faster and is about to wake us
            self._pump.wait(waiter, -1.0, True)
            waiter.close()
            return desk.take_job()
        return None


class _Desk:
    """One thread, and where it can be told something.

    Attributes
    ----------
    waiter : Waiter
        Opened by others when a job is in `job`, or when the slot is back.
    job : Job or None
        What to run next.
    seat : int
        Of the page; `NO_SEAT` while nothing of this thread holds a slot.
    """

    __slots__ = ("job", "seat", "waiter")

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job
        self.seat = NO_SEAT
        self.waiter = Waiter()

    def take_job(self) -> Job | None:
        """The job that was left here."""
        job, self.job = self.job, None
        return job
