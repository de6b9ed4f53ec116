"""From the wire's account of a failure to the exception that the user sees.

One concern: `ErrorItem` -> exception. A task's own exception comes back as itself, with the traceback of the place
where it was raised and a note that names task, worker and attempt; everything else becomes one of the closed set of
the contract.
"""

from __future__ import annotations

from fastsched.errors import (
    CancelledError,
    CyclicWait,
    DataLost,
    FastschedError,
    NoWorkers,
    RemoteError,
    SchedulerLost,
    SerializationError,
    WorkerLost,
)
from fastsched.wire import payload
from fastsched.wire.messages import ErrorItem, ErrorKind

__all__ = ["exception_from"]

_CLOSED_SET: dict[int, type[FastschedError]] = {
    ErrorKind.TASK: RemoteError,
    ErrorKind.SERIALIZATION: SerializationError,
    ErrorKind.WORKER_LOST: WorkerLost,
    ErrorKind.NO_WORKERS: NoWorkers,
    ErrorKind.DATA_LOST: DataLost,
    ErrorKind.CYCLIC_WAIT: CyclicWait,
    ErrorKind.CANCELLED: CancelledError,
    ErrorKind.SCHEDULER_LOST: SchedulerLost,
}


def exception_from(error: ErrorItem, key: str) -> BaseException:
    """The exception of a future that ended without a value.

    Parameters
    ----------
    error : ErrorItem
        What the scheduler reported.
    key : str
        The key of the future that is asked for; the failure may have begun in another task, ``error.key``.
    """
    if error.frames is not None:
        exception = payload.loads_exception(error.frames, error.text)
    else:
        exception = _CLOSED_SET[error.kind](error.text)
    if error.worker:
        exception.add_note(f"raised in task {error.key!r} on worker {error.worker!r}, attempt {error.attempt}")
    if error.key and error.key != key:
        exception.add_note(f"the future {key!r} depends on task {error.key!r}")
    return exception
