"""The shell of the scheduler's machine: what `scheduler.server` is in a real process.

One concern: connections in, turns, deadlines, and finding out how workers ended.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

from fastsched.scheduler.machine import Leave, PutOut, SchedulerMachine, Send, Stop
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import Message, Refuse, Register, Role
from tests.sim.clock import Alarm
from tests.sim.network import End
from tests.sim.world import Checks, World

__all__ = ["Detection", "Obituary", "SchedulerNode"]

PATIENCE = 0.3  # so many turns are patient, as those of embedded clients are
BACKSTOP = 0.001  # seconds until what a patient turn has left leaves


class Detection(NamedTuple):
    """How the scheduler learns of a worker's death."""

    supervised: bool  # its connection ends first, how it died is known a while later
    seconds: float  # how much later
    reads_page: bool  # whether the scheduler knows what the worker executed

    @classmethod
    def by(cls, rng: random.Random) -> Detection:
        """That of a seed."""
        return cls(rng.random() < 0.5, rng.choice((0.0, 1e-3, 0.1)), rng.random() < 0.8)


class Obituary(NamedTuple):
    """What can be found out about a worker that has ended."""

    cause: str
    executing: tuple[int, ...]  # task ids


class Peer:
    """One connection."""

    __slots__ = ("end", "name", "number", "registered", "role")

    def __init__(self, number: int, role: Role, end: End, name: str) -> None:
        self.number = number
        self.role = role
        self.end = end
        self.name = name
        self.registered = False


class SchedulerNode:
    """A scheduler.

    Parameters
    ----------
    world : World
        The ground.
    machine : SchedulerMachine
        What it decides.
    """

    def __init__(self, world: World, machine: SchedulerMachine) -> None:
        world = self.world = world.process()
        self.name = "scheduler"
        self.machine = machine
        self.alive = True
        self.stopped: str | None = None  # why a client stopped everything
        self.on_put_out: Callable[[str, str], object] = _never  # told the name of a worker, and why
        self.detection = Detection.by(world.rng)
        self.obituaries: dict[str, Obituary] = {}  # by the name of the worker, written by whoever ends it
        self._peers: dict[int, Peer] = {}
        self._last = 0
        self._turn_due = False
        self._patience = random.Random(world.seed)  # of its own: which turns are an embedded client's
        self._alarm = Alarm(world.clock, self._ring, background=True)
        self._checks = Checks(world.rng)

    def admit(self, role: Role, name: str) -> End:
        """A new connection; returns the other end."""
        self._last += 1
        network = self.world.network
        mine, theirs = network.connect("scheduler", ALLOWED[Role.SCHEDULER], name, ALLOWED[role])
        peer = self._peers[self._last] = Peer(self._last, role, mine, name)
        mine.process = self.world.clock
        mine.on_messages = lambda messages: self._received(peer, messages)
        mine.on_closed = lambda: self._ended(peer)
        return theirs

    def congested(self, name: str, full: bool) -> None:
        """A worker does not read, or does so again."""
        for peer in self._peers.values():
            if peer.name == name:
                self.machine.congested(peer.number, full, self.world.clock.now)
                self._turn_soon()

    def see_off(self, name: str) -> None:
        """This worker shall leave as planned."""
        self.machine.retire([name], self.world.clock.now)
        self._turn_soon()

    def give_up(self, text: str) -> None:
        """No worker will come."""
        self.machine.give_up(text, self.world.clock.now)
        self._turn_soon()

    def die(self) -> None:
        """The process is gone."""
        self.alive = False
        self._alarm.set(None)
        for peer in self._peers.values():
            peer.end.die()

    # -- inside --------------------------------------------------------------------------------------------------------

    def _received(self, peer: Peer, messages: list[Message]) -> None:
        now = self.world.clock.now
        for message in messages:
            if peer.registered:
                self.machine.receive(peer.number, message, now)
            else:
                assert isinstance(message, Register)
                peer.registered = True
                self.machine.joined(peer.number, peer.role, message, now)
        self._turn_soon()

    def _ended(self, peer: Peer) -> None:
        clock, detection = self.world.clock, self.detection
        if peer.role == Role.WORKER and detection.supervised:
            self.machine.suspect(peer.number, clock.now)
            clock.after(detection.seconds, lambda: self._lost(peer))
        else:
            self._lost(peer)
        self._turn_soon()

    def _lost(self, peer: Peer) -> None:
        self._peers.pop(peer.number, None)
        executing, cause = None, None
        obituary = self.obituaries.get(peer.name)
        if obituary is not None and (self.detection.reads_page or not obituary.executing):
            cause, executing = obituary
        self.machine.lost(peer.number, self.world.clock.now, cause, executing)
        self._turn_soon()

    def _turn_soon(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            self.world.clock.after(self.world.lateness(), self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        if not self.alive:
            return
        patient = self._patience.random() < PATIENCE
        for action in self.machine.drain(patient):
            match action:
                case Send(number, message):
                    peer = self._peers.get(number)
                    if peer is not None:
                        peer.end.send(message)
                case PutOut(number, reason):
                    self._put_out(number, reason)
                case Leave():
                    pass  # for who starts processes; the worker hears it, too
                case Stop(reason):
                    self.stopped = reason
        if self.machine.has_left():
            self.world.clock.after(BACKSTOP, self._turn_soon)
        elif self._checks.due(self.machine.books.core.n_tasks):
            self.machine.check()
        self._alarm.set(self.machine.next_deadline())

    def _put_out(self, number: int, reason: str) -> None:
        peer = self._peers.pop(number, None)
        if peer is not None and peer.end.is_heard:  # else it has left this connection
            peer.end.send(Refuse(reason))
            peer.end.close()
            self.on_put_out(peer.name, reason)

    def _ring(self) -> None:
        self.machine.tick(self.world.clock.now)
        self._turn_soon()


def _never(name: str, reason: str) -> None:
    raise AssertionError(f"{name} was put out: {reason}")
