"""The scheduler at work: the shell that owns the sockets and the clock, and holds a `SchedulerMachine`.

One concern: carry messages between channels and the machine, keep its deadlines, and find out how workers ended.
Decides nothing about tasks. Called by local clusters (in the client's I/O thread) and by ``fastsched-scheduler``;
everything here runs in the loop's thread. What tasks pass through is `turns`, in whatever thread brings the news.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from fastsched._version import __version__
from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.net._pump import Pump
from fastsched.net.address import Address
from fastsched.net.channel import Channel
from fastsched.net.listener import Listener, listen
from fastsched.net.patience import Limit
from fastsched.net.stream import Connection, Stream
from fastsched.page import read_page
from fastsched.scheduler.machine import SchedulerMachine
from fastsched.scheduler.oversight import Oversight
from fastsched.scheduler.turns import Peer, Troubles, Turns
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import Oversee, Refuse, Register, Role, Shutdown

__all__ = ["SchedulerServer"]

log = logging.getLogger(__name__)

PAGE_BYTES = 1 << 20  # a page of running tasks is never larger
FORKED_SECONDS = 0.1  # how long the connection of a dead process is read; one that it has forked may hold it open


class _Death(NamedTuple):
    """What is known of a worker's end."""

    how: str | None
    executing: Sequence[int] | None
    stderr: str


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
    epoch, successor : int, bool
        For the machine.

    Attributes
    ----------
    machine : SchedulerMachine
        The state; read-only for others, and under the lock of `turns`.
    turns : Turns
        The way through the machine.
    pump : Pump
        Reads the connections.
    address : Address or None
        Where it listens, with the port that was found.
    closed : asyncio.Event
        Set at the end of `close`, also if a client asked for it.
    on_worker, on_worker_lost, on_worker_left : callable
        Told the name of each worker that has been let in; of each that is gone, though its process may live, and why;
        and of each that leaves as planned.
    """

    def __init__(
        self,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        name: str = "scheduler",
        seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
        epoch: int = 1,
        successor: bool = False,
    ) -> None:
        self.machine = SchedulerMachine(config, seed, name, __version__, epoch, successor)
        self.pump = Pump(loop)
        troubles = Troubles(self._introduce, self._expel, self._put_out_number, self._leaves, self._stop, self._failed)
        self.turns = Turns(self.machine, self.pump, troubles)
        self.address: Address | None = None
        self.closed = asyncio.Event()
        self.on_worker: Callable[[str], object] = _ignore
        self.on_worker_lost: Callable[[str, str], object] = _ignore
        self.on_worker_left: Callable[[str], object] = _ignore
        self._config = config
        self._loop = loop
        self._clock = clock
        self._listener: Listener | None = None
        self._last = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._looked = 0.0  # when it was last looked who was heard
        self._supervised: set[str] = set()  # workers whose death somebody will explain
        self._deaths: dict[str, _Death] = {}  # how workers died whose connection has not ended yet
        self._pressed: set[int] = set()  # workers that should get no tasks: for their memory,
        self._full_ones: set[int] = set()  # and because they do not read what they are sent
        self._oversight = Oversight(self, name, __version__)
        self._closing = False
        self._close_task: asyncio.Task[None] | None = None  # if nobody else closes
        self.pump.join(self.turns)
        self.pump.join(self)

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
        channel.on_message = self.turns.take
        channel.on_closed = self._ended
        with self.turns.lock:
            peer = self._enter(Role.CLIENT, channel)
            peer.registered = True
            self.machine.joined(peer.number, Role.CLIENT, register, self._clock())
        self.turns.turn_over()

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
        with self.turns.lock:
            self.turns.closed = True
            for peer in list(self.turns.peers.values()):
                if peer.worker:
                    peer.channel.send(Shutdown(reason))
                peer.channel.close()
                self._forget(peer)
        self.pump.close()
        self.closed.set()

    def check(self) -> None:
        """End the turn and recompute every invariant of the machine; AssertionError says which does not hold."""
        self.turns.turn_over()
        with self.turns.lock:
            self.machine.check()

    # -- supervision --------------------------------------------------------------------------------------------------

    def expect(self, name: str) -> None:
        """A worker of this name was started; `worker_died` will tell how it ends."""
        self._supervised.add(name)

    def unexpect(self, name: str) -> None:
        """Nobody will tell any more how this worker ends."""
        self._supervised.discard(name)

    def worker_died(self, name: str, how: str, executing: Sequence[int] | None = None, stderr: str = "") -> None:
        """The supervisor's news, before or after the connection ended.

        Parameters
        ----------
        name : str
            Of the worker.
        how : str
            ``"SIGKILL"``, ``"exit 3"``.
        executing : sequence of int or None
            The tasks on its page; None: that is not known.
        stderr : str
            Its last lines there.
        """
        self._supervised.discard(name)
        peer = next((peer for peer in self.turns.peers.values() if peer.worker == name), None)
        if peer is None:
            return
        death = _Death(how, executing, stderr)
        if peer.channel not in self.turns.channels:  # its connection has ended: this is what was waited for
            self._lost(peer, death)
        else:  # there may be unread news; but a process that it forked can hold the connection open for ever
            self._deaths[name] = death
            peer.timer = self._loop.call_later(FORKED_SECONDS, self._cut, peer)

    def pressed(self, name: str, pressed: bool) -> None:
        """A worker uses so much memory that it should get no tasks, or may get some again."""
        peer = next((peer for peer in self.turns.peers.values() if peer.worker == name), None)
        if peer is not None:
            self._shut(peer, self._pressed, pressed)

    def retire(self, names: Iterable[str]) -> None:
        """These workers shall leave as planned."""
        with self.turns.lock:
            self.machine.retire(names, self._clock())
        self.turns.turn_over()

    def give_up(self, text: str) -> None:
        """Supervision will start no more workers: what waits for one ends, with this text."""
        with self.turns.lock:
            self.machine.give_up(text, self._clock())
        self.turns.turn_over()

    # -- channels -----------------------------------------------------------------------------------------------------

    def _admit(self, connection: Connection) -> None:
        """Somebody has proved to know a key; the first message must say who it is."""
        stream = Stream(
            connection,
            self.pump,
            self._config,
            ALLOWED[connection.role],
            self.turns.received,
            self._ended,
            self._full,
            self._drained,
        )
        if self._closing:
            stream.close()
            return
        with self.turns.lock:
            peer = self._enter(connection.role, stream)
        peer.timer = Limit(self._loop, self._config.handshake_seconds, partial(self._too_late, peer))

    def _enter(self, role: Role, channel: Channel) -> Peer:
        self._last += 1
        peer = Peer(self._last, role, channel)
        self.turns.peers[peer.number] = peer
        self.turns.channels[channel] = peer
        return peer

    def _introduce(self, peer: Peer) -> None:
        """The first messages of a peer have come: it must say who it is."""
        if peer.registered or not peer.early or peer.channel not in self.turns.channels:
            return  # an earlier call has taken in all that there was
        if peer.timer is not None:
            peer.timer.cancel()
            peer.timer = None
        first = peer.early[0]
        if isinstance(first, Oversee) or self._oversight.knows(peer.number):
            self._hear_supervisor(peer)
            return
        if not isinstance(first, Register):
            self._put_out(peer, f"the first message must be Register, not {type(first).__name__}")
            return
        with self.turns.lock:
            self.machine.joined(peer.number, peer.role, first, self._clock())
            worker = self.machine.books.workers.get(peer.number)
            if worker is not None:
                self._forget_former(worker.name)
                peer.worker, peer.page = worker.name, first.page
            peer.registered = True
            rest, peer.early = peer.early[1:], []
            self.turns.take(peer.channel, rest)
        if peer.worker:
            self.on_worker(peer.worker)
            self._oversight.joined(peer.worker)
        self.turns.turn_over()

    def _forget_former(self, worker: str) -> None:
        """Under the lock: a worker has come back on this connection, before the end of another one was dealt with."""
        for peer in [peer for peer in self.turns.peers.values() if peer.worker == worker]:
            self._forget(peer)
            peer.channel.close(flush=False)

    def _hear_supervisor(self, peer: Peer) -> None:
        """It never registers: its messages are not for the machine."""
        number, oversight = peer.number, self._oversight
        with self.turns.lock:
            messages, peer.early = peer.early, []
        try:
            for message in messages:
                if isinstance(message, Oversee):
                    oversight.begin(number, message, peer.channel.send)
                else:
                    oversight.receive(number, message)
        except ProtocolError as error:
            oversight.end(number)
            self._put_out(peer, str(error))

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
        peer = self.turns.channels.get(channel)
        if peer is not None:
            self._shut(peer, self._full_ones, full)

    def _shut(self, peer: Peer, ones: set[int], shut: bool) -> None:
        """For this reason it gets no new tasks, or not for this one any more."""
        if shut:
            ones.add(peer.number)
        else:
            ones.discard(peer.number)
        with self.turns.lock:
            either = peer.number in self._pressed or peer.number in self._full_ones
            self.machine.congested(peer.number, either, self._clock())
        self.turns.turn_over()

    def _ended(self, channel: Channel, reason: Exception | None) -> None:
        """A connection ended. A supervised worker's death will be explained within a moment."""
        with self.turns.lock:
            peer = self.turns.channels.pop(channel, None)
        if peer is None:
            return
        if peer.timer is not None:
            peer.timer.cancel()
            peer.timer = None
        if peer.worker in self._supervised:
            with self.turns.lock:
                self.machine.suspect(peer.number, self._clock())
            peer.timer = self._loop.call_later(self._config.lost_seconds, self._lost, peer, None)
            self.turns.turn_over()
        else:
            known = self._deaths.pop(peer.worker, None)
            self._lost(peer, known or _Death(None if reason is None else str(reason), None, ""))

    def _cut(self, peer: Peer) -> None:
        """The process is dead and its connection still open: a child of it holds it, or there is unread news."""
        self.pump.catch_up()
        peer.channel.close(flush=False)

    def _lost(self, peer: Peer, death: _Death | None) -> None:
        """A peer is gone for good."""
        how, executing, stderr = death or _Death(None, None, "")
        if executing is None and peer.page:
            executing = _running_tasks(peer.page)
        with self.turns.lock:
            self._forget(peer)
            self.machine.lost(peer.number, self._clock(), how, executing, stderr)
        self._disown(peer, "its connection ended")
        self.turns.turn_over()

    def _forget(self, peer: Peer) -> None:
        if peer.timer is not None:
            peer.timer.cancel()
            peer.timer = None
        self._deaths.pop(peer.worker, None)
        self._pressed.discard(peer.number)
        self._full_ones.discard(peer.number)
        self.turns.peers.pop(peer.number, None)
        self.turns.channels.pop(peer.channel, None)

    def _expel(self, peer: Peer, reason: str | Exception) -> None:
        """Put out a peer that the machine takes for a good one."""
        if peer.number not in self.turns.peers:
            return
        self._put_out(peer, reason if isinstance(reason, str) else f"the scheduler failed at a message: {reason!r}")
        with self.turns.lock:
            self.machine.lost(peer.number, self._clock(), "it was put out", ())
        self.turns.turn_over()

    def _put_out_number(self, number: int, reason: str) -> None:
        """The machine wants this peer out; it knows it no more."""
        peer = self.turns.peers.get(number)
        if peer is not None:
            self._put_out(peer, reason)

    def _leaves(self, name: str) -> None:
        """A worker leaves as planned."""
        self.on_worker_left(name)
        self._oversight.left(name)

    def _put_out(self, peer: Peer, reason: str) -> None:
        """Tell a peer why, and end its connection."""
        log.warning("%s is put out: %s", peer.channel.label, reason)
        with self.turns.lock:
            self._forget(peer)
            peer.channel.send(Refuse(reason))
            peer.channel.close()
        self._disown(peer, f"it was put out: {reason}")

    def _disown(self, peer: Peer, why: str) -> None:
        """A peer is gone. If it is a worker, its supervisor shall see to it that its process goes too."""
        self._oversight.end(peer.number)
        if peer.worker in self._supervised:
            self.on_worker_lost(peer.worker, why)
            self._oversight.lost(peer.worker, why)

    # -- the end of a turn --------------------------------------------------------------------------------------------

    def _stop(self, reason: str) -> None:
        """A client asked for the end."""
        self._close_task = self._loop.create_task(self.close(reason))

    def _failed(self, error: Exception) -> None:
        """The state cannot be trusted any more. Ending all connections ends all futures with SchedulerLost."""
        log.error("the scheduler failed and stops", exc_info=error)
        self._stop("the scheduler failed")

    def tick(self) -> None:
        """See `net._pump.Owner`: have the machine's next deadline kept."""
        if self._closing:
            return
        with self.turns.lock:
            deadline = self.machine.next_deadline()
        if deadline == self.turns.alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self.turns.alarm_at = deadline
        if deadline is not None:
            self._alarm = self._loop.call_later(max(0.0, deadline - self._clock()), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.turns.alarm_at = None
        self.pump.catch_up()  # what has come counts, before it is judged who was not heard
        with self.turns.lock:
            now = self._clock()
            for peer in self.turns.peers.values():
                channel = peer.channel
                if peer.worker and isinstance(channel, Stream) and channel.reads != peer.reads:
                    peer.reads = channel.reads
                    client = self.machine.books.clients.get(peer.number)
                    if client is not None and client.heard < self._looked:  # in the midst of a long message
                        self.machine.heard(peer.number, now)
            self._looked = now
            self.machine.tick(now)
        self.turns.turn_over()


def _ignore(name: str, why: str = "") -> None:
    """Nobody has asked to hear of workers."""


def _running_tasks(path: str) -> list[int] | None:
    """What a dead worker was executing, by its page; None if that cannot be read here."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size > PAGE_BYTES:
            return None
        return read_page(path)
    except OSError:  # another machine's, or its directory is gone already
        return None
