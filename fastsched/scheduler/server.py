"""The scheduler at work: the shell that owns the sockets and the clock, and holds a `SchedulerMachine`.

One concern: carry messages between channels and the machine, keep its deadlines, and find out how workers ended.
Decides nothing about tasks. Called by local clusters (in the client's I/O thread) and by ``fastsched-scheduler``;
everything here runs in the loop's thread.

What arrives in one wake-up of the loop is one turn of the machine: each channel that was readable hands in its
messages, then one drain sends one packet to each peer.
"""

from __future__ import annotations

import asyncio
import logging
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fastsched._version import __version__
from fastsched.config import Config
from fastsched.errors import SerializationError
from fastsched.net.address import Address
from fastsched.net.channel import Channel
from fastsched.net.listener import Listener, listen
from fastsched.net.stream import Connection, Stream
from fastsched.page import read_page
from fastsched.scheduler.machine import Action, PutOut, SchedulerMachine, Send, Stop
from fastsched.wire.messages import ALLOWED, Message, Refuse, Register, Role, Shutdown

__all__ = ["SchedulerServer"]

log = logging.getLogger(__name__)

PAGE_BYTES = 1 << 20  # a page of running tasks is never larger


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

    __slots__ = ("channel", "number", "page", "registered", "role", "timer", "worker")

    def __init__(self, number: int, role: Role, channel: Channel) -> None:
        self.number = number
        self.role = role
        self.channel = channel
        self.timer: asyncio.TimerHandle | None = None  # until it registers, or until its death is explained
        self.worker = ""  # the name of a worker that is in
        self.registered = False  # it has said who it is
        self.page = ""  # where a worker's running tasks can be read


