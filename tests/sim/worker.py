"""The shell of a worker's machine: what `worker.server` and `worker.executor` are in a real process.

One concern: one worker process. Its threads run programs in virtual time, as many with a slot as the machine allows;
its page says which tasks execute; the client inside shares its connection. The order in which things leave is that of
the real shell: what the machine has to say goes before any message of the client inside, futures in a result are
submitted before the result is reported, and released after it.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol

from fastsched.client.machine import ClientMachine
from fastsched.wire.messages import (
    ErrorItem,
    ErrorKind,
    Frames,
    Message,
    RanFunction,
    Refuse,
    Register,
    RunFunction,
    Shutdown,
    Welcome,
)
from fastsched.worker.channel import FOR_CLIENT
from fastsched.worker.jobs import Fetch, Job, Resume, Send, Start
from fastsched.worker.machine import SCHEDULER, WorkerMachine
from fastsched.worker.store import Value as StoredValue
from tests.sim import freight
from tests.sim.fetching import Directory, Fetcher
from tests.sim.freight import Packed
from tests.sim.language import Boom, Call, Die, Failed, Put, Rejoin, Secede, Stumble, Value
from tests.sim.network import End
from tests.sim.programs import program_of
from tests.sim.site import Handle, Site
from tests.sim.threads import LATER, Thread
from tests.sim.world import Checks, World

__all__ = ["TaskThread", "WorkerNode"]


class Killer(Protocol):
    """Can end a worker's process."""

    def kill(self, worker: WorkerNode) -> None:
        """At once."""


