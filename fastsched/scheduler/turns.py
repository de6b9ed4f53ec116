"""The scheduler's turns: what arrives goes into the machine, what follows leaves, one packet to each peer.

One concern: the way through the machine, under its lock, in whatever thread brings the news: the one that reads
(`received`, then `round_ended`), or a thread of an embedded client that calls the machine in place (`turn`). Compiled,
and no step of it runs a Python frame: a signal handler that raises cannot strike between two of them. What is rare and
needs the loop (peers that come and go, deadlines) is posted to the I/O thread, to `server`, which owns this.

Called by `server`, by channels and by the pump. Imports the machine and net.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastsched._wait import TurnLock, monotonic
from fastsched.errors import SerializationError
from fastsched.net._pump import Pump
from fastsched.net.channel import Channel
from fastsched.net.patience import Limit
from fastsched.scheduler.machine import Leave, PutOut, SchedulerMachine, Send
from fastsched.wire.messages import Message, Role

__all__ = ["Peer", "Turns"]


class Peer:
    """One connection.

    Parameters
    ----------
    number : int
        Its name in the machine, never used again.
    role : Role
        What it proved to be.
    channel : Channel
        Where it is.
    """

    __slots__ = ("channel", "early", "number", "page", "reads", "registered", "role", "timer", "worker")

    def __init__(self, number: int, role: Role, channel: Channel) -> None:
        self.number = number
        self.role = role
        self.channel = channel
        self.timer: asyncio.TimerHandle | Limit | None = None  # until it registers, or until its death is explained
        self.worker = ""  # the name of a worker that is in
        self.registered = False  # it has said who it is
        self.early: list[Message] = []  # what came before it was let in
        self.reads = 0  # of its channel, when they were last looked at
        self.page = ""  # where a worker's running tasks can be read


class Troubles:
    """What a turn leaves to the I/O thread. All are called there, without the lock.

    Parameters
    ----------
    introduce : callable
        ``(peer,)``: its first messages have come.
    expel : callable
        ``(peer, reason)``: it cannot be told something (a text says what), or a message of it broke the machine (with
        this exception).
    put_out : callable
        ``(number, reason)``: the machine wants this peer out.
    leave : callable
        ``(name,)``: this worker leaves as planned.
    stop : callable
        ``(reason,)``: the machine wants an end.
    failed : callable
        ``(error,)``: the machine is broken.
    """

    __slots__ = ("expel", "failed", "introduce", "leave", "put_out", "stop")

    def __init__(
        self,
        introduce: Callable[[Peer], object],
        expel: Callable[[Peer, str | Exception], object],
        put_out: Callable[[int, str], object],
        leave: Callable[[str], object],
        stop: Callable[[str], object],
        failed: Callable[[Exception], object],
    ) -> None:
        self.introduce = introduce
        self.expel = expel
        self.put_out = put_out
        self.leave = leave
        self.stop = stop
        self.failed = failed


class Turns:
    """The machine, its lock, and the channels of its peers.

    Parameters
    ----------
    machine : SchedulerMachine
        Touched under `lock` only.
    pump : Pump
        Reads the peers' streams.
    troubles : Troubles
        Where what needs the loop goes.

    Attributes
    ----------
    lock : TurnLock
        Held for a turn. Embedded clients share it.
    peers : dict
        By number.
    channels : dict
        The peers whose channel is open, by it.
    alarm_at : float or None
        For when `server` has set its alarm: it need not be told of this deadline.
    """

    __slots__ = (
        "_due",
        "_left",
        "_pump",
        "_troubles",
        "_turning",
        "alarm_at",
        "channels",
        "closed",
        "lock",
        "machine",
        "peers",
    )

    def __init__(self, machine: SchedulerMachine, pump: Pump, troubles: Troubles) -> None:
        self.machine = machine
        self.lock = TurnLock()
        self.peers: dict[int, Peer] = {}
        self.channels: dict[Channel, Peer] = {}
        self.closed = False
        self.alarm_at: float | None = None
        self._pump = pump
        self._troubles = troubles
        self._due = False
        self._left = False  # a patient turn has left something
        self._turning = False

    # -- from any thread ----------------------------------------------------------------------------------------------

    def received(self, channel: Channel, messages: list[Message]) -> None:
        """A stream has news; `round_ended` will follow."""
        lock = self.lock
        lock.acquire()
        try:
            self.take(channel, messages)
        finally:
            lock.release()

    def round_ended(self) -> None:
        """See `net._pump.Owner`: all streams that were readable have handed in their news."""
        if self._due or self._left:
            self.turn_over()

    def before_wait(self) -> None:
        """See `Owner`: what patient turns have left leaves."""
        if self._left:
            self.turn_over()

    def tick(self) -> None:
        """See `Owner`: what patient turns have left leaves, though nobody was about."""
        if self._left:
            self.turn_over()

    def turn_over(self) -> None:
        """A turn of its own, if one is due or not."""
        lock = self.lock
        lock.acquire()
        try:
            self._due = True
            self._turn(False)
        finally:
            lock.release()

    # -- under the lock -----------------------------------------------------------------------------------------------

    def take(self, channel: Channel, messages: list[Message]) -> None:
        """Let the machine have them."""
        peer = self.channels.get(channel)
        if peer is None:
            return
        if not peer.registered:
            peer.early += messages
            self._pump.post(self._troubles.introduce, peer)
            return
        now = monotonic()
        machine, number = self.machine, peer.number
        self._due = True
        try:
            for message in messages:
                machine.receive(number, message, now)
        except Exception as error:  # noqa: BLE001  a bug of ours: it costs this peer its connection, and nobody else anything
            self._pump.post(self._troubles.expel, peer, error)

    def turn(self) -> None:
        """Carry out what the machine wants after the calls of an embedded client, of which more may follow at once.

        Tasks that no slot is free for may stay until a worker has said something, the thread waits, or the next tick.
        """
        self._turn(True)

    def _turn(self, patient: bool) -> None:
        """Carry out what the machine wants, until it wants nothing more."""
        machine = self.machine
        if self._turning:  # what an embedded client did with what this turn told it
            return
        self._turning = True
        try:
            while self._due and not self.closed:
                self._due = False
                self._carry_out(machine.drain(patient))
        except Exception as error:  # noqa: BLE001  the state cannot be trusted any more
            self.closed = True
            self._pump.post(self._troubles.failed, error)
            return
        finally:
            self._turning = False
        self._left = patient and machine.has_left()
        deadline = machine.next_deadline()
        if self._left or (deadline is not None and deadline != self.alarm_at):
            self._pump.arm()

    def _carry_out(self, actions: list[Any]) -> None:
        """Messages to one peer stand one after the other, and leave together."""
        troubles = self._troubles
        packet: list[Message] = []
        number = 0
        for action in actions:
            kind = type(action)
            if kind is Send:
                if action[0] != number and packet:
                    self._send(number, packet)
                    packet = []
                number = action[0]
                packet.append(action[1])
            elif kind is PutOut:
                self._pump.post(troubles.put_out, action[0], action[1])
            elif kind is Leave:
                self._pump.post(troubles.leave, action[0])
            else:
                self._pump.post(troubles.stop, action[0])
        if packet:
            self._send(number, packet)

    def _send(self, number: int, packet: list[Message]) -> None:
        peer = self.peers.get(number)
        if peer is None:
            return
        try:
            peer.channel.send_all(packet)
        except SerializationError as error:  # over a limit of the wire; without it the peer would wait for ever
            self._pump.post(self._troubles.expel, peer, str(error))