class SchedulerServer:
    """A scheduler.

    Parameters
    ----------
    config : Config
        Limits and policies.
    loop : asyncio.AbstractEventLoop
        Where it runs; all methods are called in its thread.
    name : str
        What peers are told.
    seed : int
        For the machine.
    clock : callable
        Monotonic seconds.

    Attributes
    ----------
    machine : SchedulerMachine
        The state; read-only for others.
    address : Address or None
        Where it listens, with the port that was found.
    closed : asyncio.Event
        Set at the end of `close`, also if a client asked for it.
    on_worker : callable
        Told the name of each worker that has been let in.
    """

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        name: str = "scheduler",
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.machine = SchedulerMachine(config, seed, name, __version__)
        self.address: Address | None = None
        self.closed = asyncio.Event()
        self.on_worker: Callable[[str], object] = _ignore
        self._config = config
        self._loop = loop
        self._clock = clock
        self._listener: Listener | None = None
        self._peers: dict[int, Peer] = {}
        self._numbers: dict[Channel, Peer] = {}
        self._last = 0
        self._turn_due = False
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._supervised: set[str] = set()  # workers whose death somebody will explain
        self._deaths: dict[str, str] = {}  # how workers died whose connection has not ended yet
        self._closing = False
        self._close_task: asyncio.Task[None] | None = None  # if nobody else closes

    # -- coming and going ---------------------------------------------------------------------------------------------

    async def start(self, address: Address, keys: Mapping[Role, bytes], *, insecure: bool = False) -> Address:
        """Listen; returns the address with the port that was found.

        Raises
        ------
        AddressError, ConnectError
            See `net.listener.listen`.
        """
        self._listener = await listen(address, keys, self._loop, self._config, self._admit, insecure=insecure)
        self.address = self._listener.address
        return self.address

    def attach(self, channel: Channel, register: Register) -> None:
        """Let in a client of this process, over one end of an in-process channel."""
        peer = self._enter(Role.CLIENT, channel)
        peer.registered = True
        channel.on_message = self._received
        channel.on_closed = self._ended
        self.machine.joined(peer.number, Role.CLIENT, register, self._clock())
        self._turn_soon()

    async def close(self, reason: str = "the scheduler is closed") -> None:
        """Stop the workers, end all connections, let nobody in any more. Again and from several tasks without harm."""
        if self._closing:
            await self.closed.wait()
            return
        self._closing = True
        if self._alarm is not None:
            self._alarm.cancel()
        if self._listener is not None:
            await self._listener.close()
        for peer in list(self._peers.values()):
            if peer.worker:
                peer.channel.send(Shutdown(reason))
            peer.channel.close()
            self._forget(peer)
        self.closed.set()

    def check(self) -> None:
        """End the turn and recompute every invariant of the machine; AssertionError says which does not hold."""
        self._turn()
        self.machine.check()

    # -- supervision --------------------------------------------------------------------------------------------------

    def expect(self, name: str) -> None:
        """A worker of this name was started; `worker_died` will tell how it ends."""
        self._supervised.add(name)

    def worker_died(self, name: str, how: str) -> None:
        """The supervisor's news ("SIGKILL", "exit 3"), before or after the connection ended."""
        self._supervised.discard(name)
        peer = next((peer for peer in self._peers.values() if peer.worker == name), None)
        if peer is None:
            return
        if peer.channel not in self._numbers:  # its connection has ended: this is what was waited for
            self._lost(peer, how)
        else:  # there may be unread news; but a process that it forked can hold the connection open for ever
            self._deaths[name] = how
            peer.timer = self._loop.call_later(self._config.lost_seconds, self._cut, peer)

    def give_up(self, text: str) -> None:
        """Supervision will start no more workers: what waits for one ends, with this text."""
        self.machine.give_up(text, self._clock())
        self._turn_soon()

    # -- channels -----------------------------------------------------------------------------------------------------

    def _admit(self, connection: Connection) -> None:
        """Somebody has proved to know a key; the first message must say who it is."""
        stream = Stream(
            connection,
            self._loop,
            self._config,
            ALLOWED[connection.role],
            self._received,
            self._ended,
            self._full,
            self._drained,
        )
        if self._closing:
            stream.close()
            return
        peer = self._enter(connection.role, stream)
        peer.timer = self._loop.call_later(self._config.handshake_seconds, self._too_late, peer)

    def _enter(self, role: Role, channel: Channel) -> Peer:
        self._last += 1
        peer = Peer(self._last, role, channel)
        self._peers[peer.number] = peer
        self._numbers[channel] = peer
        return peer

    def _received(self, channel: Channel, messages: list[Message]) -> None:
        """A channel has news."""
        peer = self._numbers.get(channel)
        if peer is None:
            return
        now = self._clock()
        receive, number = self.machine.receive, peer.number
        try:
            if not peer.registered:
                messages = self._register(peer, messages, now)
            for message in messages:
                receive(number, message, now)
        except Exception as error:  # a bug of ours: it costs this peer its connection, and nobody else anything
            log.exception("the scheduler failed at a message of %s", channel.label)
            self._expel(peer, f"the scheduler failed at a message: {error!r}")
        self._turn_soon()

    def _register(self, peer: Peer, messages: list[Message], now: float) -> list[Message]:
        """Take the first message of a peer; returns the others."""
        first = messages[0]
        peer.registered = True
        if peer.timer is not None:
            peer.timer.cancel()
            peer.timer = None
        if not isinstance(first, Register):
            self._put_out(peer, f"the first message must be Register, not {type(first).__name__}")
            return []
        self.machine.joined(peer.number, peer.role, first, now)
        worker = self.machine.books.workers.get(peer.number)
        if worker is not None:
            peer.worker, peer.page = worker.name, first.page
            self.on_worker(worker.name)
        return messages[1:]

    def _too_late(self, peer: Peer) -> None:
        peer.timer = None
        self._put_out(peer, "it did not say who it is")

    def _full(self, channel: Channel) -> None:
        """This peer does not read: read nothing from it, so that it cannot make us hold more."""
        self._congested(channel, True)
        channel.pause_reading()

    def _drained(self, channel: Channel) -> None:
        self._congested(channel, False)
        channel.resume_reading()

    def _congested(self, channel: Channel, full: bool) -> None:
        peer = self._numbers.get(channel)
        if peer is not None:
            self.machine.congested(peer.number, full, self._clock())
            self._turn_soon()

    def _ended(self, channel: Channel, reason: Exception | None) -> None:
        """A connection ended. A supervised worker's death will be explained within a moment."""
        peer = self._numbers.pop(channel, None)
        if peer is None:
            return
        if peer.timer is not None:
            peer.timer.cancel()
            peer.timer = None
        if peer.worker in self._supervised:
            self.machine.suspect(peer.number, self._clock())
            peer.timer = self._loop.call_later(self._config.lost_seconds, self._lost, peer, None)
            self._turn_soon()
        else:
            how = self._deaths.pop(peer.worker, None)
            self._lost(peer, how or (None if reason is None else str(reason)))

    def _cut(self, peer: Peer) -> None:
        """The process is dead and its connection still open."""
        peer.channel.close(flush=False)

    def _lost(self, peer: Peer, how: str | None) -> None:
        """A peer is gone for good."""
        self._forget(peer)
        executing = _running_tasks(peer.page) if peer.page else None
        self.machine.lost(peer.number, self._clock(), how, executing)
        self._turn_soon()

    def _forget(self, peer: Peer) -> None:
        if peer.timer is not None:
            peer.timer.cancel()
            peer.timer = None
        self._deaths.pop(peer.worker, None)
        self._peers.pop(peer.number, None)
        self._numbers.pop(peer.channel, None)

    def _expel(self, peer: Peer, reason: str) -> None:
        """Put out a peer that the machine takes for a good one."""
        self._put_out(peer, reason)
        self.machine.lost(peer.number, self._clock(), "it was put out", ())
        self._turn_soon()

    def _put_out(self, peer: Peer, reason: str) -> None:
        """Tell a peer why, and end its connection."""
        log.warning("%s is put out: %s", peer.channel.label, reason)
        self._forget(peer)
        peer.channel.send(Refuse(reason))
        peer.channel.close()

    # -- turns --------------------------------------------------------------------------------------------------------

    def _turn_soon(self) -> None:
        """End the turn after all channels that are readable now have handed in their messages."""
        if not self._turn_due:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        if self._closing:
            return
        try:
            actions = self.machine.drain()
        except Exception:
            # The state cannot be trusted any more. Ending all connections ends all futures with SchedulerLost.
            log.exception("the scheduler failed and stops")
            self._close_task = self._loop.create_task(self.close("the scheduler failed"))
            return
        for action in actions:
            self._carry_out(action)
        self._set_alarm()

    def _carry_out(self, action: Action) -> None:
        match action:
            case Send(number, message):
                peer = self._peers.get(number)
                if peer is not None:
                    self._send(peer, message)
            case PutOut(number, reason):
                peer = self._peers.get(number)
                if peer is not None:
                    self._put_out(peer, reason)
            case Stop(reason):
                self._close_task = self._loop.create_task(self.close(reason))

    def _send(self, peer: Peer, message: Message) -> None:
        try:
            peer.channel.send(message)
        except SerializationError as error:  # over a limit of the wire; without it the peer would wait for ever
            self._expel(peer, str(error))

    def _set_alarm(self) -> None:
        """Have the machine's next deadline kept."""
        deadline = self.machine.next_deadline()
        if deadline == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._alarm_at = deadline
        if deadline is not None:
            self._alarm = self._loop.call_later(max(0.0, deadline - self._clock()), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._alarm_at = None
        self.machine.tick(self._clock())
        self._turn_soon()


def _ignore(name: str) -> None:
    """Nobody has asked to hear of workers."""


def _running_tasks(path: str) -> list[int] | None:
    """What a dead worker was executing, by its page; None if that cannot be read here."""
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > PAGE_BYTES:
            return None
        return read_page(path)
    except OSError:  # another machine's, or its directory is gone already
        return None
