"""Which task is this thread running?

One concern: a thread-local answer to that question, kept by the executor in the thread's `Place` and read by `nested`
(worker_client, get_client, get_worker, secede, rejoin). May import config, messages and jobs; knows the worker as a
protocol (`Host`), never as a class.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import Any, Protocol

from fastsched._wait import TurnLock, Waiter
from fastsched.config import Config
from fastsched.net._pump import Pump
from fastsched.wire.messages import FailedItem, Frames, Message, ResultItem
from fastsched.wire.runs import Entry
from fastsched.worker._here import here, stay
from fastsched.worker.jobs import Job

__all__ = [
    "ClientChannel",
    "CurrentTask",
    "Host",
    "Place",
    "current",
    "enter_context",
    "host",
    "is_on_loop",
    "leave_place",
    "take_place",
]


class ClientChannel(Protocol):
    """The worker's connection as the client inside the worker sees it: the face of a stream's end."""

    on_message: Callable[[Any, list[Message]], object]
    on_closed: Callable[[Any, Exception | None], object]
    on_turn: Callable[[], object]
    on_ends: Callable[[list[ResultItem], list[FailedItem]], object]
    on_parted: Callable[[str], int]
    flush_client: Callable[[], object]
    """Set by the client: carries out what finalizers have left to it. Called in threads of tasks."""

    def send(self, message: Message) -> None:
        """Hand a client's message to the scheduler, under the worker's lock."""

    def send_all(self, messages: list[Message]) -> None:
        """Hand over several."""

    def send_items(self, items: list[Entry]) -> None:
        """Hand over items that have not become messages; all of them or, with an exception, none."""

    def close(self, flush: bool = True) -> None:
        """Take no more messages; the worker's connection stays."""


