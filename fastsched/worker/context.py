"""Which task is this thread running?

One concern: a thread-local answer to that question, set by the executor around each task and read by `nested`
(worker_client, get_client, get_worker, secede, rejoin). May import config, messages and jobs; knows the worker as a
protocol (`Host`), never as a class.
"""

from __future__ import annotations

import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fastsched._wait import TurnLock
from fastsched.config import Config
from fastsched.net._pump import Pump
from fastsched.wire.messages import Frames, Message
from fastsched.worker.jobs import Job

__all__ = ["ClientChannel", "CurrentTask", "Host", "current", "host", "set_current", "set_host"]


class ClientChannel(Protocol):
    """The worker's connection as the client inside the worker sees it: the face of a stream's end."""

    on_message: Callable[[Any, list[Message]], object]
    on_closed: Callable[[Any, Exception | None], object]
    on_turn: Callable[[], object]
    flush_client: Callable[[], object]
    """Set by the client: carries out what finalizers have left to it. Called in threads of tasks."""

    def send(self, message: Message) -> None:
        """Hand a client's message to the scheduler, under the worker's lock."""

    def send_all(self, messages: list[Message]) -> None:
        """Hand over several."""

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

    def secede(self, task: CurrentTask) -> None:
        """Lend the task's slot to others; the thread goes on."""

    def rejoin(self, task: CurrentTask) -> None:
        """Wait until the task holds a slot again."""

    def channel_for_client(self) -> ClientChannel:
        """The one channel for the client inside this worker."""

    def flush_client(self) -> None:
        """Have the client inside this worker carry out what finalizers have left to it."""

    def frames_of(self, id: int) -> Frames | None:
        """A value that this worker holds, or None. Safe from any thread."""

    def get_data(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """Ask other workers for a value, one after the other; in the loop's thread."""


class CurrentTask:
    """The task that a thread runs.

    Attributes
    ----------
    job
        The machine's record of it: `id`, `attempt` (the run), `key`, `priority`, `order`.
    host : Host
        The worker.
    thread
        The executor's thread; opaque to everybody else.
    seceded : bool
        Whether the slot is lent at the moment. Written by `Host.secede` and `Host.rejoin` only.
    client
        Whatever `nested` wants to remember for the length of this task; None at first.
    """

    __slots__ = ("client", "host", "job", "seceded", "thread")

    def __init__(self, job: Job, host: Host, thread: Any) -> None:
        self.job = job
        self.host = host
        self.thread = thread
        self.seceded = False
        self.client: Any = None

    @property
    def id(self) -> int:
        """The scheduler's name for the task: the `parent` of what it submits."""
        return self.job.id

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


class _Local(threading.local):
    """Class attributes are what a thread sees that has set nothing."""

    task: CurrentTask | None = None
    host: Host | None = None


_local = _Local()


def current() -> CurrentTask | None:
    """The task that the calling thread runs, None outside a task."""
    return _local.task


def host() -> Host | None:
    """The worker on whose behalf the calling thread runs: in a task, and in a function of `Client.run`."""
    return _local.host


def set_current(task: CurrentTask | None) -> None:
    """Say what the calling thread runs from now on. For the executor."""
    _local.task = task


def set_host(worker: Host | None) -> None:
    """Say on whose behalf the calling thread runs. For the executor and the side threads of `Client.run`."""
    _local.host = worker
