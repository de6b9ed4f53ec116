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
from collections import deque
from collections.abc import Callable, Sequence
from threading import get_ident

from fastsched._wait import Waiter
from fastsched.page import NO_SEAT, Page
from fastsched.worker.context import CurrentTask, Host, set_current, set_host
from fastsched.worker.jobs import Job, Resume, Start
from fastsched.worker.machine import WorkerMachine
from fastsched.worker.runner import Outcome, could_not_start, run_job
from fastsched.worker.store import Value

__all__ = ["Executor"]

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
        self._parked: dict[int, _TaskThread] = {}  # by the thread's identity, in the order of parking
        self._rejoining: dict[Job, _TaskThread] = {}
        self._numbers = itertools.count(1)
        self._stopped = False

    @property
    def parked(self) -> int:
        """Threads without a job."""
        return len(self._parked)

    # -- from any thread ----------------------------------------------------------------------------------------------

    def begin(self, starts: Sequence[Start | Resume]) -> None:
        """Give these jobs their threads. Called without the lock."""
        waiting = deque(starts)
        while waiting:
            action = waiting.popleft()
            if type(action) is Resume:
                self._rejoining.pop(action.job).waiter.open()
                continue
            thread = self._next_parked()
            if thread is None:
                waiting += self._begin_in_new_thread(action.job)
            else:
                thread.job = action.job
                thread.waiter.open()

    def _next_parked(self) -> _TaskThread | None:
        """A thread for a job: the calling one, if it is parked (it has just read of the job), else the warmest."""
        thread = self._parked.pop(get_ident(), None)
        if thread is None and self._parked:
            try:
                _, thread = self._parked.popitem()
            except KeyError:  # another thread was faster
                return None
        return thread

    def _begin_in_new_thread(self, job: Job) -> list[Start | Resume]:
        """What else can start because this could not."""
        try:
            _TaskThread(self._work, job, next(self._numbers)).start()
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
        while (thread := self._next_parked()) is not None:
            thread.job = None
            thread.waiter.open()

    # -- from the thread of a task ------------------------------------------------------------------------------------

    def secede(self, task: CurrentTask) -> None:
        """Lend the task's slot."""
        if task.seceded:
            return
        with self._lock:
            task.seceded = self._machine.secede(task.job)
            starts = self._machine.starts()
        thread = task.thread
        self._page.give(thread.seat)
        thread.seat = NO_SEAT
        self.begin(starts)
        self._pump.arm()

    def rejoin(self, task: CurrentTask) -> None:
        """Wait for a slot."""
        if not task.seceded:
            return
        thread = task.thread
        with self._lock:
            here = self._machine.rejoin(task.job)
            if not here:
                self._rejoining[task.job] = thread
        if here:
            self._pump.arm()
        else:
            self._pump.wait(thread.waiter, -1.0, True)  # whoever gives us the slot sends the news
            thread.waiter.close()
        task.seceded = False
        thread.seat = self._page.take()
        self._page.write(thread.seat, task.id)

    # -- the threads --------------------------------------------------------------------------------------------------

    def _work(self, thread: _TaskThread) -> None:
        """Run jobs until there is nothing to do for too long."""
        host, page = self._host, self._page
        set_host(host)
        job = thread.take_job()
        while job is not None:
            if thread.seat == NO_SEAT:
                thread.seat = page.take()
            page.write(thread.seat, job.id)
            set_current(CurrentTask(job, host, thread))
            outcome = run_job(job, host.name, host.config)
            set_current(None)
            page.write(thread.seat, 0)
            job.function.note(outcome.micros)
            if outcome.pins:
                host.flush_client()
            job = self._settle(thread, job, outcome)
            del outcome  # and the result in it: outside the lock, and not before it was reported
            if job is None:
                page.give(thread.seat)
                thread.seat = NO_SEAT
                job = self._park(thread)

    def _settle(self, thread: _TaskThread, job: Job, outcome: Outcome) -> Job | None:
        """Report the job and take the next one. None: there is none, and the thread is among the parked."""
        machine = self._machine
        following = None
        with self._lock:
            if isinstance(outcome.end, Value):
                machine.finished(job, outcome.end, outcome.micros, outcome.pins)
            else:
                machine.failed(job, outcome.end)
            starts = machine.starts()
            for at, action in enumerate(starts):
                if type(action) is Start:
                    following = action.job
                    del starts[at]
                    break
            else:
                self._parked[get_ident()] = thread  # in here, so that the next job finds it
        if starts:
            self.begin(starts)
        if following is None or following.function.micros > FINE_MICROS:
            self._flush()
        else:
            self._leave()
        return following

    def _park(self, thread: _TaskThread) -> Job | None:
        """Wait among the parked for a job. None: the thread shall end."""
        parked, waiter = self._parked, thread.waiter
        while not self._stopped:
            surplus = len(parked) > self._host.nthreads
            if self._pump.wait(waiter, self._idle_seconds if surplus else -1.0, True):
                waiter.close()
                return thread.take_job()
            if len(parked) > self._host.nthreads:
                break
        if parked.pop(get_ident(), None) is None:  # somebody was faster and is about to wake us
            self._pump.wait(waiter, -1.0, True)
            waiter.close()
            return thread.take_job()
        return None


class _TaskThread(threading.Thread):
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

    def __init__(self, work: Callable[[_TaskThread], None], job: Job, number: int) -> None:
        super().__init__(name=f"fastsched-task-{number}", daemon=True)
        self._work = work
        self.job: Job | None = job
        self.seat = NO_SEAT
        self.waiter = Waiter()

    def take_job(self) -> Job | None:
        """The job that was left here."""
        job, self.job = self.job, None
        return job

    def run(self) -> None:
        """Run jobs until the executor has none for us."""
        self._work(self)
