"""Every default of fastsched, with its unit and its reason.

Imports nothing of fastsched. A `Config` is built once where a server or client is made and handed down; nothing reads
the environment later. Each field can be set by an environment variable: ``FASTSCHED_`` + the field's name in capitals
(``FASTSCHED_INLINE_BYTES=1024``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NoReturn, dataclass_transform

__all__ = ["Config"]

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@dataclass_transform(frozen_default=True)
class _Numbers:
    """A record of numbers that never changes: as much of `dataclasses.dataclass` as `Config` needs.

    To import `dataclasses`, and to let it write a class with so many fields, takes 8 ms at the start of each process. A
    field is an annotated attribute of the class, which is its default; type checkers are told that it is a dataclass.
    """

    def __init__(self, **values: float) -> None:
        for name in self.__annotations__:
            default = getattr(type(self), name)
            self.__dict__[name] = _checked(name, values.pop(name), default) if name in values else default
        if values:
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(values))}")

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"{name!r} of a {type(self).__name__} never changes")

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if isinstance(other, type(self)) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self.__dict__.items())})"


def _checked(name: str, value: object, default: float) -> float:
    """The value if it is a number of the default's kind and not negative; as that kind exactly, not a subclass."""
    kinds = (int,) if isinstance(default, int) else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise TypeError(f"{name} must be a number such as {default}, not {value!r}")
    if not value >= 0:
        raise ValueError(f"{name} must not be negative: {value}")
    return int(value) if isinstance(value, int) else float(value)


class Config(_Numbers):
    """All limits and policies.

    Raises
    ------
    TypeError, ValueError
        If a field, or an environment variable, does not hold a number of its kind, or a negative one.
    """

    # -- wire: what a peer may make us hold -------------------------------------------------------------------------
    frame_bytes: int = 64 * MIB  # one frame on a stream; larger buffers travel in chunks of this size at most
    control_bytes: int = 256 * MIB  # a message without its buffers: 10,000 tasks with 16 KiB each fit
    message_bytes: int = 16 * GIB  # all buffers of one message; memory grows only as bytes arrive
    message_buffers: int = 65_536  # out-of-band buffers of one message
    array_items: int = 1 << 20  # items of one msgpack array
    map_items: int = 1 << 16  # items of one msgpack map
    depth: int = 32  # nesting of msgpack arrays and maps
    attach_bytes: int = 16 * KIB  # buffers from this size on travel beside the control frame, uncopied
    batch_items: int = 500  # tasks or reports in one message; others have their turn between two
    functions: int = 10_000  # interned functions per connection; the oldest go first

    # -- handshake and connections ------------------------------------------------------------------------------------
    handshake_seconds: float = 2.0  # who has not proved by then to know the key is put out
    half_open: int = 64  # peers in the handshake at once; more wait in the kernel's queue
    connect_seconds: float = 10.0  # dask's comm timeout is 30 s; ours is for loopback and racks
    high_water_bytes: int = 64 * MIB  # a peer with more unsent bytes than this is not read from
    low_water_bytes: int = 16 * MIB  # and is read from again below this

    # -- values -------------------------------------------------------------------------------------------------------
    inline_bytes: int = 64 * KIB  # results up to this size travel inside messages
    inline_budget: int = 64 * MIB  # of them, unreleased, per client
    retain_budget: int = 256 * MIB  # small results that the scheduler keeps beside the worker's copy

    # -- scheduling ---------------------------------------------------------------------------------------------------
    allowed_failures: int = 3  # workers that may die under a task before it is WorkerLost (dask: allowed-failures)
    prefill_seconds: float = 0.005  # work that is sent ahead of a worker's free slots, by measured run time
    prefill_unknown: int = 1  # tasks sent ahead per slot while a function's run time is unknown
    prefill_most: int = 64  # tasks sent ahead per slot at the most
    locality_bytes: int = 1 * MIB  # inputs from this size on decide where a task runs

    local_tasks: int = 1  # whether short tasks that a task launches stay with its worker; 0: all travel

    # -- workers ------------------------------------------------------------------------------------------------------
    coroutines: int = 1000  # coroutine tasks of a worker that wait without a slot; those that come then keep theirs
    switch_interval: float = 0.0002  # seconds; the worker's I/O thread must get the GIL soon
    start_seconds: float = 30.0  # a worker process that has not registered by then counts as dead at start
    start_failures: int = 3  # worker processes that die at start, in a row, before supervision gives up
    idle_failures: int = 10  # and of those that die with nothing to do, one after the other in the same place
    restart_seconds: float = 0.1  # before the replacement of the second of them in a row; doubled for each further one
    memory_pause: float = 0.8  # of a worker's memory limit: while it executes something and uses more, it gets no tasks
    pulse_seconds: float = 1.0  # a worker that holds anything of the cluster is heard at least so often
    silence_seconds: float = 3.0  # after so long without a pulse a worker's work moves (at least 2 pulses; 0: never)
    worker_ttl: float = 300.0  # and after so long it is lost (dask: worker-ttl; 0: only with its process or connection)
    lost_seconds: float = 1.0  # how long an ended connection waits for the supervisor to say how the process died
    retire_seconds: float = 30.0  # a worker that retires waits so long for its tasks, then others run them again
    reconnect_seconds: float = 60.0  # so long workers of fastsched-worker, and clients, look for another scheduler
    gather_seconds: float = 2.0  # a scheduler that takes the place of one that died waits so long for its peers
    close_seconds: float = 2.0  # from asking a worker to stop to killing it

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, **overrides: float) -> Config:
        """The defaults, overridden by ``FASTSCHED_*`` variables, overridden by keyword arguments."""
        values: dict[str, float] = {}
        for name in cls.__annotations__:
            text = environ.get("FASTSCHED_" + name.upper())
            if text is not None:
                try:
                    values[name] = type(getattr(cls, name))(text)
                except ValueError:
                    raise ValueError(f"FASTSCHED_{name.upper()} must be a number, not {text!r}") from None
        return cls(**values | overrides)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, float]:
        """All fields, for a process that is to have the same configuration: ``Config(**config.as_dict())``."""
        return dict(self.__dict__)
