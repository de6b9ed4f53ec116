"""Tasks that launch tasks: `worker_client`, `get_client`, `get_worker`, `secede`, `rejoin`.

One concern: join the worker's room (which task does this thread run, who holds its slot) with the client's (how does
one submit). The client that a task gets is the worker's own: one per process, over the worker's own connection, made
at the first use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fastsched import _late
from fastsched._wait import Waiter, may_wait, monotonic
from fastsched.client import binding
from fastsched.client.client import Client
from fastsched.client.linked import LinkedClient
from fastsched.client.record import CountDown, FutureRecord, Next, Reply
from fastsched.client.session import Session
from fastsched.errors import AddressError, CancelledError, CyclicWait, NotInTaskError
from fastsched.timing import Timeout
from fastsched.wire.messages import Frames
from fastsched.worker import context

if TYPE_CHECKING:
    import asyncio

FIRST_LOOK_SECONDS = 0.1
LAST_LOOK_SECONDS = 2.0
ANSWER_SECONDS = 0.01
"""A thread that has waited so long looks whether what it waits for is here, and cannot start because its slot is held
by somebody who waits for this thread (for a lock, say); it looks again after twice the time, up to the second."""

LONG_SECONDS = 1.0
"""At the first such look after this time it also has the scheduler look whether it waits in a circle."""

_FOR_TASKS = frozenset((CountDown, Next))  # waiters for tasks that were submitted; others wait for answers

__all__ = ["Worker", "adopt", "get_client", "get_worker", "rejoin", "secede", "worker_client"]


class Worker:
    """The worker that runs the calling task, as the task sees it.

    Attributes
    ----------
    name, address : str
        How the cluster calls it, and where it serves its results.
    nthreads : int
        How many tasks it runs at once.
    """

    __slots__ = ("_host", "address", "name", "nthreads")

    def __init__(self, host: context.Host) -> None:
        self._host = host
        self.name = host.name
        self.address = host.address
        self.nthreads = host.nthreads

    @property
    def statistics(self) -> dict[str, float]:
        """What this worker has done since its start.

        Returns
        -------
        dict
            ``executed``: tasks that the scheduler has sent and that have ended; ``inline``: children that ran in the
            thread of the task that waited for them; ``executed_seconds``, ``inline_seconds``: how long those took that
            ended well, with their waits and their own inline children; ``handed_over``: children that were left to
            others; ``overdrawn``: how often a task ran without a slot, because who held its slot might wait for that
            task.

        Examples
        --------
        >>> from fastsched import Client, get_worker, worker_client
        >>> def parent():
        ...     with worker_client() as client:
        ...         return sum(client.gather(client.map(abs, [1, -2, 3])))
        >>> with Client(n_workers=1) as client:
        ...     client.submit(parent).result()
        ...     [found["inline"] > 0 for found in client.run(lambda: get_worker().statistics).values()]
        6
        [True]
        """
        return self._host.statistics()

    def __repr__(self) -> str:
        return f"<Worker: {self.name!r} {self.address}, threads: {self.nthreads}>"


class worker_client:  # noqa: N801  dask's name
    """Inside a task: a client over the worker's own connection. Follows ``dask.distributed.worker_client``.

    While the block runs the task holds no slot: another task runs there, and children can run even on a worker with
    one thread. In a coroutine, ``with`` and ``async with`` are the same.

    Parameters
    ----------
    timeout
        Accepted for dask's sake, without effect: there is nothing to connect.
    separate_thread : bool
        False: keep the slot. (A wait lends it all the same.)
    inline : bool
        Whether the waiting thread may run children itself; see docs/nesting.md for what they can notice of that.

    Raises
    ------
    NotInTaskError
        Outside a task. (It is a ValueError, as in dask.)

    Examples
    --------
    >>> from fastsched import Client, worker_client
    >>> def total(numbers):
    ...     with worker_client() as client:
    ...         return sum(client.gather(client.map(abs, numbers)))
    >>> with Client(n_workers=1) as client:
    ...     client.submit(total, [1, -2, 3]).result()
    6
    """

    __slots__ = ("_inline", "_opened", "_separate", "_task", "_was_inline")

    def __init__(self, timeout: Timeout = None, separate_thread: bool = True, inline: bool = True) -> None:
        self._separate = separate_thread
        self._inline = inline
        self._opened = False

    def __enter__(self) -> Client:
        task = self._task = _task("worker_client()")
        if task.job.dropped:
            raise _dropped(task)
        client = _client_of(task.host)
        if not self._inline:
            self._was_inline, task.inline = task.inline, False
        if self._separate and not task.on_loop:  # a coroutine holds none after its first await
            self._opened = task.host.open_block(task)
        return client

    def __exit__(self, *exc_info: object) -> None:
        task = self._task
        if not self._inline:
            task.inline = self._was_inline
        if self._opened:
            self._opened = False
            task.host.close_block(task)

    async def __aenter__(self) -> Client:
        return self.__enter__()

    async def __aexit__(self, *exc_info: object) -> None:
        self.__exit__()


def get_client(address: Any = None, timeout: Timeout = None, resolve_address: bool = True) -> Client:
    """The client of this place: inside a task the worker's own, else the newest open client of the program.

    Parameters
    ----------
    address : str, optional
        Outside a task: connect there with a new client (dask looks for an open one of that address first). Inside, only
        the scheduler of the task's own worker can be named, by its address or its access file.
    timeout : float or str, optional
        Seconds to connect.
    resolve_address
        Accepted for dask's sake, without effect.

    Raises
    ------
    ValueError
        If there is none and no address is given; inside a task, if the address is that of another scheduler.
    """
    here = context.host()
    if here is not None:
        if address is not None:
            _ensure_own(address, here.scheduler)
        return _client_of(here)
    if _clients:  # a thread that a task started: it has no task of its own, but the worker has a client
        return next(iter(_clients.values()))
    if address is not None:
        return Client(address, timeout=timeout)
    return binding.default_client()


def get_worker() -> Worker:
    """The worker that runs the calling task.

    Raises
    ------
    NotInTaskError
        Outside a task.
    """
    here = context.host()
    if here is None:
        raise NotInTaskError("get_worker() works only inside a task: no worker found here")
    return Worker(here)


def secede() -> None:
    """Give the slot of the calling task to others, until `rejoin` or its end. Twice is fine.

    Raises
    ------
    NotInTaskError
        Outside a task.
    """
    task = _task("secede()")
    if not task.seceded:
        task.host.secede(task)


def rejoin() -> None:
    """Wait until the calling task, which seceded, has a slot again. A coroutine needs none: it goes on at once.

    Raises
    ------
    NotInTaskError
        Outside a task.
    """
    task = _task("rejoin()")
    if task.seceded and not task.on_loop:
        task.host.rejoin(task)


def adopt() -> None:
    """Have futures that are unpickled in this process find the client of the task that their thread runs.

    Called once in a worker process, before its first task.
    """
    binding.set_resolver(_resolve, _asynchronous)


class _InTask:
    """The surroundings of a thread in a worker."""

    def parent(self) -> int:
        task = context.current()
        if task is None:
            return 0
        if task.job.dropped:
            raise _dropped(task)
        return task.root.id

    def asynchronous(self) -> bool:
        return context.is_on_loop()

    def begin_await(self, records: Sequence[FutureRecord], rung: asyncio.Future[None]) -> _Await | None:
        task = self._waiting(records)
        if task is None:
            return None
        task.host.hand_over(_fids(records))  # this thread has a loop to run
        if task.on_loop:
            task.host.secede(task)
            return None
        loop = rung.get_loop()
        if task.awaits is None or task.awaits.loop is not loop:
            task.awaits = _OwnLoop(task, loop)
        return _Await(task.awaits, rung)

    def end_await(self, awaiting: _Await | None) -> None:
        if awaiting is None or awaiting.own.task is not context.current():  # the loop was left behind
            return
        awaiting.end()
        if awaiting.own.task.job.dropped:
            raise _dropped(awaiting.own.task)

    def wait(self, session: Session, waiter: Waiter, timeout: float | None) -> bool:
        if context.is_on_loop():
            raise RuntimeError("a coroutine must not stop its loop: await the future, or what the client gives back")
        task = context.current()
        if task is None or not may_wait():  # it will be refused to wait
            return session.wait(waiter, timeout)
        had = task.host.begin_wait(task, waiter)
        try:  # begun first, looked at second: who drops the task says so first, and opens the waiter second
            over = not task.job.dropped and self._wait(task, session, waiter, timeout)
        finally:
            circle = task.host.end_wait(task, had)
        if task.job.dropped:
            raise _dropped(task)
        if circle:
            raise CyclicWait(f"task {task.key!r} waits for itself: {circle}")
        return over

    def _wait(self, task: context.CurrentTask, session: Session, waiter: Waiter, timeout: float | None) -> bool:
        limited = timeout is not None
        deadline = 0.0 if timeout is None else monotonic() + timeout
        pause, waited = FIRST_LOOK_SECONDS, 0.0
        while not session.wait(waiter, min(pause, deadline - monotonic()) if limited else pause):
            if limited and monotonic() >= deadline:
                return False
            waited += pause
            if task.host.unstick(task) and not session.wait(waiter, ANSWER_SECONDS):
                task.host.unstick(task)
            if waited > LONG_SECONDS and not limited and type(waiter) in _FOR_TASKS:
                fids, first = waiter.awaited()  # type: ignore[attr-defined]
                if task.host.tell_wait(task, fids, first) and not session.wait(waiter, ANSWER_SECONDS):
                    task.host.tell_wait(task, fids, first)
            pause = min(2.0 * pause, LAST_LOOK_SECONDS)
        return True

    def hand_over(self, records: Sequence[FutureRecord]) -> None:
        task = context.current()
        if task is not None and may_wait():
            task.host.hand_over(_fids(records))

    def run_children(
        self, records: Sequence[FutureRecord], timeout: float | None, until_error: bool = False, most: int = 0
    ) -> None:
        task = self._waiting(records)
        if task is None:
            return
        if timeout is None and task.inline:
            task.host.run_children(task, _fids(records), until_error, most)
        else:
            task.host.hand_over(_fids(records))

    def _waiting(self, records: Sequence[FutureRecord]) -> context.CurrentTask | None:
        """The task of the calling thread, if it may wait for these; None: there is none, or it will be refused."""
        task = context.current()
        if task is None or not may_wait():
            return None
        if task.job.dropped:
            raise _dropped(task)
        keys = task.keys()
        for record in records:
            if record.key in keys and not record.settled:
                raise CyclicWait(f"task {task.key!r} cannot wait for {record.key!r}: it is what its thread runs")
        return task


def _fids(records: Sequence[FutureRecord]) -> list[int]:
    return [record.fid for record in records]


class _Await:
    """A coroutine of a task's own loop awaits a ring."""

    __slots__ = ("own", "rung")

    def __init__(self, own: _OwnLoop, rung: asyncio.Future[None]) -> None:
        self.own = own
        self.rung = rung
        own.awaits[self] = None

    def end(self) -> None:
        """Not any more."""
        self.own.ended(self)


