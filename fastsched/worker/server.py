"""A worker at work: the shell that owns the sockets and the clock, and holds a `WorkerMachine` and its `Executor`.

One concern: carry messages between the scheduler, the machine, other workers and the client inside this worker.
Decides nothing about tasks. `main` is the life of a worker process.

Threads: a thread of a task that has nothing to do receives, or the loop's thread (see `net._pump`); whoever has news
sends it. The machine is touched under `lock` only, and what it says is sent under the same lock, so that messages leave
in the order in which they were drained. The client inside this worker shares it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fastsched._version import __version__
from fastsched._wait import TurnLock, monotonic, serve
from fastsched.config import Config
from fastsched.errors import FastschedError, SerializationError
from fastsched.net._pump import Pump
from fastsched.net.address import Address, Scheme, unix_address
from fastsched.net.channel import Channel
from fastsched.net.connect import connect
from fastsched.net.data import DataPeers
from fastsched.net.listener import Listener, listen
from fastsched.net.loop import new_event_loop
from fastsched.net.stream import Connection, Stream
from fastsched.page import Page
from fastsched.wire.messages import (
    ALLOWED,
    DatumItem,
    Done,
    Drop,
    ErredItem,
    ErrorItem,
    ErrorKind,
    Frames,
    Free,
    Message,
    Pulse,
    Put,
    RanFunction,
    Refuse,
    Register,
    Retract,
    Role,
    Run,
    RunFunction,
    Shutdown,
    Welcome,
)
from fastsched.worker.channel import FOR_CLIENT, WorkerClientChannel
from fastsched.worker.context import CurrentTask, take_place
from fastsched.worker.executor import Executor
from fastsched.worker.jobs import Action, Fetch, Resume, Send, Start
from fastsched.worker.machine import SCHEDULER, WorkerMachine
from fastsched.worker.readers import Readers
from fastsched.worker.runner import run_function

__all__ = ["Settings", "WorkerServer", "main"]

log = logging.getLogger(__name__)

FOR_MACHINE: frozenset[type] = frozenset((Run, Free, Retract, Drop, Put))
"""What the scheduler orders."""

NO_NEWS = Done((), (), (), (), (), 0)

GATHER_SECONDS = 0.0003
"""Reports of tasks that follow each other closely are gathered so long: a message costs as much as five no-ops."""

EXIT_SECONDS = 0.5
"""From the end of a worker to the end of its process, whatever tasks have left running in it."""

GC_THRESHOLDS = (20_000, 20, 20)
"""Young objects here are mostly records of tasks, which need no collector; the default of 700 costs 5 % of a no-op."""


class Settings(NamedTuple):
    """What a worker process is told at its start."""

    name: str
    address: str  # of the scheduler
    worker_key: bytes
    client_key: bytes
    nthreads: int
    memory_limit: int  # bytes, 0: none
    directory: str  # for the socket and the page, 0700; "" if the worker serves over TCP
    listen: str  # the host at which it serves its data if there is no directory; "": on the way to the scheduler
    insecure: bool  # serve its data also where other machines can get to, in the clear
    stops_as_planned: bool  # SIGTERM and SIGINT are somebody's plan; else they count as a death of what it executes
    config: Config

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Settings:
        """From plain data, as it is handed to a worker process."""
        return cls(
            settings["name"],
            settings["address"],
            bytes.fromhex(settings["worker_key"]),
            bytes.fromhex(settings["client_key"]),
            settings["nthreads"],
            settings.get("memory_limit", 0),
            settings.get("directory", ""),
            settings.get("listen", ""),
            settings.get("insecure", False),
            settings.get("stops_as_planned", True),
            Config(**settings.get("config", {})),
        )


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
    """

    def __init__(self, settings: Settings, loop: AbstractEventLoop) -> None:
        self.name = settings.name
        self.scheduler = settings.address
        self.nthreads = settings.nthreads
        self.config = settings.config
        self.loop = loop
        self.address = ""
        self.closed = asyncio.Event()
        self._settings = settings
        self.lock = TurnLock()
        self.pump = Pump(loop)
        self._machine = WorkerMachine(settings.config, settings.nthreads, settings.name, seed=os.getpid())
        self._page = Page(_own_path(settings, "page"), settings.nthreads)
        self._executor = Executor(self._machine, self._page, self, self.flush, self._leave)
        self._flushed = 0.0  # when a message last left
        self._client = WorkerClientChannel(self._forward)
        self._peers = DataPeers(loop, Role.WORKER, settings.worker_key, settings.config)
        self._listener: Listener | None = None
        self._scheduler: Stream | None = None
        self._readers = Readers(loop, settings.config, self._asked)
        self._ending = False
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
        connection = await connect(settings.address, Role.WORKER, settings.worker_key, self.config)
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
        allowed = ALLOWED[Role.SCHEDULER]
        stream = Stream(connection, self.pump, self.config, allowed, self._received, self._scheduler_gone)
        self._scheduler = stream
        stream.send(
            Register(
                self.name,
                __version__,
                os.getpid(),
                self.nthreads,
                self.address,
                settings.memory_limit,
                self._page.path,
            )
        )

    def _data_address(self, connection: Connection) -> Address:
        """In the cluster's directory, else at the host that was told, else on the way to the scheduler."""
        settings = self._settings
        if settings.directory:
            return unix_address(_own_path(settings, "sock"))
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
            Whether what runs is given back, with nobody to blame. A task may send SIGTERM to its own worker: it would
            be given back and run again for ever.
        """
        if self._ending:
            return
        log.debug("worker %s stops: %s", self.name, reason)
        self._ending = True
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

    async def _close(self) -> None:
        if self._listener is not None:
            await self._listener.close()
        self._peers.close()
        self._readers.close()
        self.pump.close()
        self.closed.set()

    def _scheduler_gone(self, channel: Channel, reason: Exception | None) -> None:
        self.stop("the scheduler is gone" if reason is None else f"the scheduler is gone: {reason}")

    # -- what the scheduler says --------------------------------------------------------------------------------------

    def _received(self, channel: Channel, messages: list[Message]) -> None:
        """Orders, and answers for the client inside. In the thread that reads; `round_ended` follows."""
        if self._ending:
            return
        now = monotonic()
        machine, lock = self._machine, self.lock
        for_client: list[Message] = []
        others: list[Message] = []
        lock.acquire()
        try:
            for message in messages:
                kind = type(message)
                if kind in FOR_MACHINE:
                    machine.receive(SCHEDULER, message, now)
                elif kind in FOR_CLIENT:
                    for_client.append(message)
                else:
                    others.append(message)
            if for_client:
                self._client.deliver(for_client)
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
        if self._machine.has_news() and not self._ending:
            self.flush()

    def _received_others(self, messages: list[Message]) -> None:
        """What is rare, in the loop's thread."""
        for message in messages:
            match message:
                case RunFunction(request, frames):
                    _SideThread(self, request, frames).start()
                case Shutdown(reason):
                    self.stop(reason)
                case Welcome(name):
                    self.name = name
                    with self.lock:
                        self._machine.name = name
                case Refuse(text):
                    log.error("worker %s is put out by the scheduler: %s", self.name, text)
                    self.stop(text)
                case Pulse():
                    pass

    # -- sending ------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Do and send all that the machine has. From any thread."""
        lock = self.lock
        self._flushed = monotonic()
        lock.acquire()
        try:
            rest = self._machine.errands()
            self._send_news([])
        finally:
            lock.release()
        if rest:
            self._carry_out(rest)

    def _send_news(self, more: list[Message]) -> None:
        """Under the lock: send the machine's news to the scheduler, then `more`.

        Raises
        ------
        SerializationError
            One of `more` is over a limit of the wire; none of them was sent, the news was.
        """
        scheduler = self._scheduler
        reports = self._machine.reports()
        packet: list[Message] = [*reports, *more]
        if scheduler is None or not packet:
            return
        try:
            scheduler.send_all(packet)
        except SerializationError:  # nothing has left
            for report in reports:
                self._send_report(scheduler, report)
            if more:
                scheduler.send_all(more)

    def _send_report(self, scheduler: Stream, report: Done) -> None:
        try:
            scheduler.send(report)
        except SerializationError as error:
            self._send_in_parts(scheduler, report, error)

    def _send_in_parts(self, scheduler: Stream, done: Done, error: SerializationError) -> None:
        """Some of this news is over a limit of the wire; but without an outcome a task would be waited for for ever."""
        for name, items in done._asdict().items():
            for item in items if isinstance(items, tuple) else ():
                try:
                    scheduler.send(NO_NEWS._replace(lent=done.lent, **{name: (item,)}))
                except SerializationError:
                    id, attempt, *_ = item
                    text = f"the outcome of a task cannot leave worker {self.name!r}: {error}"
                    told = ErrorItem(ErrorKind.SERIALIZATION, None, "", self.name, attempt, text)
                    scheduler.send(NO_NEWS._replace(lent=done.lent, erred=(ErredItem(id, attempt, told),)))

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

    def _forward(self, messages: list[Message]) -> None:
        """Under the lock: send messages of the client inside this worker, after the news that came before them."""
        rest = self._machine.errands()
        if rest:  # first, since what is to be sent may be refused
            self.pump.post(self._carry_out, rest)
        self._send_news(messages)

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

    def reply(self, request: int, ok: bool, frames: Frames) -> None:
        """The outcome of a `RunFunction`. From any thread."""
        with self.lock:
            self._forward([RanFunction(request, ok, frames)])


