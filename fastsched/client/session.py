"""A client's connection at work: the shell that holds a `ClientMachine`, its lock, and its channel.

One concern: carry commands of user threads into the machine and outcomes back. The thread that has a command carries it
out itself, under the machine's lock: the machine takes it in, the channel takes what follows from it. With a scheduler
in the same process that is the whole way to the worker's socket; see docs/decisions/0003. Compiled, and no step under
the lock runs a Python frame: a signal handler that raises strikes before a command or after it.

A thread that waits reads: it hands itself to the pump (`net._pump`). What needs the loop, or runs code of others, is
posted to the I/O thread.

Called by `client` (any thread); knows `machine` and a channel (a stream, the in-process pair, or a worker's own
connection).
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from fastsched._wait import TurnLock, Waiter, in_turn, monotonic
from fastsched.client.machine import Answered, ClientMachine, Fetched, GetFrom, Send, Settled
from fastsched.client.record import FutureRecord, Observer, Reply
from fastsched.config import Config
from fastsched.errors import ClosedError, SerializationError
from fastsched.net._pump import Pump
from fastsched.wire.messages import (
    DatumItem,
    ErrorItem,
    ErrorKind,
    FailedItem,
    Frames,
    Message,
    ResultItem,
    Verb,
)
from fastsched.wire.runs import Entry, as_messages

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

    from fastsched.client.link import Surroundings

__all__ = ["Callback", "Channel", "DataSource", "Reply", "Session"]

logger = logging.getLogger("fastsched.client")

SCHEDULER = 0  # the one peer of a client

CALLBACK_SECONDS = 2.0
"""How long `Session.close` waits for callbacks that still run."""

LOOK_UP_SECONDS = 0.5
"""Whoever closes a session looks so often whether the I/O thread is still there to do it."""

_CLOSED = ErrorItem(ErrorKind.CANCELLED, None, "", "", 0, "this client is closed")


class Channel(Protocol):
    """One end of a connection to the scheduler, used under the session's lock."""

    def send_all(self, messages: list[Message]) -> None:
        """Send these, in order: all that a turn brings."""

    def send(self, message: Message) -> None:
        """Send this one."""

    def close(self) -> None:
        """Send what is still to be sent, then end."""