class _OwnLoop:
    """What the coroutines await in an event loop that a task runs in its thread. Made with the first, left by the last.

    No waiter can wake a loop, so the loop looks after them, as a waiting thread does: every tenth of a second whether
    anybody still wants the task, and more and more rarely whether it is stuck.

    Parameters
    ----------
    task : CurrentTask
        Whose thread it is.
    loop : asyncio.AbstractEventLoop
        That runs in it.
    """

    __slots__ = ("_asked", "_due", "_pause", "_timer", "awaits", "had", "loop", "task")

    def __init__(self, task: context.CurrentTask, loop: asyncio.AbstractEventLoop) -> None:
        self.task = task
        self.loop = loop
        self.awaits: dict[_Await, None] = {}
        before: _OwnLoop | None = task.awaits  # of a loop that was left behind: the slot is lent already
        self.had: bool = task.host.begin_wait(task, Waiter()) or (before is not None and before.had)
        self._asked = False
        self._pause = FIRST_LOOK_SECONDS
        self._due = loop.time() + self._pause
        self._timer = loop.call_later(self._pause, self._look)

    def ended(self, awaiting: _Await) -> None:
        """One of them awaits no longer."""
        self.awaits.pop(awaiting, None)
        if not self.awaits:
            self._timer.cancel()
            if self.task.awaits is self:
                self.task.awaits = None
                self.task.host.end_wait(self.task, self.had)

    def _look(self) -> None:
        if self.task.job.dropped:
            for awaiting in list(self.awaits):
                if not awaiting.rung.done():
                    awaiting.rung.set_result(None)
            return
        now = self.loop.time()
        if now >= self._due:
            self._asked = self.task.host.unstick(self.task) and not self._asked
            if not self._asked:
                self._pause = min(2.0 * self._pause, LAST_LOOK_SECONDS)
            self._due = now + (ANSWER_SECONDS if self._asked else self._pause)
        self._timer = self.loop.call_later(min(FIRST_LOOK_SECONDS, max(self._due - now, 0.0)), self._look)


