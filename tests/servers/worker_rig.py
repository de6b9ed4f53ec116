"""A worker without sockets: the machine, its lock and its executor with real threads; reports come out of a queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastsched._wait import TurnLock
from fastsched.config import Config
from fastsched.net._pump import Pump
from fastsched.net.loop import LoopThread
from fastsched.page import Page
from fastsched.wire import payload
from fastsched.wire.messages import Done, ErredItem, FinishedItem, FunctionItem, Run, RunItem
from fastsched.worker.executor import Executor
from fastsched.worker.jobs import Resume, Send, Start
from fastsched.worker.machine import SCHEDULER, WorkerMachine

PATIENCE = 20.0  # seconds until a test that waits for a thread has failed


def task_id(n: int) -> int:
    return 1 << 32 | n


class Rig:
    """The host of an executor. Sends what is to be sent into a queue, in the thread that has the news."""

    def __init__(
        self,
        nthreads: int = 1,
        idle_seconds: float = 5.0,
        gathers: bool = True,
        machine: type[WorkerMachine] = WorkerMachine,
    ) -> None:
        self.name = "w"
        self.address = "unix:///here"
        self.nthreads = nthreads
        self.config = Config()
        self.lock = TurnLock()
        self.io = LoopThread("rig-io")
        self.io.start()
        self.pump = self.io.run(self._make_pump())
        self.machine = machine(self.config, nthreads, self.name, self.address)
        self.page = Page("", nthreads)
        later = self.flush if gathers else _nothing
        self.executor = Executor(self.machine, self.page, self, self.flush, later, idle_seconds)
        self.messages: queue.SimpleQueue[Done] = queue.SimpleQueue()
        self.flushed_client = 0
        self.lent: list[int] = []
        self._last = 0
        self._gathers = gathers
        self._send_lock = threading.Lock()
        self.pump.join(self)

    async def _make_pump(self) -> Pump:
        return Pump(self.io.loop)

    def close(self) -> None:
        self.io.run(self._close())
        self.io.stop()

    async def _close(self) -> None:
        self.pump.close()

    # -- what the pump calls -------------------------------------------------------------------------------------------

    def round_ended(self) -> None:
        """Nothing comes in here."""

    def before_wait(self) -> None:
        if self._gathers:
            self.flush()

    def tick(self) -> None:
        if self._gathers:
            self.flush()

    # -- what the executor and its tasks call --------------------------------------------------------------------------

    def flush(self) -> None:
        with self._send_lock:
            with self.lock:
                actions = self.machine.drain()
            for action in actions:
                if isinstance(action, Send):
                    self.lent.append(action.message.lent)
                    self.messages.put(action.message)
        self.executor.begin([action for action in actions if isinstance(action, Start | Resume)])

    def secede(self, task: Any) -> None:
        self.executor.secede(task)

    def rejoin(self, task: Any) -> None:
        self.executor.rejoin(task)

    def flush_client(self) -> None:
        self.flushed_client += 1

    def tell_client(self) -> None:
        """There is none."""

    # -- what a test calls ---------------------------------------------------------------------------------------------

    def submit(self, fn: Callable[..., Any], *args: Any) -> int:
        """Order one task; its id."""
        return self.submit_many(fn, [args])[0]

    def submit_many(self, fn: Callable[..., Any], calls: list[tuple[Any, ...]]) -> list[int]:
        """Order one task per tuple of arguments, in one message."""
        fn_id, frames = payload.functions.pickle_function(fn)
        items = []
        for args in calls:
            self._last += 1
            packed, _, _ = payload.dumps_call(args, {}, "a test")
            items.append(RunItem(task_id(self._last), 1, f"key-{self._last}", fn_id, packed, (), 0, self._last))
        self.order(Run((FunctionItem(fn_id, frames),), tuple(items)))
        return [item.id for item in items]

    def order(self, message: Any) -> None:
        with self.lock:
            self.machine.receive(SCHEDULER, message, 0.0)
            starts = self.machine.starts()
        self.executor.begin(starts)
        self.flush()

    def outcomes(self, n: int) -> list[FinishedItem | ErredItem]:
        """The next `n` outcomes, in the order in which they were reported."""
        found: list[FinishedItem | ErredItem] = []
        while len(found) < n:
            done = self.messages.get(timeout=PATIENCE)
            found += [*done.finished, *done.erred]
        return found

    def call(self, fn: Callable[..., Any], *args: Any) -> Any:
        """Run one task; its value."""
        self.submit(fn, *args)
        return self.value()

    def value(self) -> Any:
        """The value of the next outcome."""
        (item,) = self.outcomes(1)
        assert isinstance(item, FinishedItem), item
        return payload.loads(item.frames)

    def error(self) -> Any:
        """The error of the next outcome."""
        (item,) = self.outcomes(1)
        assert isinstance(item, ErredItem), item
        return item.error

    def threads(self) -> list[threading.Thread]:
        """Those of this executor that live. (Tests run one executor at a time.)"""
        return [thread for thread in threading.enumerate() if thread.name.startswith("fastsched-task-")]


@contextmanager
def rig(nthreads: int = 1, **options: Any) -> Iterator[Rig]:
    """A rig whose threads are gone at the end, and whose machine is sound."""
    world = Rig(nthreads, **options)
    yield world
    world.executor.stop()
    for thread in world.threads():
        thread.join(PATIENCE)
    world.close()
    assert world.threads() == []
    assert world.page.running() == []
    world.machine.check()


def _nothing() -> None:
    """News is left, and nobody comes for it."""
