"""A client's connection at work: the shell that holds a `ClientMachine` in the I/O thread.

One concern: carry commands from user threads into the I/O thread and outcomes back. A user thread appends to a deque
and writes to a waker; each is one atomic step and neither can block, so an exception raised by a signal handler
between any two instructions leaves the machine as it was: the command is in or it is not. Everything else here runs
in the loop.

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

from fastsched import _late
from fastsched.client.machine import Answered, ClientMachine, Fetched, GetFrom, Send, Settled
from fastsched.client.record import FutureRecord
from fastsched.config import Config
from fastsched.errors import ClosedError
from fastsched.wire.messages import DatumItem, ErrorItem, ErrorKind, Frames, Message, Verb

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

__all__ = ["Callback", "Channel", "DataSource", "Reply", "Session"]

logger = logging.getLogger("fastsched.client")

SCHEDULER = 0  # the one peer of a client

CALLBACK_SECONDS = 2.0
"""How long `Session.close` waits for callbacks that still run."""

LOOK_UP_SECONDS = 0.5
"""A thread that waits for an answer looks so often whether the I/O thread is still there to give one."""


class Channel(Protocol):
    """One end of a connection to the scheduler."""

    def send(self, message: Message) -> None:
        """Send it, in order."""

    def close(self) -> None:
        """Send what is still to be sent, then end."""


class DataSource(Protocol):
    """Where large values come from."""

    def get(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """Ask the workers at `addresses` for task `id`; call `answer` in the loop, with None if they do not have it."""

    def close(self) -> None:
        """End the connections."""


class Reply:
    """A thread waits here for one answer."""

    __slots__ = ("_lock", "ok", "value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.ok = False
        self.value: Any = None

    def set(self, ok: bool, value: Any) -> None:
        """Called once, in the I/O thread."""
        self.ok, self.value = ok, value
        self._lock.release()

    def wait(self, timeout: float | None) -> bool:
        """False after `timeout` seconds without an answer."""
        if not self._lock.acquire(timeout=-1 if timeout is None else max(timeout, 0.0)):
            return False
        self._lock.release()  # an answer stays an answer: others may wait too
        return True

    @property
    def done(self) -> bool:
        """True once the answer is there."""
        return not self._lock.locked()


class Session:
    """The I/O side of one client.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The loop of the I/O thread. The constructor runs in that thread.
    config : Config
        Limits.
    channel : Channel
        The connection to the scheduler; its `on_message` and `on_closed` must lead to `received` and `closed`.
    data : DataSource
        Where values that did not travel inline are fetched.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self, loop: AbstractEventLoop, config: Config, channel: Channel, data: DataSource, clock: Callable[[], float]
    ) -> None:
        self.config = config
        self._machine = ClientMachine(config)
        self._loop = loop
        self._channel = channel
        self._data = data
        self._clock = clock
        self._inbox: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._waker = _late.waker()(loop, self._turn)
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

    # -- from any thread ----------------------------------------------------------------------------------------------

    def new_record(self, key: str) -> FutureRecord:
        """A record with a fid of its own."""
        return FutureRecord(next(self._fids), key)

    def post(self, command: Callable[..., None], *args: Any) -> None:
        """Have the I/O thread run one of the machine's commands. Never blocks, takes no lock."""
        if self.forked:
            return
        self._inbox.append((command, args))
        self._waker.wake()

    @property
    def machine(self) -> ClientMachine:
        """The machine; only its methods are touched from outside, as commands for `post`."""
        return self._machine

    def submit(self, command: Callable[..., None], *args: Any) -> None:
        """`post` a command that enters records, which somebody will wait for.

        Raises
        ------
        ClosedError
            The session ended meanwhile in another thread, so perhaps nobody carries out the command any more.
        """
        self.post(command, *args)
        # Posted first, looked at second; the end says so first and empties the inbox second: one sees the other.
        self.ensure_open()

    def ensure_open(self) -> None:
        """Raise `ClosedError` if nothing can be sent any more."""
        if self.forked:
            raise ClosedError("this client belongs to the parent process: a forked child must make its own Client")
        if self.ended:
            raise ClosedError(self.ended)

    def call(
        self, verb: Verb, args: tuple[Any, ...] = (), frames: Frames | None = None, timeout: float | None = None
    ) -> Any:
        """Ask the scheduler and wait for the answer.

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
            if not self.wait(reply, timeout):
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

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all commands posted so far have been carried out (or never will: the session is closed)."""
        reply = Reply()
        self.post(reply.set, True, None)
        self.wait(reply, timeout)

    def close(self, timeout: float | None = None) -> None:
        """End the session: what is open ends as cancelled. Waits until that is done; twice does no harm."""
        self.post(self._close)
        self.flush(timeout)
        self._callbacks.join(CALLBACK_SECONDS if timeout is None else timeout)

    def wait(self, reply: Reply, timeout: float | None) -> bool:
        """Wait for a reply, unless nobody is there any more to give it."""
        deadline = None if timeout is None else self._clock() + timeout
        while not self._dead and not self._loop.is_closed():
            left = LOOK_UP_SECONDS if deadline is None else min(LOOK_UP_SECONDS, deadline - self._clock())
            if reply.wait(left):
                return True
            if deadline is not None and self._clock() >= deadline:
                return reply.done
        if not reply.done:
            reply.set(False, "this client is closed")
        return True

    def run_callback(self, fn: Callable[[Any], Any], argument: Any) -> None:
        """Call `fn` in the callback thread; in this one if the session is closed, or in a forked child."""
        if self._dead or self.forked:
            call_back(fn, argument)
        else:
            self._callbacks.put(fn, argument)

    # -- in the loop --------------------------------------------------------------------------------------------------

    def received(self, messages: Sequence[Message]) -> None:
        """The channel delivers."""
        now = self._clock()
        for message in messages:
            self._machine.receive(SCHEDULER, message, now)
        self._flush()

    def closed(self, text: str) -> None:
        """The channel ended: the scheduler is gone."""
        self._end(ErrorItem(ErrorKind.SCHEDULER_LOST, None, "", "", 0, text))

    def _close(self) -> None:
        """The client was closed by its user."""
        if not self._dead:
            self._end(ErrorItem(ErrorKind.CANCELLED, None, "", "", 0, "this client is closed"))
            self._channel.close()
            self._data.close()
            self._callbacks.stop()
            self._dead = True

    def _end(self, error: ErrorItem) -> None:
        self.ended = error.text
        self._machine.lost(SCHEDULER, self._clock(), error)
        self._flush()

    def _turn(self) -> None:
        inbox = self._inbox
        try:
            while inbox:
                command, args = inbox.popleft()
                command(*args)
        finally:
            self._flush()
            if self._dead:
                self._waker.close()
            elif inbox:
                self._waker.wake()

    def _fetch(self, record: FutureRecord, reply: Reply) -> None:
        if record.fid in self._machine.records:
            self._fetches.setdefault(record.fid, []).append(reply)
            self._machine.fetch(record.fid)
        else:
            reply.set(False, None)

    def _flush(self) -> None:
        for action in self._machine.drain():
            match action:
                case Send(message):
                    self._channel.send(message)
                case Settled(record):
                    record.settle()
                case GetFrom(fid, id, addresses):
                    self._data.get(id, addresses, _Answer(self, fid, id))
                case Fetched(record, frames):
                    for reply in self._fetches.pop(record.fid, ()):
                        reply.set(frames is not None, frames)
                case Answered(request, ok, value):
                    waiting = self._replies.pop(request, None)
                    if waiting is not None:
                        waiting.set(ok, value)
        deadline = self._machine.next_deadline()
        if deadline is not None and self._alarm is None:
            self._alarm = self._loop.call_later(max(deadline - self._clock(), 0.0), self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self._machine.tick(self._clock())
        self._flush()

    def data_arrived(self, fid: int, id: int, frames: Frames | None) -> None:
        """The data source answered; runs in the loop."""
        self._machine.fetched(fid, DatumItem(id, frames), self._clock())
        self._flush()


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
