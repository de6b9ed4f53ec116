"""The shell of a worker's machine: what `worker.server` is in a real process.

One concern: one worker process. Its page says which tasks execute; the client inside shares its connection, and the
nest stands between that client and the scheduler. The order in which things leave is that of the real shell: what the
machine has to say goes before any message of the client inside, futures in a result are submitted before the result is
reported, and released after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

from fastsched.client.machine import ClientMachine
from fastsched.errors import SerializationError
from fastsched.wire.messages import (
    ErrorItem,
    ErrorKind,
    Frames,
    Message,
    Publish,
    RanFunction,
    Refuse,
    Register,
    Report,
    RunFunction,
    Shutdown,
    Submit,
    Welcome,
)
from fastsched.wire.runs import as_items
from fastsched.worker.channel import FOR_CLIENT
from fastsched.worker.jobs import Action, Fetch, Resume, Send, Start
from fastsched.worker.machine import SCHEDULER, WorkerMachine
from tests.sim.executor import Desk, Executor
from tests.sim.fetching import Directory, Fetcher
from tests.sim.heart import Heart
from tests.sim.network import End
from tests.sim.site import Site
from tests.sim.world import Checks, World

__all__ = ["WorkerNode"]

TICK = 1e-3
"""Seconds until what was left for later is done: the backstop of the real pump."""


class Killer(Protocol):
    """Can end a worker's process."""

    def kill(self, worker: WorkerNode) -> None:
        """At once."""

    def retire(self, worker: WorkerNode) -> None:
        """As planned."""


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
    look : callable, optional
        Has it look for another scheduler when its own has died; leads to `sign_on`.
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
        look: Callable[[WorkerNode], None] | None = None,
    ) -> None:
        world = self.world = world.process()
        self.name = name
        self.machine = machine
        self.alive = True
        self.nthreads = nthreads
        self._directory = directory
        self._look = look
        self._fetcher = Fetcher(world, name, directory)
        self.site = Site(world, f"{name}.client", inner, self._forward, _OwnData(self), inside=True)
        self._killer = killer
        self._readers: dict[int, End] = {}
        self._flush_due = False
        self._armed = False
        self._checks = Checks(world.rng)
        self.executor = Executor(self)
        self._heart: Heart | None = None
        directory[machine.address] = self
        self._comebacks = -1
        self.sign_on(end)

    def sign_on(self, end: End) -> None:
        """There is a scheduler at the other end."""
        self._end = end
        end.process = self.world.clock
        end.on_messages = self._received
        end.on_closed = self._scheduler_gone
        self._comebacks += 1
        end.send(Register(self.name, "", 0, self.nthreads, self.machine.address, 0, "", self._comebacks))
        if self._heart is not None:
            self._heart.stop()
        self._heart = Heart(self.world.clock, end, self.world.config.pulse_seconds) if self.world.pulses else None
        if self._comebacks:
            self._send(self.machine.brought())
        self.flush()

    def sever(self) -> None:
        """Its connection to the scheduler breaks."""
        self._end.sever()

    # -- the process ---------------------------------------------------------------------------------------------------

    @property
    def executing(self) -> tuple[int, ...]:
        """The page: tasks that hold a slot."""
        return tuple(desk.root.id for desk in self.desks if desk.holds_slot and desk.root.id)

    @property
    def desks(self) -> list[Desk]:
        """Its threads that run something."""
        return list(self.executor.desks.values())

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
        end.process = self.world.clock
        self._readers[number] = end
        end.on_messages = partial(self._asked, number)
        end.on_closed = lambda: self._readers.pop(number)

    @property
    def left(self) -> list[str]:
        """What is left of any task."""
        machine = self.machine
        left = [repr(job) for job in (*machine.started(), *machine.queued(), *self.executor.desks)]
        if machine.n_rows or machine.nbytes or machine.lent:
            left.append(f"{machine.n_rows} rows, {machine.nbytes} bytes, {machine.lent} lent slots")
        if machine.nest.n_children or machine.nest.waits():
            left.append(f"{machine.nest.n_children} children")
        return left

    def _leave(self) -> None:
        self.alive = self.site.alive = False
        if self._heart is not None:
            self._heart.stop()
        del self._directory[self.machine.address]

    def _scheduler_gone(self) -> None:
        if not self.alive:
            return
        if self._look is None:
            self._leave()
            self._fetcher.stop(dead=False)
            return
        self.tell_client()
        lost = ErrorItem(ErrorKind.SCHEDULER_LOST, None, "", self.name, 0, "the scheduler is gone, for now")
        self.machine.part(self.executor.launching(), self.site.part(), lost)
        self.executor.end_unwanted()
        self.begin()
        self.check()
        self._look(self)

    # -- messages ------------------------------------------------------------------------------------------------------

    def _received(self, messages: list[Message]) -> None:
        now, machine = self.world.clock.now, self.machine
        for_client: list[Message] = []
        others = []
        for message in messages:
            if type(message) in FOR_CLIENT:
                for_client.append(message)
            elif type(message) in ORDERS_OF_OTHERS:
                others.append(message)
            else:
                machine.receive(SCHEDULER, message, now)
        if for_client:
            self.site.receive(machine.nest.translated(for_client))
        self.executor.end_unwanted()
        self.tell_client()
        self.check()
        self.begin()
        if self._heart is not None:
            self._heart.told(machine.n_rows)
        self.before_wait()
        for message in others:
            if isinstance(message, RunFunction):
                self._forward([RanFunction(message.request, True, message.frames)])
            elif isinstance(message, Shutdown):
                self._killer.retire(self)
            elif isinstance(message, Refuse):
                self.stop()

    def _asked(self, number: int, messages: list[Message]) -> None:
        for message in messages:
            self.machine.receive(number, message, self.world.clock.now)
        self.flush()

    def flush(self) -> None:
        """Do and send all that the machine has."""
        self._flush_due = False
        if self.alive:
            rest = self.machine.errands()
            if self._end.open:
                self._send(self.machine.reports())
            if self._heart is not None:
                self._heart.hold(self.machine.n_rows)
            self._carry_out(rest)
            self.check()

    def flush_soon(self) -> None:
        """Have it flushed a little later."""
        if not self._flush_due:
            self._flush_due = True
            self.world.clock.after(self.world.lateness(), self.flush)

    def before_wait(self) -> None:
        """Who waits leaves nothing unsaid."""
        if self.machine.has_news():
            self.flush()

    def arm(self) -> None:
        """The backstop shall come by."""
        if not self._armed:
            self._armed = True
            self.world.clock.after(TICK, self._tick)

    def _tick(self) -> None:
        self._armed = False
        if self.alive:
            self.executor.tick()
            self.before_wait()

    def _send(self, packet: list[Message]) -> None:
        for message in packet:
            self._send_one(message)

    def _send_one(self, message: Message) -> None:
        try:
            self._end.send(message)
        except SerializationError as error:
            if not isinstance(message, Submit | Publish):
                raise
            functions, items = message
            if len(functions) + len(items) > 1:
                parts = [((function,), ()) for function in functions] + [((), (item,)) for item in items]
                self._send([type(message)(*part) for part in parts])
                return
            for item in items:
                self.machine.nest.undeliverable(item[0], str(error))
            self.tell_client()

    def _carry_out(self, actions: list[Action]) -> None:
        starts: list[Start | Resume] = []
        for action in actions:
            match action:
                case Send(peer, message):
                    if peer in self._readers:
                        self._readers[peer].send(message)
                case Fetch(address, ids):
                    self._fetcher.ask(address, ids, partial(self._fetched, address, ids))
                case Start() | Resume():
                    starts.append(action)
        self.executor.begin(starts)

    def _forward(self, messages: list[Message]) -> None:
        """Send messages of the client inside, after the news that came before them."""
        machine, connected = self.machine, self._end.open
        packet = machine.reports() if connected else []
        machine.nest.take([item for message in messages for item in as_items(message)], self.executor.brood())
        self.executor.end_unwanted()
        if connected:
            packet += machine.nest.messages()
        if machine.nest.waits() or machine.nest.ages():
            self.arm()
        if packet:
            rest = machine.errands()
            self._send(packet)
            self.world.clock.after(self.world.lateness(), lambda: self._carry_out_later(rest))
        self.tell_client()  # last: it may lead back to here, and must not overtake
        self.check()

    def _carry_out_later(self, rest: list[Action]) -> None:
        if self.alive:
            self._carry_out(rest)

    def tell_client(self) -> None:
        """The client inside hears what became of children."""
        if self.machine.nest.has_ends():
            finished, erred = self.machine.nest.ends()
            self.site.receive([Report(tuple(finished), tuple(erred), ())])

    def flush_client(self, desk: Desk) -> None:
        """A thread has the client inside say what it has left to say."""
        with self.executor.calling(desk):
            self.site.turn()

    def check(self) -> None:
        """See that the machine is sound, if it is time for that."""
        if self._checks.due(self.machine.n_rows + len(self.site.handles)):
            self.machine.check()

    def _fetched(self, address: str, ids: tuple[int, ...], items: dict[int, Frames | None] | None) -> None:
        if self.alive:
            found = items or {}
            self.machine.fetched(address, [(id, found.get(id)) for id in ids], self.world.clock.now)
            self.flush()

    def get(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """A value for the client inside: from here, else from other workers."""
        frames = self.machine.frames_of(id)
        others = [address for address in addresses if address != self.machine.address]
        if frames is None and others:
            self._fetcher.get(id, others, answer)
        else:
            self.world.clock.after(self.world.lateness(), lambda: self.alive and answer(frames))

    # -- what threads ask for ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Give started jobs their threads."""
        self.executor.begin(self.machine.starts())

    def kill(self) -> None:
        """A task kills this process."""
        self._killer.kill(self)


ORDERS_OF_OTHERS = FOR_CLIENT | {RunFunction, Shutdown, Welcome, Refuse}


class _OwnData:
    """Where the client inside a worker finds values."""

    def __init__(self, node: WorkerNode) -> None:
        self._node = node

    def get(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """See `WorkerNode.get`."""
        self._node.get(id, addresses, answer)