class DataSource(Protocol):
    """Where large values come from. Used in the loop."""

    def get(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """Ask the workers at `addresses` for task `id`; call `answer` in the loop, with None if they do not have it."""

    def close(self) -> None:
        """End the connections."""


class Session:
    """One client's side of its connection.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The loop of the I/O thread. The constructor runs in that thread.
    config : Config
        Limits.
    pump : Pump
        Reads the connection.
    lock : TurnLock
        The machine's; an embedded scheduler's, too, or a worker's.
    channel : Channel
        The connection to the scheduler; what it brings must lead to `received` (or, under the lock, `take` and
        `flush`), its end to `closed`.
    data : DataSource
        Where values that did not travel inline are fetched.
    send_items : callable, optional
        Takes what else would be sent through the channel, as items that have not become messages (see `wire.runs`);
        all or nothing. For a client inside a worker, most of whose tasks stay there.
    lasting : bool
        Whether it outlives its channel, until `returned` brings another one, or `closed` says that there will be none.
    """

    def __init__(
        self,
        loop: AbstractEventLoop,
        config: Config,
        pump: Pump,
        lock: TurnLock,
        channel: Channel,
        data: DataSource,
        send_items: Callable[[list[Entry]], None] | None = None,
        lasting: bool = False,
    ) -> None:
        self.config = config
        self._machine = ClientMachine(config, lasting)
        self._loop = loop
        self._pump = pump
        self._lock = lock
        self._channel = channel
        self._items_go = send_items
        self._data = data
        # left by finalizers: commands and their arguments, or None and the fid of what is released
        self._inbox: deque[tuple[Callable[..., None] | None, Any]] = deque()
        self._requests = itertools.count(1)
        self._fids = itertools.count(1)
        self._replies: dict[int, Reply] = {}
        self._fetches: dict[int, list[Reply]] = {}
        self._callbacks = CallbackThread()
        self._alarm: TimerHandle | None = None  # for the machine's next deadline
        self.ended = ""  # why nothing can be sent any more: closed, or the scheduler is gone
        self._dead = False  # closed: nothing is carried out any more
        self.forked = False  # this is a child's copy of the parent's session: dead, and it touches nothing of it
        _sessions.add(self)
        pump.join(self)

    # -- from any thread ----------------------------------------------------------------------------------------------

    def new_record(self, key: str) -> FutureRecord:
        """A record with a fid of its own."""
        return FutureRecord(next(self._fids), key)

    @property
    def machine(self) -> ClientMachine:
        """The machine; only its methods are touched from outside, as commands for `post`."""
        return self._machine

    def post(self, command: Callable[..., None], *args: Any) -> None:
        """Carry out one of the machine's commands, and what follows from it: at once, or soon in a finalizer."""
        if self.forked:
            return
        if in_turn():  # a finalizer that runs in the middle of a turn, of this session or another
            self.leave(command, *args)
            return
        lock = self._lock
        lock.acquire()
        try:
            if self._inbox:
                self._take_inbox()
            command(*args)
            self.flush_machine()
        finally:
            lock.release()
        self._pump.glance()

    def leave(self, command: Callable[..., None], *args: Any) -> None:
        """Have a command carried out soon. Takes no lock: for finalizers, which run at any moment in any thread."""
        if not self.forked:
            self._inbox.append((command, args))
            self._pump.arm()

    def release(self, record: FutureRecord) -> None:
        """Give up the claim of one record. As `leave`."""
        if not self.forked:
            self._inbox.append((None, record.fid))
            self._pump.arm()

    def submit(self, command: Callable[..., None], *args: Any) -> None:
        """`post` a command that enters records, which somebody will wait for.

        Raises
        ------
        ClosedError
            The session ended meanwhile in another thread, so perhaps nobody carries out the command any more.
        """
        self.post(command, *args)
        # Posted first, looked at second; the end says so first and empties the inbox second: one sees the other.
        if self.ended or self.forked:
            self.ensure_open()

    def ensure_open(self) -> None:
        """Raise `ClosedError` if nothing can be sent any more."""
        if self.forked:
            raise ClosedError("this client belongs to the parent process: a forked child must make its own Client")
        if self.ended:
            raise ClosedError(self.ended)

    def call(
        self,
        verb: Verb,
        args: tuple[Any, ...] = (),
        frames: Frames | None = None,
        timeout: float | None = None,
        surroundings: Surroundings | None = None,
    ) -> Any:
        """Ask the scheduler and wait for the answer; in `surroundings`, if the wait may be long.

        Raises
        ------
        ClosedError, TimeoutError, RuntimeError
            The client is closed; no answer in `timeout` seconds; the scheduler says no (with its words).
        """
        self.ensure_open()
        request = next(self._requests)
        reply = self._replies[request] = Reply()
        try:
            self.post(self._machine.call, request, verb, args, frames)
            done = self.wait(reply, timeout) if surroundings is None else surroundings.wait(self, reply, timeout)
            if not done:
                raise TimeoutError(f"no answer to {verb.name.lower()} in {timeout} s")
        finally:
            if self._replies.pop(request, None) is not None:
                self.post(self._machine.abandon_call, request)
        if not reply.ok:
            raise RuntimeError(reply.value)
        return reply.value

    def fetch(self, record: FutureRecord) -> Reply:
        """Start to get a value that is not here; wait on the reply. `ok` is False if the record ended otherwise.

        Raises
        ------
        ClosedError
            In a forked child.
        """
        if self.forked:
            self.ensure_open()
        reply = Reply()
        self.post(self._fetch, record, reply)
        return reply

    def flush(self) -> None:
        """Carry out what finalizers have left."""
        self.post(_nothing)

    def wait(self, waiter: Waiter, timeout: float | None) -> bool:
        """Wait, and read meanwhile; False after `timeout` seconds."""
        return self._pump.wait(waiter, -1.0 if timeout is None else max(timeout, 0.0))

    def close(self, timeout: float | None = None) -> None:
        """End the session: what is open ends as cancelled. Waits until that is done; twice does no harm."""
        if self.forked or self._dead:
            return
        reply = Reply()
        if self._pump.is_current():
            self._close(reply)
        else:
            self._pump.post(self._close, reply)
        deadline = None if timeout is None else monotonic() + timeout
        while not reply.over and not self._loop.is_closed() and (deadline is None or monotonic() < deadline):
            reply.block(LOOK_UP_SECONDS if deadline is None else min(LOOK_UP_SECONDS, max(deadline - monotonic(), 0.0)))
        if not reply.over:  # the I/O thread is gone, or does not come to it: nobody shall wait for what will not come
            self._end(_CLOSED)
            if self._loop.is_closed():
                self._callbacks.stop()
        self._callbacks.join(CALLBACK_SECONDS if timeout is None else timeout)

    def run_callback(self, fn: Callable[[Any], Any], argument: Any) -> None:
        """Call `fn` in the callback thread; in this one if the session is closed, or in a forked child."""
        if self._dead or self.forked:
            call_back(fn, argument)
        else:
            self._callbacks.put(fn, argument)

    # -- the connection brings something ------------------------------------------------------------------------------

    def received(self, channel: object, messages: Sequence[Message]) -> None:
        """Messages of the scheduler. In any thread, without the lock."""
        lock = self._lock
        lock.acquire()
        try:
            self.take(channel, messages)
            self.flush_machine()
        finally:
            lock.release()

    def take(self, channel: object, messages: Sequence[Message]) -> None:
        """Messages of the scheduler, under the lock; `flush_machine` must follow."""
        now = monotonic()
        for message in messages:
            self._machine.receive(SCHEDULER, message, now)

    def ended_here(self, finished: Sequence[ResultItem], erred: Sequence[FailedItem]) -> None:
        """Under the lock: how tasks have ended that never left this process."""
        self._machine.ended(finished, erred)
        if self._machine.has_actions():
            self.flush_machine()

    def flush_machine(self) -> None:
        """Under the lock: carry out what the machine wants. What is sent comes last: it may lead back to here."""
        machine = self._machine
        packet: list[Message] = []
        items: list[Entry] = machine.outgoing() if self._items_go is not None and machine.has_outgoing() else []
        for action in machine.drain() if machine.has_actions() else ():
            if type(action) is Send:
                packet.append(action[0])
            elif type(action) is Settled:
                action[0].settle(self._tell_later)
            elif type(action) is Fetched:
                for reply in self._fetches.pop(action[0].fid, ()):
                    reply.set(action[1] is not None, action[1])
            elif type(action) is Answered:
                waiting = self._replies.pop(action[0], None)
                if waiting is not None:
                    waiting.set(action[1], action[2])
            elif type(action) is GetFrom:
                fid, id, addresses = action
                self._pump.post(self._data.get, id, addresses, _Answer(self, fid, id))
        if machine.has_deadline():
            self._pump.arm()
        if packet:
            self._send(packet)
        elif items:
            self._send_items(items)

    def _send_items(self, items: list[Entry]) -> None:
        assert self._items_go is not None
        try:
            self._items_go(items)
        except SerializationError:  # nothing has left
            self._send(as_messages(items, self.config.batch_items))

    def _send(self, packet: list[Message]) -> None:
        try:
            self._channel.send_all(packet)
        except SerializationError:  # one of them is over a limit of the wire: the others leave, the caller hears of it
            error: SerializationError | None = None
            for message in packet:
                try:
                    self._channel.send(message)
                except SerializationError as reason:
                    error = reason
                    self._machine.unsent(message, str(reason))
            if error is not None:
                self.flush_machine()  # whoever waits for what will not come
                raise error from None

    def closed(self, text: str) -> None:
        """The channel ended: the scheduler is gone. In the loop, without the lock."""
        self._end(_scheduler_lost(text))

    def parted(self, text: str) -> None:
        """The channel ended, but there may be another one soon. In the loop, without the lock."""
        self.post(self._machine.part, SCHEDULER, monotonic(), _scheduler_lost(text))

    def part_here(self, text: str) -> int:
        """The same, under the lock. A number above all fids that have been given so far."""
        self.flush_machine()  # what it has let go of is held elsewhere in this process
        self._machine.part(SCHEDULER, monotonic(), _scheduler_lost(text))
        self.flush_machine()
        return next(self._fids)

    def returned(self, channel: Channel) -> None:
        """There is a scheduler again, at the other end of this channel. In the loop, without the lock."""
        with self._lock:
            self._channel = channel
        self.post(self._machine.come_back, SCHEDULER, monotonic())

    def data_arrived(self, fid: int, id: int, frames: Frames | None) -> None:
        """The data source answered; runs in the loop."""
        self.post(self._machine.fetched, fid, DatumItem(id, frames), monotonic())

    def _take_inbox(self) -> None:
        inbox = self._inbox
        while inbox:
            command, args = inbox.popleft()
            if command is None:
                self._machine.release(args)
            else:
                command(*args)

    def _fetch(self, record: FutureRecord, reply: Reply) -> None:
        if record.fid in self._machine.records:
            self._fetches.setdefault(record.fid, []).append(reply)
            self._machine.fetch(record.fid)
        else:
            reply.set(False, None)

    def _tell_later(self, observer: Observer, record: FutureRecord) -> None:
        self._pump.post(observer.notify, record)

    # -- the pump's owner ---------------------------------------------------------------------------------------------

    def before_wait(self) -> None:
        """See `Owner`: what finalizers have left leaves."""
        if self._inbox and not self._dead:
            self.flush()

    def tick(self) -> None:
        """See `Owner`."""
        if self._dead:
            return
        if self._inbox:
            self.flush()
        deadline = self._machine.next_deadline()
        if deadline is not None and self._alarm is None:
            self._alarm = self._loop.call_later(max(deadline - monotonic(), 0.0), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.post(self._machine.tick, monotonic())

    # -- the end, in the loop -----------------------------------------------------------------------------------------

    def _close(self, reply: Reply) -> None:
        """The client was closed by its user."""
        try:
            if not self._dead:
                self._end(_CLOSED)
                self._dead = True
                self._pump.part(self)
                self._channel.close()
                self._data.close()
                self._callbacks.stop()
        finally:
            reply.open()

    def _end(self, error: ErrorItem) -> None:
        self.ended = self.ended or error.text
        self.post(self._machine.lost, SCHEDULER, monotonic(), error)


def _scheduler_lost(text: str) -> ErrorItem:
    return ErrorItem(ErrorKind.SCHEDULER_LOST, None, "", "", 0, text)


def _nothing() -> None:
    """A command that changes nothing: what was left before it is carried out."""


class _Answer:
    """What a data source calls back: remembers for which future it asked."""

    __slots__ = ("_fid", "_id", "_session")

    def __init__(self, session: Session, fid: int, id: int) -> None:
        self._session, self._fid, self._id = session, fid, id

    def __call__(self, frames: Frames | None) -> None:
        self._session.data_arrived(self._fid, self._id, frames)


class Callback:
    """Calls a user's function once, however often the record tells that it has settled."""

    __slots__ = ("_entries", "_session")

    def __init__(self, session: Session, future: Any, fn: Callable[[Any], Any]) -> None:
        self._session = session
        self._entries = [(fn, future)]

    def notify(self, record: FutureRecord) -> None:
        """See `record.Observer`."""
        try:
            fn, future = self._entries.pop()
        except IndexError:  # told twice
            return
        self._session.run_callback(fn, future)


class CallbackThread:
    """One daemon thread, started by the first callback, in which done-callbacks run: they may submit and wait."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Callable[[Any], Any], Any] | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def put(self, fn: Callable[[Any], Any], argument: Any) -> None:
        """Call ``fn(argument)`` soon."""
        self._queue.put((fn, argument))
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="fastsched-callbacks", daemon=True)
                    self._thread.start()

    def stop(self) -> None:
        """End the thread after what was put before."""
        self._queue.put(None)

    def join(self, timeout: float) -> None:
        """Wait for the thread to end, `timeout` seconds at most; not from a callback, which is that thread."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        while (entry := self._queue.get()) is not None:
            call_back(*entry)
            del entry  # keep no future alive while idle


def call_back(fn: Callable[[Any], Any], argument: Any) -> None:
    """Call a user's callback; what it raises is logged, as concurrent.futures does."""
    try:
        fn(argument)
    except BaseException:
        logger.exception("a done-callback raised: %r", fn)


_sessions: weakref.WeakSet[Session] = weakref.WeakSet()


def _after_fork() -> None:
    for session in list(_sessions):
        session.forked = True


os.register_at_fork(after_in_child=_after_fork)