class WorkerNode:
    """One worker.

    Parameters
    ----------
    world : World
        The ground.
    name : str
        Its name in the cluster.
    machine : WorkerMachine
        What it decides.
    nthreads : int
        Its slots.
    inner : ClientMachine
        The client inside.
    directory : Directory
        Where others find it, and it them.
    end : End
        Its connection to the scheduler.
    killer : Killer
        Whom a task asks that kills its worker.
    """

    def __init__(
        self,
        world: World,
        name: str,
        machine: WorkerMachine,
        nthreads: int,
        inner: ClientMachine,
        directory: Directory,
        end: End,
        killer: Killer,
    ) -> None:
        self.world = world
        self.name = name
        self.machine = machine
        self.alive = True
        self.nthreads = nthreads
        self.threads: dict[Job, TaskThread] = {}
        self._directory = directory
        self._end = end
        self._fetcher = Fetcher(world, name, directory)
        self.site = Site(world, f"{name}.client", inner, self._forward, self._fetcher, inside=True)
        self._killer = killer
        self._readers: dict[int, End] = {}
        self._flush_due = False
        self._checks = Checks(world.rng)
        end.on_messages = self._received
        end.on_closed = self._scheduler_gone
        directory[machine.address] = self
        end.send(Register(name, "", 0, self.nthreads, machine.address, 0, ""))

    # -- the process ---------------------------------------------------------------------------------------------------

    @property
    def executing(self) -> tuple[int, ...]:
        """The page: tasks that hold a slot."""
        return tuple(thread.job.id for thread in self.threads.values() if thread.holds_slot)

    def die(self) -> None:
        """The process is gone, all at once."""
        self._leave()
        self._end.die()
        for reader in self._readers.values():
            reader.die()
        self._fetcher.stop(dead=True)

    def stop(self) -> None:
        """A planned end: what was found out is sent, what runs is given back."""
        self.machine.leave()
        self.flush()
        self._leave()
        self._end.close()
        for reader in self._readers.values():
            reader.close()
        self._fetcher.stop(dead=False)

    def serve(self, end: End) -> None:
        """Let in somebody who fetches values."""
        number = self.world.number() + SCHEDULER
        self._readers[number] = end
        end.on_messages = partial(self._asked, number)
        end.on_closed = lambda: self._readers.pop(number)

    @property
    def left(self) -> list[str]:
        """What is left of any task."""
        machine = self.machine
        left = [repr(job) for job in (*machine.started(), *machine.queued(), *self.threads)]
        if machine.n_rows or machine.nbytes or machine.lent:
            left.append(f"{machine.n_rows} rows, {machine.nbytes} bytes, {machine.lent} lent slots")
        return left

    def _leave(self) -> None:
        self.alive = self.site.alive = False
        del self._directory[self.machine.address]

    def _scheduler_gone(self) -> None:
        if self.alive:
            self._leave()
            self._fetcher.stop(dead=False)

    # -- messages ------------------------------------------------------------------------------------------------------

    def _received(self, messages: list[Message]) -> None:
        now = self.world.clock.now
        others = []
        for message in messages:
            if type(message) in ORDERS_OF_OTHERS:
                others.append(message)
            else:
                self.machine.receive(SCHEDULER, message, now)
        self._check()
        self.begin()
        if self.machine.has_news():
            self.flush()
        for_client = [message for message in others if type(message) in FOR_CLIENT]
        if for_client:
            self.site.receive(for_client)
        for message in others:
            if isinstance(message, RunFunction):
                self._forward(RanFunction(message.request, True, message.frames))
            elif isinstance(message, Refuse | Shutdown):
                raise AssertionError(f"{self.name} is told {message}")

    def _asked(self, number: int, messages: list[Message]) -> None:
        for message in messages:
            self.machine.receive(number, message, self.world.clock.now)
        self.flush()

    def flush(self) -> None:
        """Do and send all that the machine has."""
        self._flush_due = False
        if not self.alive:
            return
        for action in self.machine.drain():
            match action:
                case Send(peer, message):
                    end = self._end if peer == SCHEDULER else self._readers.get(peer)
                    if end is not None:
                        end.send(message)
                case Fetch(address, ids):
                    self._fetcher.ask(address, ids, partial(self._fetched, address, ids))
                case Start() | Resume():
                    self._begin(action)
        self._check()

    def flush_soon(self) -> None:
        """Have the loop's thread flush."""
        if not self._flush_due:
            self._flush_due = True
            self.world.clock.after(self.world.lateness(), self.flush)

    def _forward(self, message: Message) -> None:
        """Send a message of the client inside, after the news that came before it."""
        self.flush()
        self._end.send(message)

    def _check(self) -> None:
        if self._checks.due(len(self.threads)):
            self.machine.check()

    def _fetched(self, address: str, ids: tuple[int, ...], items: dict[int, Frames | None] | None) -> None:
        if self.alive:
            found = items or {}
            self.machine.fetched(address, [(id, found.get(id)) for id in ids], self.world.clock.now)
            self.flush()

    # -- threads -------------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Give started jobs their threads."""
        for action in self.machine.starts():
            self._begin(action)

    def _begin(self, action: Start | Resume) -> None:
        job = action.job
        if isinstance(action, Resume):
            thread = self.threads[job]
            thread.holds_slot = True
            self.world.clock.after(self.world.lateness(), thread.resumed)
        else:
            assert job not in self.threads, f"{job} started twice"
            thread = self.threads[job] = TaskThread(self, job)
            self.world.clock.after(self.world.lateness(), thread.begin)
        self.world.journal.note(self.name, type(action).__name__.lower() + "s", repr(job))
        self.check_slots()

    def check_slots(self) -> None:
        """No more threads hold a slot than there are."""
        holding = [thread.job.key for thread in self.threads.values() if thread.holds_slot]
        if len(holding) > self.nthreads:
            raise AssertionError(f"{self.name} has {self.nthreads} slots, and these hold one: {holding}")

    def secede(self, thread: TaskThread) -> None:
        """Lend the slot of a task."""
        thread.holds_slot = not self.machine.secede(thread.job)
        self.begin()
        self.flush_soon()

    def rejoin(self, thread: TaskThread) -> bool:
        """A task wants a slot; False: it has to wait for `Resume`."""
        here = self.machine.rejoin(thread.job)
        if here:
            thread.holds_slot = True
            self.check_slots()
        self.begin()
        self.flush_soon()
        return here

    def over(self, thread: TaskThread, end: StoredValue | ErrorItem, micros: int, pins: tuple[str, ...]) -> None:
        """A thread has done its task."""
        job = thread.job
        if pins:
            self.site.turn()
        del self.threads[job]
        self.world.ledger.worked += micros * 1e-6
        self.world.ledger.last_end = self.world.clock.now
        self.world.journal.note(self.name, "ends", f"{job!r} {end!r}")
        if isinstance(end, StoredValue):
            self.machine.finished(job, end, micros, pins)
        else:
            self.machine.failed(job, end)
        self._check()
        self.begin()
        if self.world.rng.random() < 0.5:
            self.flush()
        else:
            self.flush_soon()

    def kill(self) -> None:
        """A task kills the process."""
        self._killer.kill(self)


