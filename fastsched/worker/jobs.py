"""What the worker's machine knows of each row of its core, and what it asks its shell to do.

One concern: the shapes of records and actions; no behaviour beyond that. Written by `machine` under the worker's
lock; the executor reads a `Job` while it runs it. Imports only messages and the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from math import inf
from typing import Any, NamedTuple, TypeAlias

from fastsched.wire.messages import ErrorItem, Frames, Message, RunItem, TaskItem
from fastsched.worker.store import Value

__all__ = [
    "Action",
    "Brood",
    "Child",
    "ChildStage",
    "Entry",
    "Fetch",
    "Function",
    "Input",
    "Job",
    "Resume",
    "Send",
    "Start",
    "call_of",
]

COARSE_MICROS = 2000.0
"""A function whose calls take longer on average travels: to send it costs some percent of what it does."""

FINE_MICROS = 500.0
"""It stays again once they take less."""

NEVER_RUN = inf
MOST_MICROS = 2 * COARSE_MICROS
"""A longer call counts as this long: one cold call of a fine function is forgotten after a dozen others."""


class Function:
    """A function as it came over the wire, and what was learnt of it.

    Attributes
    ----------
    call
        The unpickled function; None until its first call.
    micros : float
        Its run time in microseconds, without what it waits for children: a moving average over about eight calls, of
        which each counts as `MOST_MICROS` at the most; infinite until it has run.
    coarse : bool
        Whether it takes so long that others shall run it if they have the time.
    """

    __slots__ = ("call", "coarse", "fn", "frames", "micros")

    def __init__(self, fn: bytes, frames: Frames) -> None:
        self.fn = fn
        self.frames = frames
        self.call: Any = None
        self.micros = NEVER_RUN
        self.coarse = False

    def note(self, micros: float) -> None:
        """It ran this long. Threads may note at the same time: one of the two may be lost."""
        known = self.micros
        micros = min(micros, MOST_MICROS)
        self.micros = micros if known == NEVER_RUN else known + (micros - known) / 8
        if self.coarse:
            self.coarse = self.micros >= FINE_MICROS
        else:
            self.coarse = self.micros > COARSE_MICROS


SMALL_CALL = 1024
"""Calls with arguments of more bytes are not compared."""


def call_of(fn: bytes, args: Sequence[Any]) -> int:
    """The same number for the same function and the same small arguments; 0 if they are not small."""
    size = 0
    for frame in args:
        if type(frame) is not bytes:
            return 0
        size += len(frame)
    return hash((fn, *args)) if size <= SMALL_CALL else 0


class Entry:
    """One row of the worker's core.

    Attributes
    ----------
    row : int
        In the worker's core.
    id : int
        The scheduler's name for the task or the value.
    key : str
        The users' name for it.
    held : bool
        Whether the core holds a reference in the scheduler's name.
    """

    __slots__ = ("held", "id", "key", "row")

    def __init__(self, id: int, key: str, row: int, held: bool) -> None:
        self.id = id
        self.key = key
        self.row = row
        self.held = held


class Job(Entry):
    """A task that the scheduler sent.

    Attributes
    ----------
    run : int
        What the core gave it at its start.
    attempt : int
        The scheduler's name for it (`RunItem.run`).
    inputs : sequence of int
        Rows of the inputs, in the order of the task's dependencies.
    values : sequence of Value
        Their values; there once the job has started.
    wanted : bool
        Whether the scheduler wants to hear the outcome: not once it dropped this attempt, or sent a newer one.
    seceded : bool
        Its slot is lent.
    started : bool
        A thread runs it, or is about to.
    dropped : bool
        Nobody wants what it does any more: its thread hears of that at the next call of ours. See `drops`.
    on_loop : bool
        It is a coroutine, and runs in the loop for those.
    call : int
        Once it has ended, what it called (see `call_of`). 0: a call with inputs, or with large arguments.
    """

    __slots__ = (
        "args",
        "attempt",
        "call",
        "dropped",
        "function",
        "inputs",
        "on_loop",
        "order",
        "priority",
        "run",
        "seceded",
        "started",
        "values",
        "wanted",
    )

    def __init__(self, item: RunItem, function: Function, inputs: Sequence[int]) -> None:
        self.id, self.attempt, self.key, _, self.args, _, self.priority, self.order = item
        self.row = 0
        self.held = True
        self.function = function
        self.inputs: Sequence[int] = inputs
        self.values: Sequence[Value] = ()
        self.run = 0
        self.wanted = True
        self.seceded = False
        self.started = False
        self.dropped = False
        self.on_loop = False
        self.call = 0

    def lends(self) -> int:
        """What it adds to the number of lent slots while it runs.

        The scheduler counts a slot for each attempt that it wants, and none for one that it dropped: 1 for a wanted job
        that seceded, -1 for a dropped one whose thread still holds a slot.
        """
        return self.seceded - (not self.wanted)

    def release(self) -> None:
        """It has ended: its result may live long, what it was made from shall not."""
        if not self.inputs:
            self.call = call_of(self.function.fn, self.args)
        self.args = ()
        self.inputs = self.values = ()

    def __repr__(self) -> str:
        return f"Job({self.key!r}, id={self.id:#x}, attempt={self.attempt})"


class Input(Entry):
    """A value that came from elsewhere: inline, by a fetch, or put here by the scheduler."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Input({self.key!r}, id={self.id:#x})"


