"""What the worker's machine knows of each row of its core, and what it asks its shell to do.

One concern: the shapes of records and actions; no behaviour beyond that. Written by `machine` under the worker's
lock; the executor reads a `Job` while it runs it. Imports only messages and the store.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, NamedTuple, TypeAlias

from fastsched.wire.messages import Frames, Message, RunItem
from fastsched.worker.store import Value

__all__ = ["Action", "Entry", "Fetch", "Function", "Input", "Job", "Resume", "Send", "Start"]


class Function:
    """A function as it came over the wire, and what was learnt of it.

    Attributes
    ----------
    call
        The unpickled function; None until its first call.
    micros : float
        Its run time in microseconds, a moving average over about eight calls; infinite until it has run.
    """

    __slots__ = ("call", "fn", "frames", "micros")

    def __init__(self, fn: bytes, frames: Frames) -> None:
        self.fn = fn
        self.frames = frames
        self.call: Any = None
        self.micros = inf

    def note(self, micros: float) -> None:
        """It ran this long. Threads may note at the same time: one of the two may be lost."""
        known = self.micros
        self.micros = micros if known == inf else known + (micros - known) / 8


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
    """

    __slots__ = (
        "args",
        "attempt",
        "function",
        "inputs",
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

    def lends(self) -> int:
        """What it adds to the number of lent slots while it runs.

        The scheduler counts a slot for each attempt that it wants, and none for one that it dropped: 1 for a wanted job
        that seceded, -1 for a dropped one whose thread still holds a slot.
        """
        return self.seceded - (not self.wanted)

    def release(self) -> None:
        """It has ended: its result may live long, what it was made from shall not."""
        self.args = ()
        self.inputs = self.values = ()

    def __repr__(self) -> str:
        return f"Job({self.key!r}, id={self.id:#x}, attempt={self.attempt})"


class Input(Entry):
    """A value that came from elsewhere: inline, by a fetch, or put here by the scheduler."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Input({self.key!r}, id={self.id:#x})"


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
    """Ask the worker at this address for these values; answered by `WorkerMachine.fetched` or `fetch_failed`."""

    address: str
    ids: tuple[int, ...]


Action: TypeAlias = Send | Start | Resume | Fetch
