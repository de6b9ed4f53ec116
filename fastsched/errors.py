"""The exception tree.

::

    FastschedError
    ├── TaskFailure                    ways in which a future ends without its task's own exception
    │   ├── WorkerLost                 (alias KilledWorker) workers died under the task too often
    │   ├── NoWorkers                  no worker is left and none will come
    │   ├── SchedulerLost              the scheduler is gone
    │   ├── DataLost                   scattered data that nobody holds any more
    │   ├── CyclicWait                 a task waits for itself through others
    │   └── RemoteError                the task's exception could not be brought here; its text is in the message
    ├── CancelledError                 (alias FutureCancelledError) also a concurrent.futures.CancelledError
    ├── SerializationError             also a TypeError: something cannot be pickled or unpickled
    ├── ClosedError                    the client (or cluster) is closed
    ├── ProtocolError                  a peer broke the rules of the wire
    │   └── HandshakeError             wrong key, wrong version, not a fastsched peer
    ├── ConnectError                   also an OSError: nobody answers at this address
    ├── AddressError                   also a ValueError: this is not an address, or no usable access file
    └── NotInTaskError                 also a ValueError: worker_client() and friends outside a task

Imports nothing of fastsched. Raised everywhere.
"""

from __future__ import annotations

import builtins
import concurrent.futures

__all__ = [
    "AddressError",
    "CancelledError",
    "ClosedError",
    "ConnectError",
    "CyclicWait",
    "DataLost",
    "FastschedError",
    "FutureCancelledError",
    "HandshakeError",
    "KilledWorker",
    "NoWorkers",
    "NotInTaskError",
    "ProtocolError",
    "RemoteError",
    "SchedulerLost",
    "SerializationError",
    "TaskFailure",
    "TimeoutError",
    "WorkerLost",
]

TimeoutError = builtins.TimeoutError  # under the name that dask.distributed exports


class FastschedError(Exception):
    """Base of everything that fastsched raises on its own behalf."""


class TaskFailure(FastschedError):  # noqa: N818  a way to end, not an error of ours
    """A future ended, and neither by a value nor by its task's own exception."""


class WorkerLost(TaskFailure):
    """The workers that executed this task died more often than ``allowed_failures``."""


class NoWorkers(TaskFailure):
    """No worker is left, and supervision gave up starting new ones."""


class SchedulerLost(TaskFailure):
    """The connection to the scheduler ended before the future did."""


class DataLost(TaskFailure):
    """Scattered data whose last holder died; there is no lineage to compute it again."""


class CyclicWait(TaskFailure):
    """A task waits for its own result, perhaps through others. Raised by its wait; the message names them all."""


class RemoteError(TaskFailure):
    """The task's exception cannot be pickled or unpickled; the message holds its type, text and traceback."""


class CancelledError(FastschedError, concurrent.futures.CancelledError):
    """The future was cancelled, or something that it depends on was."""


class SerializationError(FastschedError, TypeError):
    """A function, argument or result cannot be pickled or unpickled; the message names it."""


class ClosedError(FastschedError, RuntimeError):
    """The client or cluster that this call needs is closed."""


class ProtocolError(FastschedError):
    """A peer sent bytes that break the rules of the wire."""


class HandshakeError(ProtocolError, ConnectionError):
    """A peer could not prove that it knows the key, speaks another version, or is no fastsched peer."""


class ConnectError(FastschedError, ConnectionError):
    """Nobody answers at this address, or the port is taken."""


class AddressError(FastschedError, ValueError):
    """This is not an address, or the access file is missing, unreadable or stale."""


class NotInTaskError(FastschedError, ValueError):
    """The call makes sense only inside a running task."""


KilledWorker = WorkerLost
FutureCancelledError = CancelledError