class _WorkerLink:
    """The session of the client inside a worker; the connection is the worker's and outlives it."""

    def __init__(self, session: Session, scheduler: str) -> None:
        self.session = session
        self.scheduler = scheduler

    def wait_ready(self, timeout: float | None) -> None:
        """Whoever is there is there."""

    def close(self, timeout: float | None) -> None:
        """Nothing of it is the task's to close."""


class _LocalData:
    """Large values for tasks of this worker: its own store first, then the worker's connections to others."""

    def __init__(self, host: context.Host) -> None:
        self._host = host

    def get(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        frames = self._host.frames_of(id)
        if frames is not None:
            answer(frames)
        else:
            self._host.get_data(id, addresses, answer)

    def close(self) -> None:
        """The connections are the worker's."""


_lock = threading.Lock()
_clients: dict[str, Client] = {}  # by address of the worker: one entry in a worker process


def _client_of(host: context.Host) -> Client:
    client = _clients.get(host.address)
    if client is None:
        with _lock:
            client = _clients.get(host.address)
            if client is None:
                client = _clients[host.address] = _make_client(host)
    return client


def _make_client(host: context.Host) -> Client:
    """The session belongs to the loop's thread, so it is made there."""
    made = Reply()

    def make() -> None:
        try:
            made.set(True, _make_session(host))
        except BaseException as error:
            made.set(False, error)
            raise

    host.loop.call_soon_threadsafe(make)
    made.block()
    if not made.ok:
        raise made.value
    return LinkedClient(_WorkerLink(made.value, host.scheduler), _InTask(), f"client of {host.name}")


def _make_session(host: context.Host) -> Session:
    channel = host.channel_for_client()
    session = Session(host.loop, host.config, host.pump, host.lock, channel, _LocalData(host), channel.send_items)
    _join(channel, session)
    return session


def _join(channel: context.ClientChannel, session: Session) -> None:
    """A function of its own, in which the compiler does not know the type: it would wrap the methods once more."""
    channel.on_message = session.take
    channel.on_turn = session.flush_machine
    channel.on_ends = session.ended_here
    channel.on_parted = session.part_here
    channel.on_closed = lambda _, reason: session.closed(f"the scheduler is gone: {reason or 'connection closed'}")
    channel.flush_client = session.flush


def _ensure_own(address: Any, scheduler: str) -> None:
    """A task has one client, and it is connected already."""
    try:
        same = address == scheduler or str(_late.locate()(address).address) == scheduler
    except AddressError:  # no access file
        same = False
    if not same:
        raise ValueError(
            f"inside a task get_client() gives the client of its worker, of the scheduler at {scheduler}, "
            f"not of {address!r}: use Client(address) for that"
        )


def _resolve() -> Client:
    here = context.host()
    if here is None:
        raise NotInTaskError("a future is unpickled in a thread of the worker that runs no task")
    return _client_of(here)


def _dropped(task: context.CurrentTask) -> CancelledError:
    """What a task hears that runs in vain."""
    return CancelledError(f"nobody wants task {task.key!r} any more: it was cancelled, or its futures are gone")


def _asynchronous() -> bool:
    return context.is_on_loop()


def _task(caller: str) -> context.CurrentTask:
    task = context.current()
    if task is None:
        raise NotInTaskError(f"{caller} works only inside a task: no worker found here")
    return task