class Host(Protocol):
    """What a task may ask of the worker that runs it."""

    name: str
    address: str
    scheduler: str
    nthreads: int
    config: Config
    loop: AbstractEventLoop
    lock: TurnLock
    pump: Pump

    def open_block(self, task: CurrentTask) -> bool:
        """The task's slot may be lent from now on. False: it was so already."""

    def close_block(self, task: CurrentTask) -> None:
        """Not any more: wait for it if it was."""

    def begin_wait(self, task: CurrentTask, waiter: Waiter) -> bool:
        """The thread will wait here: its slot is lent, and what it would have run goes to others. True: it had a slot.

        The waiter is opened, too, if nobody wants the task any more (`Job.dropped`).
        """

    def tell_wait(self, task: CurrentTask, fids: list[int], first: bool) -> bool:
        """It has waited for long, for all of these futures or for the `first` of them: the scheduler shall know.

        The waiter is opened, too, if the scheduler finds that it waits in a circle. True: there is more to tell soon.
        """

    def end_wait(self, task: CurrentTask, had: bool) -> str:
        """It waits no longer. `had`: it needs a slot again. Gives back in what circle it has waited, "" if in none."""

    def run_children(self, task: CurrentTask, fids: Iterable[int], until_error: bool, most: int) -> None:
        """Run those of the children behind these futures that have not begun, in this thread.

        Parameters
        ----------
        task : CurrentTask
            The calling thread's.
        fids : iterable of int
            Futures of the client inside this worker.
        until_error : bool
            Stop at the first that fails.
        most : int
            Stop after so many; 0: never. Else any of them will do: those whose function was never run here, and may be
            long, are left to others.
        """

    def unstick(self, task: CurrentTask) -> bool:
        """The thread has waited for long: start a child of its tasks that nobody has begun, though there is no slot.

        True: there is none here, but one may come at once.
        """

    def hand_over(self, fids: Iterable[int]) -> None:
        """Have others run these."""

    def statistics(self) -> dict[str, float]:
        """See `nested.Worker.statistics`."""

    def tell_client(self) -> None:
        """Under the lock: have the client inside this worker hear what became of children."""

    def secede(self, task: CurrentTask) -> None:
        """Lend the task's slot to others; the thread goes on."""

    def rejoin(self, task: CurrentTask) -> None:
        """Wait until the task holds a slot again, if anybody still wants it."""

    def channel_for_client(self) -> ClientChannel:
        """The one channel for the client inside this worker."""

    def flush_client(self) -> None:
        """Have the client inside this worker carry out what finalizers have left to it."""

    def frames_of(self, id: int) -> Frames | None:
        """A value that this worker holds, or None. Safe from any thread."""

    def get_data(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """Ask other workers for a value, one after the other; in the loop's thread."""


class CurrentTask:
    """The task that a thread runs, or a coroutine belongs to.

    Attributes
    ----------
    job
        The machine's record of it: `id`, `attempt` (the run), `key`, `priority`, `order`.
    host : Host
        The worker.
    thread
        The executor's thread; opaque to everybody else.
    root : Job
        What the scheduler gave this thread to run: the task itself, or that in whose thread it runs, as a child. It
        holds the slot.
    outer : CurrentTask or None
        The task inside whose wait this one runs.
    inline : bool
        Whether the thread may run children of this task itself.
    on_loop : bool
        It is a coroutine among others: its thread must not wait, and runs no children.
    over : bool
        It was a coroutine, and has ended; what it has left behind in the loop runs no task.
    awaits
        What the coroutines of a loop that the task itself runs await; None: nothing. See `nested`.
    """

    __slots__ = ("awaits", "host", "inline", "job", "on_loop", "outer", "over", "root", "thread")

    def __init__(self, job: Job, host: Host, thread: Any, root: Job, outer: CurrentTask | None) -> None:
        self.job = job
        self.host = host
        self.thread = thread
        self.root = root
        self.outer = outer
        self.inline = True
        self.on_loop = job.on_loop
        self.over = False
        self.awaits: Any = None

    def leave(self) -> None:
        """The coroutine has ended."""
        self.over = True

    def keys(self) -> tuple[str, ...]:
        """The keys of all tasks of this thread, of which the others wait for this one."""
        if self.outer is None:
            return (self.job.key,)
        return (self.job.key, *self.outer.keys())

    @property
    def seceded(self) -> bool:
        """Whether the slot is lent at the moment."""
        return self.root.seceded

    @property
    def id(self) -> int:
        """The scheduler's name for the task in this thread: the `parent` of what it submits."""
        return self.root.id

    @property
    def run(self) -> int:
        """Which attempt this is."""
        return self.job.attempt

    @property
    def key(self) -> str:
        """The key of its future."""
        return self.job.key

    @property
    def priority(self) -> int:
        """Higher first."""
        return self.job.priority

    @property
    def order(self) -> int:
        """Lower first; children inherit it."""
        return self.job.order


class Place:
    """A thread that runs what users wrote.

    Attributes
    ----------
    host : Host
        On whose behalf.
    task : CurrentTask or None
        What it runs at the moment. Written by the executor.
    shared : bool
        Coroutines take turns here: what it runs is found in their contexts.
    """

    __slots__ = ("host", "shared", "task")

    def __init__(self, worker: Host, shared: bool = False) -> None:
        self.host = worker
        self.task: CurrentTask | None = None
        self.shared = shared


_of_context: ContextVar[CurrentTask | None] = ContextVar("fastsched.task", default=None)


def current() -> CurrentTask | None:
    """The task that the calling thread runs, None outside a task."""
    place: Place | None = here()
    if place is None:
        return None
    if not place.shared:
        return place.task
    task = _of_context.get()
    return None if task is None or task.over else task


def enter_context(task: CurrentTask) -> None:
    """What runs in the calling context, and in copies of it, belongs to this task; it runs in a shared thread."""
    _of_context.set(task)


def is_on_loop() -> bool:
    """Whether coroutine tasks take turns in the calling thread: it must not wait."""
    place: Place | None = here()
    return place is not None and place.shared


def host() -> Host | None:
    """The worker on whose behalf the calling thread runs: in a task, and in a function of `Client.run`."""
    place = here()
    return None if place is None else place.host


def take_place(worker: Host, shared: bool = False) -> Place:
    """Say on whose behalf the calling thread runs until `leave_place`. For threads of tasks, and for `Client.run`."""
    place = Place(worker, shared)
    stay(place)
    return place


def leave_place() -> None:
    """The calling thread ends."""
    stay(None)
