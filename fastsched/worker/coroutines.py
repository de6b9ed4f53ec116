"""Tasks that are coroutines: those whose function is an ``async def``, or whose call gives back a coroutine.

One concern: a thread with an event loop, in which all coroutine tasks of this worker take turns, and what becomes of
each: it is begun, its steps are run in its own surroundings, and its outcome is reported to the machine. Held by
`executor`, which makes the coroutine in one of its threads, in a slot. May import the loop, the machine, the runner,
the context, the page and the records of jobs.

The loop is not that of the worker's I/O: what users write may keep it busy, and then only other coroutines wait. It is
there from the first coroutine task on.

A coroutine task begins in a slot. At its first await it gives the slot away and never asks for one again: this thread
runs one step at a time, beside the slots. When there are too many such, those that come keep their slot until they end
or await other tasks, so that a thousand downloads do not become a million.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from typing import Any

from fastsched._wait import monotonic
from fastsched.net.loop import LoopThread
from fastsched.page import NO_SEAT, Page
from fastsched.worker.context import CurrentTask, Host, enter_context, leave_place, take_place
from fastsched.worker.desk import Desk
from fastsched.worker.drops import unwanted_coroutines
from fastsched.worker.jobs import Child, Job, Resume, Start
from fastsched.worker.machine import WorkerMachine
from fastsched.worker.reporting import report, report_child
from fastsched.worker.runner import Outcome, raised, returned

__all__ = ["Coroutines"]

OWN_FRAMES = 2
"""Of ours, at the top of the traceback of what a coroutine raises: `_live` and `_Steps.__await__`."""


class Coroutines:
    """The coroutine tasks of one worker.

    Parameters
    ----------
    machine : WorkerMachine
        Hears of the outcomes, under the host's lock.
    page : Page
        Where it is written whose step executes.
    host : Host
        The worker.
    begin, flush : callable
        The executor's: give jobs their threads; send the news.
    """

    def __init__(
        self,
        machine: WorkerMachine,
        page: Page,
        host: Host,
        begin: Callable[[list[Start | Resume]], object],
        flush: Callable[[], object],
    ) -> None:
        self._machine = machine
        self._page = page
        self._host = host
        self._begin_jobs = begin
        self._flush = flush
        self._most = host.config.coroutines
        self._seat = NO_SEAT
        self._thread: LoopThread | None = None
        self._running: dict[Job, asyncio.Task[None] | None] = {}  # None: not begun yet

    # -- from any thread ----------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        """Coroutine tasks that have been started and have not ended."""
        return len(self._running)

    def full(self) -> bool:
        """Whether there are so many that others had better wait for a slot."""
        return len(self._running) > self._most

    def start(self, desk: Desk, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run what the call of a job has made. Under the worker's lock, by which one of several threads makes the loop.

        `desk` has the job, and the seat of the slot in which it begins; a child has no slot of its own.
        """
        job = desk.root
        job.on_loop = True
        job.seceded = job.seceded or isinstance(job, Child)
        task = CurrentTask(job, self._host, desk, job, None)
        if self._thread is None:
            self._thread = LoopThread("fastsched-coroutines", serves=False)
            self._thread.start()
            self._thread.call_soon(self._move_in)
        self._running[job] = None
        try:
            self._thread.call_soon(self._begin, task, coroutine)
        except RuntimeError:  # the worker ends
            del self._running[job]
            coroutine.close()

    def end_unwanted(self) -> None:
        """Under the worker's lock: those whose outcome nobody wants any more end at their next await."""
        unwanted = unwanted_coroutines(list(self._running))
        if unwanted and self._thread is not None:
            with suppress(RuntimeError):  # the worker ends
                self._thread.call_soon(self._cancel, unwanted)

    def stop(self) -> None:
        """Cancel all, and end the loop; does not wait for that."""
        if self._thread is not None:
            with suppress(RuntimeError):  # once more
                self._thread.call_soon(leave_place)
            self._thread.stop(0.0)

    # -- in the loop's thread -----------------------------------------------------------------------------------------

    def _move_in(self) -> None:
        take_place(self._host, True)
        self._seat = self._page.take()

    def _begin(self, task: CurrentTask, coroutine: Coroutine[Any, Any, Any]) -> None:
        loop = asyncio.get_running_loop()
        running = loop.create_task(self._live(task, coroutine), name=task.key, context=Context())
        self._running[task.job] = running
        loop.call_soon(self._begun, task, running)

    def _begun(self, task: CurrentTask, running: asyncio.Task[None]) -> None:
        """It has taken its first step."""
        if not running.done() and not self.full():
            self._host.secede(task)

    def _cancel(self, jobs: list[Job]) -> None:
        for job in jobs:
            running = self._running.get(job)
            if running is not None:
                asyncio.get_running_loop().call_soon(running.cancel)  # after its first step, which may wait already

    async def _live(self, task: CurrentTask, coroutine: Coroutine[Any, Any, Any]) -> None:
        """The whole life of a coroutine task, in a context of its own; nothing that it raises leaves this."""
        host, job = self._host, task.job
        enter_context(task)
        steps = _Steps(coroutine, self._page, self._seat, task.id)
        began = monotonic()
        try:
            result = await steps
        except BaseException as error:  # noqa: BLE001  a task's SystemExit or KeyboardInterrupt is its own
            outcome = raised(job, host.name, error, int(1e6 * (monotonic() - began)), OWN_FRAMES)
        else:
            outcome = returned(job, host.name, host.config, result, int(1e6 * (monotonic() - began)))
            del result
        job.function.note(1e6 * steps.seconds)
        del self._running[job]
        task.leave()
        self._ended(task, outcome)

    def _ended(self, task: CurrentTask, outcome: Outcome) -> None:
        host, job, desk, nest = self._host, task.job, task.thread, self._machine.nest
        if outcome.pins:
            host.flush_client()
        with host.lock:
            if isinstance(job, Child):
                report_child(self._machine, host, job, outcome)
            else:
                report(self._machine, job, outcome)
                self._page.give(desk.seat)
                desk.seat = NO_SEAT
            starts = self._machine.starts()
        self._begin_jobs(starts)
        self._flush()
        if nest.waits():  # for this one; the threads that would run it are waiting already
            host.pump.arm()
        outcome.result = None  # outside the lock, and not before it was reported


