"""What tasks and users of a simulated cluster can say.

One concern: the vocabulary of programs. A program is a generator that yields operations and is sent their answers; it
ends by returning a `Value` or by raising. The same generator is driven by `oracle` (at once, in plain Python) and by
`threads` (in virtual time, on the cluster), so it must not look at the clock, at chance or at anything but its
arguments.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, NamedTuple, TypeAlias

from fastsched.wire.messages import ErrorKind, Frames, Verb

__all__ = [
    "Ask",
    "Boom",
    "Call",
    "Cancel",
    "Close",
    "Die",
    "Ended",
    "Failed",
    "Gather",
    "Glance",
    "Handle",
    "Keep",
    "Lock",
    "Open",
    "Outcomes",
    "Put",
    "Rejoin",
    "Release",
    "Secede",
    "Sleep",
    "Stumble",
    "Submit",
    "Unlock",
    "Value",
    "mix",
]

Handle: TypeAlias = Any
"""A future, as the world that drives the program makes them. Programs hand them on and look into none."""


class Value(NamedTuple):
    """What a task returns: a number, as many bytes of ballast, and futures."""

    n: int
    size: int = 0
    handles: tuple[Handle, ...] = ()


class Call(NamedTuple):
    """A task to be submitted."""

    program: str  # "name" or "name#variant": variants are the same program and different functions
    args: tuple[int | str, ...] = ()
    inputs: tuple[Handle, ...] = ()  # arrive as values
    pins: tuple[Handle, ...] = ()  # arrive as futures
    pure: bool = True
    priority: int = 0
    retries: int = 0
    local: bool = True  # whether it may stay with the worker of its parent
    names: tuple[Handle, ...] = ()  # only their keys travel; they arrive as futures, behind the pins


class Boom(Exception):
    """A task's own exception."""


class Failed(Exception):
    """What a program that waits gets to see of a future without a value: where the trouble began."""

    def __init__(self, kind: ErrorKind, key: str, text: str) -> None:
        super().__init__(f"{kind.name} of {key}: {text}")
        self.kind = kind
        self.key = key
        self.text = text


# -- operations: what is sent back stands behind the arrow -------------------------------------------------------------


class Sleep(NamedTuple):
    """Compute for so many seconds -> None."""

    seconds: float


class Submit(NamedTuple):
    """-> Handle."""

    call: Call


class Gather(NamedTuple):
    """Wait for values -> list of Value; raises `Failed` as soon as one of them has none."""

    handles: tuple[Handle, ...]


class Outcomes(NamedTuple):
    """Wait for ends of any kind -> list of Value or Failed."""

    handles: tuple[Handle, ...]


class Ended(NamedTuple):
    """Wait until one of these has ended, as `as_completed` does -> tuple of those that have not.

    The oracle says that all have: nothing but the number of further waits may depend on it.
    """

    handles: tuple[Handle, ...]


class Glance(NamedTuple):
    """Wait for ends of any kind, but not for longer than so many seconds -> None."""

    handles: tuple[Handle, ...]
    seconds: float


class Put(NamedTuple):
    """Scatter values -> list of Handle."""

    values: tuple[Value, ...]
    workers: tuple[str, ...] = ()
    broadcast: bool = False


class Release(NamedTuple):
    """Hold these no longer -> None."""

    handles: tuple[Handle, ...]


class Cancel(NamedTuple):
    """Cancel these -> None."""

    handles: tuple[Handle, ...]


class Keep(NamedTuple):
    """Fire and forget -> None."""

    handles: tuple[Handle, ...]


class Open(NamedTuple):
    """Enter a `worker_client` block -> None."""

    inline: bool = True


class Close(NamedTuple):
    """Leave it -> None. (Whoever ends leaves it, too.)"""


class Secede(NamedTuple):
    """Lend the slot -> None."""


class Rejoin(NamedTuple):
    """Wait for a slot -> None."""


class Lock(NamedTuple):
    """Take a lock of the worker's process, waiting in the slot -> None. A task that ends gives its locks back."""

    number: int


class Unlock(NamedTuple):
    """Give it back -> None."""

    number: int


class Stumble(NamedTuple):
    """Raise `Boom` the first `times` times that this task comes here, over all its attempts -> None."""

    times: int


class Ask(NamedTuple):
    """A question to the scheduler -> (ok, value)."""

    verb: Verb
    args: tuple[Any, ...] = ()
    frames: Frames | None = None


class Die(NamedTuple):
    """The process that runs this is killed; nothing is sent back."""


def mix(*numbers: int) -> int:
    """One number that depends on all of them and on their order, below 2**31."""
    return int.from_bytes(blake2b(repr(numbers).encode(), digest_size=4).digest(), "little") >> 1