class ChildStage(IntEnum):
    """How far a child has come; see `nest`."""

    WAITING = 1  # for inputs that are here, or will be
    READY = 2  # in the brood of its parent's thread
    RUNNING = 3  # claimed by a thread
    DONE = 4  # its value is here
    FAILED = 5  # its error is
    AWAY = 6  # handed over, or known by name only: the scheduler will say what became of it
    GONE = 7  # nobody wants it; it may still be named as what another one was made from


class Brood:
    """What the tasks of one thread have launched and what has not begun, the oldest first.

    Attributes
    ----------
    ready : dict of Child
        In the order in which they became ready; the values mean nothing.
    progress : int
        Grows with each child that begins or ends in this thread.
    seen : int
        `progress` as the backstop has last seen it.
    over : bool
        Nobody wants what its thread runs: these have ended, and there will be no more.
    claimed : list of Job
        What was started without a slot because the thread was stuck, and may run still.
    """

    __slots__ = ("claimed", "over", "progress", "ready", "seen")

    def __init__(self) -> None:
        self.claimed: list[Job] = []
        self.ready: dict[Child, None] = {}
        self.progress = 0
        self.seen = 0
        self.over = False


class Child(Job):
    """A task that tasks of this worker have launched, or whose future one of them holds.

    Parameters
    ----------
    key : str
        Its name.

    Attributes
    ----------
    stage : int
        A `ChildStage`; 0 until it is decided.
    fids : list of int
        The futures of the client inside this worker that stand for it.
    public : int
        The fid under which the scheduler knows it, 0 if it does not.
    item : TaskItem or None
        How to compute it; None if only its name is known here.
    lineage : tuple of Child
        Its inputs, in the order of its dependencies.
    pinned : tuple of Child
        Futures elsewhere in its arguments: they must live until it has ended.
    dependents : list of Child
        Those that wait for it here.
    unmet : int
        Inputs that are not here yet.
    ended : bool
        It needs its inputs no longer.
    needs : int
        Why its value must stay although it may have no fid: dependents and pins that have not ended, values that hold
        its future.
    holds : tuple of Child
        Futures inside its value.
    roots : tuple of Child
        What its value was made from, directly or not, of which only the scheduler knows how to make it. They stay as
        long as it is here, so that it can be published.
    value, error
        The outcome, if it is here.
    nbytes : int
        Of a value that is elsewhere; -1: there is none yet.
    brood : Brood or None
        Where it waits to begin.
    foreign : bool
        A future of it was made elsewhere, too: in another thread, or by its name.
    origin : list or None
        Its key, and a list of the origins of its inputs: what it waits for, once it was handed over. Plain: nothing
        but the names is needed any more.
    asked : list of (int, int)
        Orders of the scheduler that this run answers: task id and attempt.
    """

    __slots__ = (
        "asked",
        "brood",
        "dependents",
        "ended",
        "error",
        "fids",
        "foreign",
        "holds",
        "item",
        "lineage",
        "nbytes",
        "needs",
        "origin",
        "pinned",
        "public",
        "retries",
        "roots",
        "stage",
        "type_name",
        "unmet",
        "value",
    )

    def __init__(self, key: str) -> None:  # not that of `Job`, which reads an order; what stands nowhere else is zero
        self.id = self.row = self.run = self.call = 0
        self.attempt = 1
        self.on_loop = self.started = self.seceded = False
        self.held = self.wanted = False  # by an order of the scheduler
        self.key = key
        self.args = ()
        self.priority = self.order = 0
        self.values: Sequence[Value] = ()
        self.inputs: Sequence[int] = ()
        self.stage = 0
        self.fids: list[int] = []
        self.public = 0
        self.item: TaskItem | None = None
        self.lineage: tuple[Child, ...] = ()
        self.pinned: tuple[Child, ...] = ()
        self.dependents: list[Child] = []
        self.unmet = self.needs = self.retries = 0
        self.ended = self.foreign = self.dropped = False
        self.holds: tuple[Child, ...] = ()
        self.roots: tuple[Child, ...] = ()
        self.value: Value | None = None
        self.error: ErrorItem | None = None
        self.type_name = ""
        self.nbytes = -1
        self.brood: Brood | None = None
        self.origin: list[Any] | None = None
        self.asked: list[tuple[int, int]] = []

    def __repr__(self) -> str:
        return f"Child({self.key!r}, stage={self.stage}, fids={self.fids}, public={self.public})"


class Send(NamedTuple):
    """Send this message to this peer."""

    peer: int
    message: Message


class Start(NamedTuple):
    """Run this job in a thread: a slot is taken for it."""

    job: Job


class Resume(NamedTuple):
    """The thread of this job waits in `rejoin`: it has its slot back."""

    job: Job


class Fetch(NamedTuple):
    """Ask the worker at this address for these values; answered by `WorkerMachine.fetched`."""

    address: str
    ids: tuple[int, ...]


Action: TypeAlias = Send | Start | Resume | Fetch