ORDERS_OF_OTHERS = FOR_CLIENT | {RunFunction, Shutdown, Welcome, Refuse}


class TaskThread(Thread):
    """A task in a thread of a worker.

    Parameters
    ----------
    node : WorkerNode
        The worker.
    job : Job
        What it runs.
    """

    def __init__(self, node: WorkerNode, job: Job) -> None:
        self.node = node
        self.job = job
        self.holds_slot = True
        self._began = 0.0
        self._mine: list[Handle] = []  # futures in the hands of the task
        self._keeps_slot_back = False  # a wait lent the slot, and takes it back
        self._make: Any = None
        super().__init__(node.world, node.site, f"{node.name}:{job.key}", self._script_of(job))

    def begin(self) -> None:
        """Unpack the arguments and run."""
        if self.alive:
            self._began = self.world.clock.now
            self.world.ledger.executed[self.job.key] += 1
            self.go_on()

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
        handle = self._own(self.site.submit(call, self.job.id))
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

    def lend(self, operation: Secede | Rejoin | Die | Stumble) -> Any:
        match operation:
            case Secede():
                if self.holds_slot:
                    self.node.secede(self)
            case Rejoin():
                if not self.holds_slot and not self.node.rejoin(self):
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

    def wait(self, handles: Any, give: Any) -> None:
        """A wait lends the slot."""
        if self.holds_slot:
            self._keeps_slot_back = True
            self.node.secede(self)
        super().wait(handles, give)

    def woken(self, make: Any) -> None:
        if self._keeps_slot_back and not self.holds_slot:
            self._make = make
            if not self.node.rejoin(self):
                return
        self._woken_with_slot(make)

    def resumed(self) -> None:
        """The slot is there that was waited for."""
        if not self.alive:
            return
        if self._make is not None:
            self._woken_with_slot(self._make)
        else:
            self.go_on()

    def _woken_with_slot(self, make: Any) -> None:
        self._make = None
        self._keeps_slot_back = False
        super().woken(make)

    # -- ends ----------------------------------------------------------------------------------------------------------

    def returned(self, value: Value) -> None:
        keys = tuple(handle.key for handle in value.handles)
        self.site.release([handle for handle in self._mine if handle not in value.handles])
        frames = freight.pack_value(Packed(value.n, value.size, keys), self.world.config.attach_bytes)
        self.node.over(self, StoredValue(frames, freight.TYPE_NAME), self._micros(), keys)
        self.site.release(self._mine)

    def raised(self, error: Exception) -> None:
        self.site.release(self._mine)
        key, text, kind = self.job.key, str(error), ErrorKind.TASK
        if isinstance(error, Failed):
            kind, key, text = error.kind, error.key, error.text
        frames = freight.pack_exception(kind, key, text)
        item = ErrorItem(ErrorKind.TASK, frames, self.job.key, self.node.name, self.job.attempt, str(error))
        self.node.over(self, item, self._micros(), ())

    def _micros(self) -> int:
        return int((self.world.clock.now - self._began) * 1e6)

    def _own(self, handle: Handle) -> Handle:
        self._mine.append(handle)
        return handle