class _Steps:
    """A coroutine, of which each step is written to the page: should it end the process, it is to blame.

    Parameters
    ----------
    coroutine : coroutine
        What to run.
    page, seat : Page, int
        Where to write.
    id : int
        What.

    Attributes
    ----------
    seconds : float
        How long its steps took so far, without what it has awaited.
    """

    __slots__ = ("_coroutine", "_id", "_page", "_seat", "seconds")

    def __init__(self, coroutine: Coroutine[Any, Any, Any], page: Page, seat: int, id: int) -> None:
        self._coroutine = coroutine
        self._page = page
        self._seat = seat
        self._id = id
        self.seconds = 0.0

    def __await__(self) -> Generator[Any, Any, Any]:
        """As ``yield from`` does it."""
        page, seat, id = self._page, self._seat, self._id
        step: Callable[[Any], Any] = self._coroutine.send
        argument: Any = None
        while True:
            page.write(seat, id)
            began = monotonic()
            try:
                awaited = step(argument)
            except StopIteration as stop:
                return stop.value
            finally:
                argument = None  # an exception that holds this frame, which must not hold it
                page.write(seat, 0)
                self.seconds += monotonic() - began
            try:
                argument = yield awaited
                step = self._coroutine.send
            except BaseException as error:  # noqa: BLE001  cancelled, or the loop is gone: the coroutine shall see it
                argument, step = error, self._coroutine.throw
