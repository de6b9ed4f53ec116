"""The numbers on the wire that name something: roles, kinds of error, verbs of calls, stages of local tasks.

One concern: these enums. A message holds them as plain ints. Everybody gets them from `messages`, which says where they
stand; imports nothing of fastsched.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ErrorKind", "Role", "Stage", "Verb"]


class Role(IntEnum):
    """What a peer proved to be in the handshake."""

    CLIENT = 1
    WORKER = 2
    SCHEDULER = 3


class ErrorKind(IntEnum):
    """How a task ended without a value: its own exception, or one of the closed set of the contract."""

    TASK = 1  # frames hold the task's own exception
    SERIALIZATION = 2
    WORKER_LOST = 3
    NO_WORKERS = 4
    DATA_LOST = 5
    CYCLIC_WAIT = 6
    CANCELLED = 7
    SCHEDULER_LOST = 8


class Verb(IntEnum):
    """What a `Call` asks the scheduler for."""

    INFO = 1  # -> the identity of the scheduler and of all workers (a map)
    NTHREADS = 2  # -> {worker name: threads}
    RUN = 3  # frames hold a pickled (function, args, kwargs); -> {worker name: (ok, frames)}
    WAIT_FOR_WORKERS = 4  # args (n,); answered when n workers are there
    SHUTDOWN = 5  # stop scheduler and workers
    RETIRE = 6  # args: names of workers, or how many; answered when they have left -> what INFO had said of each


class Stage(IntEnum):
    """How far a local task had come when its worker published it."""

    LINEAGE = 1  # its value is gone, and nobody wants it: how it would be computed again
    RUNNING = 2
    FINISHED = 3
    FAILED = 4