class _SideThread(threading.Thread):
    """Runs one function of `Client.run`: outside the slots, so that it answers also on a busy worker."""

    def __init__(self, server: WorkerServer, request: int, frames: Frames) -> None:
        super().__init__(name=f"fastsched-run-{request}", daemon=True)
        self._server = server
        self._request = request
        self._frames = frames

    def run(self) -> None:
        """Call it and reply."""
        take_place(self._server)
        ok, frames = run_function(self._frames, self._server.name, self._server.config)
        self._server.reply(self._request, ok, frames)


def _own_path(settings: Settings, suffix: str) -> str:
    """A file of this worker in the cluster's directory; names of workers may hold anything."""
    if not settings.directory:
        return ""
    name = "".join(char if char.isalnum() and char.isascii() else "-" for char in settings.name)[:20]
    return os.path.join(settings.directory, f"{name}-{os.getpid()}.{suffix}")


def main(settings: dict[str, Any]) -> None:
    """Live as a worker process until told to stop, or until the scheduler is gone.

    Parameters
    ----------
    settings : dict
        The fields of `Settings`; keys in hexadecimal, `config` as keyword arguments of `Config`.
    """
    told = Settings.from_dict(settings)
    serve()
    sys.setswitchinterval(told.config.switch_interval)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    code = 0
    try:
        loop.run_until_complete(_live(told, loop))
    except (FastschedError, OSError) as error:
        log.error("worker %s cannot start: %s", told.name, error)
        code = 1
    loop.close()
    serve(False)  # what ends with the process may wait
    _end_soon(code)
    sys.exit(code)


async def _live(settings: Settings, loop: AbstractEventLoop) -> None:
    server = WorkerServer(settings, loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop, signal.Signals(number).name, settings.stops_as_planned)
    start, end = loop.create_task(server.start()), loop.create_task(server.closed.wait())
    await asyncio.wait((start, end), return_when=asyncio.FIRST_COMPLETED)
    if end.done():  # told to stop before the scheduler has answered; breaking a handshake off would be noted there
        await asyncio.wait((start,), timeout=EXIT_SECONDS)
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        return
    try:
        start.result()
    except BaseException:
        end.cancel()
        raise
    await end


def _end_soon(code: int) -> None:
    """The interpreter's end waits for threads that a task may have left behind; it shall not for long."""
    for file in (sys.stdout, sys.stderr):
        try:
            file.flush()
        except (OSError, ValueError):  # nobody reads it any more, or a task has closed it
            continue
    timer = threading.Timer(EXIT_SECONDS, os._exit, (code,))
    timer.daemon = True
    timer.start()
