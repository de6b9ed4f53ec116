"""Tasks in virtual time.

One concern: run the program of one task in a thread of a worker, whether the scheduler has given it to the thread or
it is a child in the thread of its parent. What the thread itself does is `executor`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastsched.client.record import Status
from fastsched.wire.messages import ErrorItem, ErrorKind
from fastsched.worker.jobs import Job
from fastsched.worker.store import Value as StoredValue
from tests.sim import freight
from tests.sim.freight import Packed
from tests.sim.language import Boom, Call, Close, Die, Failed, Open, Put, Rejoin, Secede, Stumble, Value
from tests.sim.programs import program_of
from tests.sim.site import Handle
from tests.sim.threads import LATER, Thread, Waiting

if TYPE_CHECKING:
    from tests.sim.executor import Desk
    from tests.sim.worker import WorkerNode

__all__ = ["TaskThread"]

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
        self._had = False  # a wait has lent the slot, and takes it back
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

    def submit(self, call: Call) -> Handle:
        handle = self._own(self.site.submit(call, self.desk.root.id))
        self.world.ledger.depends(self.job.key, (handle.key,))
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
            case Open():
                self._opened = executor.open_block(desk)
            case Close():
                self._close_block(self.go_on)
                return LATER
            case Secede():
                executor.secede(desk)
            case Rejoin():
                executor.rejoin(desk, self.go_on_soon)
                return LATER
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

    def wait(self, handles: Any, give: Any, until_error: bool) -> None:
        """What has not begun runs here first; then a wait lends the slot."""
        waiting = Waiting(self, handles, give, until_error)
        if waiting.is_over:
            waiting.begin()
            return
        fids = [handle.record.fid for handle in handles if handle.record.status is Status.PENDING]
        most = 1 if self.world.rng.random() < 0.1 else 0  # as in `as_completed`
        executor = self.node.executor
        executor.run_children(self.desk, fids, until_error, most, lambda: self._wait_on(waiting))

    def _wait_on(self, waiting: Waiting) -> None:
        if not self.alive:
            return
        with self.node.executor.calling(self.desk):
            waiting.begin()
            self._had = not waiting.is_over and self.node.executor.begin_wait(self.desk)

    def woken(self, make: Any) -> None:
        had, self._had = self._had, False
        self.node.executor.end_wait(self.desk, had, lambda: super(TaskThread, self).woken(make))

    # -- ends ----------------------------------------------------------------------------------------------------------

    def returned(self, value: Value) -> None:
        self._close_block(lambda: self._returned(value))

    def _returned(self, value: Value) -> None:
        keys = tuple(handle.key for handle in value.handles)
        micros = self._micros()
        self.site.release([handle for handle in self._mine if handle not in value.handles])
        frames = freight.pack_value(Packed(value.n, value.size, keys), self.world.config.attach_bytes)
        self._over(self, StoredValue(frames, freight.TYPE_NAME), micros, keys)
        self.site.release(self._mine)

    def raised(self, error: Exception) -> None:
        self._close_block(lambda: self._raised(error))

    def _raised(self, error: Exception) -> None:
        micros = self._micros()
        self.site.release(self._mine)
        key, text, kind = self.job.key, str(error), ErrorKind.TASK
        if isinstance(error, Failed):
            kind, key, text = error.kind, error.key, error.text
        frames = freight.pack_exception(kind, key, text)
        item = ErrorItem(ErrorKind.TASK, frames, self.job.key, self.node.name, self.job.attempt, str(error))
        self._over(self, item, micros, ())

    def _micros(self) -> int:
        return int((self.world.clock.now - self._began) * 1e6)

    def _own(self, handle: Handle) -> Handle:
        self._mine.append(handle)
        return handle
