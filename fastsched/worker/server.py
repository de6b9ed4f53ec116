"""A worker at work: the shell that owns the sockets and the clock, and holds a `WorkerMachine` and its `Executor`.

One concern: carry messages between the scheduler, the machine, other workers and the client inside this worker.
Decides nothing about tasks. Made by `process`.

Threads: a thread of a task that has nothing to do receives, or the loop's thread (see `net._pump`); whoever has news
sends it. The machine is touched under `lock` only, and what it says is sent under the same lock, so that messages leave
in the order in which they were drained. The client inside this worker shares it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable, Sequence

from fastsched import _late
from fastsched._version import __version__
from fastsched._wait import TurnLock, Waiter, monotonic
from fastsched.errors import ConnectError, FastschedError, HandshakeError, SerializationError
from fastsched.net._pulse import Heart
from fastsched.net._pump import Pump
from fastsched.net.address import Address, Scheme, unix_address
from fastsched.net.channel import Channel
from fastsched.net.connect import connect
from fastsched.net.data import DataPeers
from fastsched.net.listener import Listener, listen
from fastsched.net.stream import Connection, Stream
from fastsched.page import Page
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import (
    Accept,
    Adopt,
    Circle,
    DatumItem,
    Drop,
    ErrorItem,
    ErrorKind,
    Frames,
    Free,
    Grant,
    Message,
    Pulse,
    Put,
    RanFunction,
    Refuse,
    Register,
    Replicate,
    Retire,
    Retract,
    Role,
    Run,
    RunFunction,
    Seek,
    Shutdown,
    Welcome,
)
from fastsched.wire.runs import Entry
from fastsched.worker.channel import FOR_CLIENT, WorkerClientChannel
from fastsched.worker.context import CurrentTask
from fastsched.worker.drops import end_unwanted
from fastsched.worker.executor import Executor
from fastsched.worker.jobs import Action, Fetch, Resume, Send, Start
from fastsched.worker.limits import ensure_it_can_leave
from fastsched.worker.machine import SCHEDULER, WorkerMachine
from fastsched.worker.parcels import send_apart
from fastsched.worker.readers import Readers
from fastsched.worker.settings import Settings
from fastsched.worker.side import SideThread
from fastsched.worker.waits import Waits

__all__ = ["WorkerServer"]

log = logging.getLogger(__name__)

FOR_MACHINE: frozenset[type] = frozenset((Run, Free, Retract, Drop, Put, Replicate, Adopt, Grant, Seek, Accept))
"""What the scheduler orders."""

BEAT = Pulse(0)

GATHER_SECONDS = 0.0003
"""Reports of tasks that follow each other closely are gathered so long: a message costs as much as five no-ops."""


class WorkerServer:
    """A worker. It is the `Host` of the tasks that it runs.

    Parameters
    ----------
    settings : Settings
        Who it is and whom it serves.
    loop : asyncio.AbstractEventLoop
        Where it runs; all methods are called in its thread unless they say otherwise.

    Attributes
    ----------
    name, nthreads, config, loop
        As set.
    lock : TurnLock
        The machine's, and that of the client inside this worker.
    pump : Pump
        Reads the connection to the scheduler.
    address : str
        Where its data is to be had, once it has started.
    closed : asyncio.Event
        Set when the worker has ended, whatever the reason.
    refused : bool
        Whether it has ended because the scheduler does not want it: another one may do better.
    """

    def __init__(self, settings: Settings, loop: AbstractEventLoop) -> None:
        self.name = settings.name
        self.scheduler = settings.address
        self.nthreads = settings.nthreads
        self.config = settings.config
        self.loop = loop
        self.address = ""
        self.closed = asyncio.Event()
        self.refused = False
        self._settings = settings
        self.lock = TurnLock()
        self.pump = Pump(loop)
        self._machine = WorkerMachine(settings.config, settings.nthreads, settings.name, seed=os.getpid())
        self._page = Page(settings.page, settings.nthreads)
        self._executor = Executor(self._machine, self._page, self, self.flush, self._leave)
        self._waits = Waits(self._machine.nest.everybody())
        self._flushed = 0.0  # when a message last left
        self._client = WorkerClientChannel(self._forward)
        self._peers = DataPeers(loop, Role.WORKER, settings.worker_key, settings.config)
        self._listener: Listener | None = None
        self._scheduler: Stream | None = None
        self._readers = Readers(loop, settings.config, self._asked)
        self._heart: Heart | None = None
        self._ending = False
        self._looking: asyncio.Task[None] | None = None  # for another scheduler
        self._comebacks = 0  # so often it has found one
        self.pump.join(self)

    # -- coming and going ---------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Serve data, and sign on with the scheduler.

        Raises
        ------
        AddressError, ConnectError, HandshakeError
            The scheduler cannot be reached, or does not let us in.
        """
        settings = self._settings
        try:
            connection = await connect(settings.address, Role.WORKER, settings.worker_key, self.config)
        except (ConnectError, HandshakeError):  # nobody there, or a stranger
            if not settings.place:
                raise
            connection = await self._another()
        keys = {Role.CLIENT: settings.client_key, Role.WORKER: settings.worker_key}
        place, admit = self._data_address(connection), self._readers.admit
        try:
            self._listener = await listen(place, keys, self.loop, self.config, admit, insecure=settings.insecure)
        except BaseException:
            connection.sock.close()
            raise
        if self._ending:  # told to stop meanwhile
            connection.sock.close()
            await self._listener.close()
            return
        self.address = self._machine.address = str(self._listener.address)
        self._sign_on(connection)

    def _sign_on(self, connection: Connection) -> None:
        """Say who we are, and what we have if there was a connection before."""
        allowed = ALLOWED[Role.SCHEDULER]
        stream = Stream(connection, self.pump, self.config, allowed, self._received, self._scheduler_gone)
        limit, address, page = self._settings.memory_limit, self.address, self._page.path
        times = self._comebacks
        register = Register(self.name, __version__, os.getpid(), self.nthreads, address, limit, page, times)
        beats = self.config.pulse_seconds > 0
        with self.lock:
            packet: list[Message] = [register, *(self._machine.brought() if times else ())]
            stream.send_all([*packet, BEAT] if beats else packet)
            self._scheduler = stream
            if beats:
                self._heart = Heart(stream.seam(BEAT), self.config.pulse_seconds)

    def _data_address(self, connection: Connection) -> Address:
        """In the cluster's directory, else at the host that was told, else on the way to the scheduler."""
        settings = self._settings
        if settings.directory:
            return unix_address(settings.own_path("sock"))
        host = settings.listen
        if not host:
            own = connection.sock.getsockname()
            host = own[0] if isinstance(own, tuple) else "127.0.0.1"
        return Address(Scheme.TCP, host, 0, "")

    def stop(self, reason: str, planned: bool = True) -> None:
        """End: nothing new is started, what runs is abandoned, what was found out is sent.

        Parameters
        ----------
        reason : str
            For the log.
        planned : bool
            Whether what runs is given back, and nobody to blame: not if a task may have ended its own worker.
        """
        if self._ending:
            return
        log.debug("worker %s stops: %s", self.name, reason)
        self._ending = True
        if self._heart is not None:
            self._heart.stop()
        if self._looking is not None:
            self._looking.cancel()
        if planned:
            self._page.clear()
            with self.lock:
                self._machine.leave()
        if self._scheduler is not None:
            self.flush()
            self._scheduler.close()
        self._executor.stop()
        self._client.end(None)
        self.loop.create_task(self._close())

    def retire(self) -> None:
        """Ask the scheduler to see this worker off; `Shutdown` will follow."""
        if self._scheduler is None:
            self.stop("it retires, and has not begun")
        elif not self._ending:
            with self.lock:
                self._scheduler.send(Retire((self.name,)))

    async def _close(self) -> None:
        if self._listener is not None:
            await self._listener.close()
        self._peers.close()
        self._readers.close()
        self.pump.close()
        self.closed.set()

    def _scheduler_gone(self, channel: Channel, reason: Exception | None) -> None:
        ours = isinstance(reason, OSError) and reason.errno == errno.EBADF  # a task has closed all descriptors
        text = "the scheduler is gone" if reason is None else f"the scheduler is gone: {reason}"
        if ours or self._ending or not self._settings.place or self.config.reconnect_seconds <= 0:
            self.stop(text, not ours)
            return
        log.debug("worker %s looks for another scheduler: %s", self.name, text)
        if self._heart is not None:
            self._heart.stop()
        with self.lock:
            self._heart = self._scheduler = None
            self.tell_client()
            lost = ErrorItem(ErrorKind.SCHEDULER_LOST, None, "", self.name, 0, text)
            self._machine.part(self._executor.launching(), self._client.part(text), lost)
            self._end_unwanted()
            starts = self._machine.starts()
        self._executor.begin(starts)
        self._looking = self.loop.create_task(self._look_for_another())

    async def _look_for_another(self) -> None:
        """What runs goes on meanwhile."""
        try:
            connection = await self._another()
            self._comebacks += 1
            self._sign_on(connection)
        except Exception as error:  # whatever it is: nobody would ever hear of this worker again
            if not isinstance(error, FastschedError):
                log.exception("worker %s cannot look for another scheduler", self.name)
            self.stop(f"there is no scheduler any more: {error}")
            return
        self._looking = None
        self.flush()

    async def _another(self) -> Connection:
        """To the scheduler that there is now."""
        found = await _late.look_again()(self._settings.place, Role.WORKER, self._settings.worker_key, self.config)
        self.scheduler = str(found.address)
        return found.connection

    # -- what the scheduler says --------------------------------------------------------------------------------------

    def _received(self, channel: Channel, messages: list[Message]) -> None:
        """Orders, and answers for the client inside. In the thread that reads; `round_ended` follows."""
        if self._ending:
            return
        self._page.stir()
        now = monotonic()
        machine, lock = self._machine, self.lock
        for_client: list[Message] = []
        others: list[Message] = []
        lock.acquire()
        try:
            if channel is not self._scheduler:  # what that one has said means nothing any more
                return
            for message in messages:
                kind = type(message)
                if kind in FOR_MACHINE:
                    machine.receive(SCHEDULER, message, now)
                elif kind in FOR_CLIENT:
                    for_client.append(message)
                else:
                    others.append(message)
            if for_client:
                for_client = machine.nest.translated(for_client)
                if for_client:
                    self._client.deliver(for_client)
            if machine.nest.everybody().shaken:
                self._end_unwanted()
            self.tell_client()
        finally:
            lock.release()
        if others:
            self.pump.post(self._received_others, others)

    def round_ended(self) -> None:
        """See `net._pump.Owner`: start what can start, and say what there is to say."""
        lock = self.lock
        lock.acquire()
        try:
            starts = self._machine.starts()
            news = self._machine.has_news()
            if self._heart is not None:
                self._heart.told(self._machine.n_rows)
        finally:
            lock.release()
        if starts:
            self._executor.begin(starts)
        if news:
            self.flush()

    def before_wait(self) -> None:
        """See `Owner`: who waits leaves nothing unsaid."""
        if self._machine.has_news():
            self.flush()

    def tick(self) -> None:
        """See `Owner`: what was left leaves."""
        self._executor.tick()
        if self._machine.has_news() and not self._ending:
            self.flush()

    def _received_others(self, messages: list[Message]) -> None:
        """What is rare, in the loop's thread."""
        for message in messages:
            match message:
                case RunFunction(request, frames):
                    SideThread(self, request, frames).start()
                case Shutdown(reason):
                    self.stop(reason)
                case Welcome(name):
                    self.name = name
                    self._page.join()
                    with self.lock:
                        self._machine.name = name
                case Refuse(text):
                    log.error("worker %s is put out by the scheduler: %s", self.name, text)
                    self.refused = True
                    self.stop(text)
                case Circle():
                    with self.lock:
                        self._waits.found(message)
                case Pulse():
                    pass

    # -- sending ------------------------------------------------------------------------------------------------------

    def flush(self) -> bool:
        """Do and send all that the machine has. From any thread. False: it could not be sent, and never will be."""
        lock = self.lock
        self._flushed = monotonic()
        lock.acquire()
        try:
            rest = self._machine.errands()
            if self._scheduler is not None:
                packet = self._machine.reports()
                if packet:
                    self._send(self._scheduler, packet)
            if self._heart is not None:
                self._heart.hold(self._machine.n_rows)
        finally:
            lock.release()
        if rest:
            self._carry_out(rest)
        return self._scheduler is None or not self._scheduler.broken

    def _send(self, scheduler: Stream, packet: list[Message]) -> None:
        """Under the lock: send these in one go, or one by one if one of them is over a limit of the wire."""
        try:
            scheduler.send_all(packet)
        except SerializationError:  # nothing has left
            send_apart(self._machine, scheduler, packet)
            self.tell_client()

    def _carry_out(self, actions: list[Action]) -> None:
        starts: list[Start | Resume] = []
        for action in actions:
            if isinstance(action, Fetch):
                self.loop.call_soon_threadsafe(self._fetch, action)
            elif isinstance(action, Send):
                self._readers.answer(action.peer, action.message)
            else:
                starts.append(action)
        self._executor.begin(starts)

    def _leave(self) -> None:
        """There is news that may wait for more: send it if the last message left long ago. From any thread."""
        if monotonic() - self._flushed > GATHER_SECONDS:
            self.flush()
        else:
            self.pump.arm()

    def _forward(self, items: list[Entry]) -> None:
        """Under the lock: send what the client inside this worker says, after the news that came before it."""
        machine, scheduler = self._machine, self._scheduler
        for kind, item in items:
            ensure_it_can_leave(kind, item, self.config)
        packet: list[Message] = machine.reports() if scheduler is not None else []
        machine.nest.take(items, self._executor.brood())
        if machine.nest.everybody().shaken:
            self._end_unwanted()
        if scheduler is not None and machine.nest.has_messages():
            packet += machine.nest.messages()
        if machine.nest.waits() or machine.nest.ages():
            self.pump.arm()
        if packet and scheduler is not None:
            rest = machine.errands()
            if rest:
                self.pump.post(self._carry_out, rest)
            self._send(scheduler, packet)
        self.tell_client()  # last: it may lead back to here, and must not overtake

    def _end_unwanted(self) -> None:
        """Under the lock: threads and coroutines hear of what they run in vain."""
        end_unwanted(list(self._executor.desks.values()), self._machine.nest.everybody())
        self._executor.coroutines.end_unwanted()

    def tell_client(self) -> None:
        """See `context.Host`."""
        nest = self._machine.nest
        if nest.has_ends():
            finished, erred = nest.ends()
            self._client.tell_ends(finished, erred)

    # -- data: from others, and for others ----------------------------------------------------------------------------

    def _fetch(self, fetch: Fetch) -> None:
        def answered(address: str, items: Sequence[DatumItem] | None) -> None:
            found: dict[int, Frames | None] = dict(items or ())
            with self.lock:
                self._machine.fetched(address, [(id, found.get(id)) for id in fetch.ids], monotonic())
            self.flush()

        self._peers.ask(fetch.address, fetch.ids, answered)

    def _asked(self, reader: int, question: Message) -> None:
        with self.lock:
            self._machine.receive(reader, question, monotonic())
        self.flush()

    # -- what tasks may ask -------------------------------------------------------------------------------------------

    def open_block(self, task: CurrentTask) -> bool:
        """See `context.Host`."""
        return self._executor.open_block(task)

    def close_block(self, task: CurrentTask) -> None:
        """See `context.Host`."""
        self._executor.close_block(task)

    def begin_wait(self, task: CurrentTask, waiter: Waiter) -> bool:
        """See `context.Host`."""
        return self._executor.begin_wait(task, waiter)

    def tell_wait(self, task: CurrentTask, fids: list[int], first: bool) -> bool:
        """See `context.Host`."""
        with self.lock:
            due = self._waits.tell(task, fids, first)
        self.flush()
        return due

    def end_wait(self, task: CurrentTask, had: bool) -> str:
        """See `context.Host`."""
        circle, desk = "", task.thread
        if desk.wait:
            with self.lock:
                circle = self._waits.over(desk)
            self._leave()
        self._executor.end_wait(task, had)
        return circle

    def run_children(self, task: CurrentTask, fids: Iterable[int], until_error: bool, most: int) -> None:
        """See `context.Host`."""
        self._executor.run_children(task, fids, until_error, most)

    def statistics(self) -> dict[str, float]:
        """See `context.Host`."""
        machine = self._machine
        return {
            "executed": machine.executed,
            "executed_seconds": 1e-6 * machine.executed_micros,
            "inline": machine.inline,
            "inline_seconds": 1e-6 * machine.inline_micros,
            "handed_over": machine.nest.everybody().handed_over,
            "overdrawn": machine.overdrawn,
        }

    def unstick(self, task: CurrentTask) -> bool:
        """See `context.Host`."""
        return self._executor.unstick(task)

    def hand_over(self, fids: Iterable[int]) -> None:
        """See `context.Host`."""
        self._executor.hand_over(fids)

    def secede(self, task: CurrentTask) -> None:
        """See `context.Host`."""
        self._executor.secede(task)

    def rejoin(self, task: CurrentTask) -> None:
        """See `context.Host`."""
        self._executor.rejoin(task)

    def channel_for_client(self) -> WorkerClientChannel:
        """See `context.Host`."""
        return self._client

    def flush_client(self) -> None:
        """See `context.Host`."""
        self._client.flush_client()

    def frames_of(self, id: int) -> Frames | None:
        """See `context.Host`."""
        with self.lock:
            return self._machine.frames_of(id)

    def get_data(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """See `context.Host`."""
        self._peers.get(id, [address for address in addresses if address != self.address], answer)

    @property
    def unsent(self) -> int:
        """Bytes of values that wait for those who asked for them."""
        return self._readers.unsent

    def census(self) -> dict[str, int]:
        """How many of what is here: all but `parked` are 0 once nobody wants anything. For tests and reports."""
        with self.lock:
            counts = self._machine.nest.census()
            counts["rows"] = self._machine.n_rows
            counts["lent"] = self._machine.lent
            counts["waits"] = len(self._waits.told)
        counts["coroutines"] = self._executor.coroutines.count
        counts["parked"] = self._executor.parked
        return counts

    def check(self) -> None:
        """Recompute every invariant of the worker; AssertionError says which does not hold."""
        with self.lock:
            self._machine.check()

    def reply(self, request: int, ok: bool, frames: Frames) -> None:
        """The outcome of a `RunFunction`. From any thread."""
        with self.lock:
            self._forward([(RanFunction, RanFunction(request, ok, frames))])
