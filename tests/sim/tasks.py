"""Tasks in virtual time.

One concern: run the program of one task in a thread of a worker, whether the scheduler has given it to the thread or
it is a child in the thread of its parent; and wait as `nested` does, looking now and then whether the thread is stuck.
What the thread itself does is `executor`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastsched.client.record import Status
from fastsched.wire.messages import ErrorItem, ErrorKind
from fastsched.worker.jobs import Job
from fastsched.worker.store import Value as StoredValue
from tests.sim import freight
from tests.sim.clock import Event
from tests.sim.freight import Packed
from tests.sim.language import (
    Boom,
    Call,
    Close,
    Die,
    Failed,
    Lock,
    Open,
    Put,
    Rejoin,
    Secede,
    Stumble,
    Unlock,
    Value,
)
from tests.sim.programs import program_of
from tests.sim.site import Handle
from tests.sim.threads import LATER, Thread, Wait

if TYPE_CHECKING:
    from tests.sim.executor import Desk
    from tests.sim.worker import WorkerNode

__all__ = ["TaskThread"]

FIRST_LOOK_SECONDS, LAST_LOOK_SECONDS, ANSWER_SECONDS = 0.1, 2.0, 0.01
"""As in `nested`."""

Over = Callable[["TaskThread", StoredValue | ErrorItem, int, tuple[str, ...]], object]


class TaskThread(Thread):
    """A task in a thread of a worker.

    Parameters
    ----------
    node : WorkerNode
        The worker.
    desk : Desk
        The thread.
    job : Job
        What it runs.
    over : callable
        Told how it ended: the value or the error, microseconds, keys of futures inside the value.
    """

    def __init__(self, node: WorkerNode, desk: Desk, job: Job, over: Over) -> None:
        self.node = node
        self.desk = desk
        self.job = job
        self._over = over
        self._began = 0.0
        self._mine: list[Handle] = []  # futures in the hands of the task
        self._opened = False  # it is in a `worker_client` block
        self._inline = True  # the thread may run children
        self._locks: list[int] = []  # that it holds
        self._had: bool | None = None  # a wait has lent the slot, and takes it back; None: it does not wait
        self._look: Event | None = None  # the next one, whether the thread is stuck
        super().__init__(node.world, node.site, f"{node.name}:{job.key}", self._script_of(job))

    def begin(self) -> None:
        """Unpack the arguments and run."""
        if self.alive:
            self._began = self.world.clock.now
            self.world.ledger.executed[self.job.key] += 1
            self.go_on()

    def go_on(self, answer: Any = None, error: Exception | None = None) -> None:
        with self.node.executor.calling(self.desk):
            super().go_on(answer, error)

    def _script_of(self, job: Job) -> Any:
        def script() -> Any:
            args, pins = freight.unpack_args(job.args)
            name = freight.unpack_function(job.function.frames)
            inputs = [self.bind(freight.unpack_value(value.frames)) for value in job.values]
            pinned = [self._own(self.site.adopt(key)) for key in pins]
            return (yield from program_of(name)(inputs, pinned, *args))

        return script()

    # -- operations ----------------------------------------------------------------------------------------------------

    def _ensure_wanted(self) -> None:
        """As each call of a real task does."""
        if self.job.dropped:
            raise Failed(ErrorKind.CANCELLED, self.job.key, f"nobody wants {self.job.key}")

    def submit(self, call: Call) -> Handle:
        self._ensure_wanted()
        handle = self._own(self.site.submit(call, self.desk.root.id))
        self.world.ledger.depends(self.job.key, (handle.key,))
        if not call.local:
            self.node.executor.hand_over([handle.record.fid])
        return handle

    def put(self, operation: Put) -> list[Handle]:
        handles = super().put(operation)
        self.world.ledger.depends(self.job.key, [handle.key for handle in handles])
        return [self._own(handle) for handle in handles]

    def bind(self, packed: Packed) -> Value:
        value = super().bind(packed)
        self.world.ledger.depends(self.job.key, packed.keys)
        for handle in value.handles:
            self._own(handle)
        return value

    def lend(self, operation: Any) -> Any:
        executor, desk = self.node.executor, self.desk
        match operation:
            case Open(inline):
                self._ensure_wanted()
                self._inline = inline
                self._opened = executor.open_block(desk)
            case Close():
                self._inline = True
                self._close_block(self.go_on)
                return LATER
            case Secede():
                executor.secede(desk)
            case Rejoin():
                executor.rejoin(desk, self.go_on_soon)
                return LATER
            case Lock(number):
                self._locks.append(number)
                return None if self.node.executor.locks.take(number, self.go_on_soon) else LATER
            case Unlock(number):
                self._locks.remove(number)
                self.node.executor.locks.give(number)
            case Stumble(times):
                stumbled = self.world.ledger.stumbled
                if stumbled[self.job.key] < times:
                    stumbled[self.job.key] += 1
                    raise Boom(f"stumbled {freight.unpack_args(self.job.args)[0]}")
            case Die():
                self.node.kill()
                return LATER
        return None

    def _close_block(self, then: Callable[[], object]) -> None:
        if self._opened:
            self._opened = False
            self.node.executor.close_block(self.desk, then)
        else:
            then()

    def wait(self, waiting: Wait, seconds: float | None = None) -> None:
        """What has not begun runs here first, if it may; then a wait lends the slot."""
        if waiting.is_over:
            waiting.begin()
            return
        self._ensure_wanted()
        executor, desk = self.node.executor, self.desk
        fids = [handle.record.fid for handle in waiting.handles if handle.record.status is Status.PENDING]
        if self._inline and seconds is None:
            executor.run_children(desk, fids, waiting, lambda: self._wait_on(waiting, None))
        else:
            executor.hand_over(fids)
            self._wait_on(waiting, seconds)

    def _wait_on(self, waiting: Wait, seconds: float | None) -> None:
        if not self.alive:
            return
        with self.node.executor.calling(self.desk):
            waiting.begin()
            if waiting.is_over:
                return
            self._had = self.node.executor.begin_wait(self.desk, waiting)
            if self.job.dropped:
                waiting.give_up()
                return
        if seconds is None:
            self._look_later(FIRST_LOOK_SECONDS)
        else:
            self.world.clock.after(seconds, waiting.expire)

    def woken(self, make: Any) -> None:
        if self._look is not None:
            self._look.cancel()
        had, self._had = self._had, None
        if had is None:
            super().woken(make)
        else:
            self.node.executor.end_wait(self.desk, had, lambda: super(TaskThread, self).woken(self._if_wanted(make)))

    def _if_wanted(self, make: Any) -> Any:
        def answer() -> Any:
            self._ensure_wanted()
            return make()

        return answer

    # -- is the thread stuck? ------------------------------------------------------------------------------------------

    def _look_later(self, pause: float) -> None:
        self._look = self.world.clock.after(pause, lambda: self._look_now(pause, True))

    def _look_now(self, pause: float, first: bool) -> None:
        """Once more soon if something was asked for: it may be here by then."""
        if not self.alive:
            return
        asked = self.node.executor.unstick(self.desk)
        if asked and first:
            self._look = self.world.clock.after(ANSWER_SECONDS, lambda: self._look_now(pause, False))
        else:
            self._look_later(min(2.0 * pause, LAST_LOOK_SECONDS))

    # -- ends ----------------------------------------------------------------------------------------------------------

    def returned(self, value: Value) -> None:
        self._close_block(lambda: self._returned(value))

    def _returned(self, value: Value) -> None:
        self._unlock()
        keys = tuple(handle.key for handle in value.handles)
        self.world.ledger.holds(self.job.key, keys)
        micros = self._micros()
        self.site.release([handle for handle in self._mine if handle not in value.handles])
        frames = freight.pack_value(Packed(value.n, value.size, keys), self.world.config.attach_bytes)
        self._over(self, StoredValue(frames, freight.TYPE_NAME), micros, keys)
        self.site.release(self._mine)

    def raised(self, error: Exception) -> None:
        self._close_block(lambda: self._raised(error))

    def _raised(self, error: Exception) -> None:
        self._unlock()
        micros = self._micros()
        self.site.release(self._mine)
        key, text, kind = self.job.key, str(error), ErrorKind.TASK
        if isinstance(error, Failed):
            kind, key, text = error.kind, error.key, error.text
        frames = freight.pack_exception(kind, key, text)
        item = ErrorItem(ErrorKind.TASK, frames, self.job.key, self.node.name, self.job.attempt, str(error))
        self._over(self, item, micros, ())

    def _unlock(self) -> None:
        while self._locks:
            self.node.executor.locks.give(self._locks.pop())

    def _micros(self) -> int:
        return int((self.world.clock.now - self._began) * 1e6)

    def _own(self, handle: Handle) -> Handle:
        self._mine.append(handle)
        return handle
