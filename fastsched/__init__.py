"""fastsched: a task scheduler for Python programs whose tasks are small and launch other tasks.

The public names are those of dask.distributed, so that a program moves by changing an import::

    from fastsched import Client, worker_client

They are loaded at their first use: ``import fastsched`` alone costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsched import _late
from fastsched._version import __version__

if TYPE_CHECKING:
    from fastsched.client.client import Client
    from fastsched.client.future import Future
    from fastsched.client.waiting import ALL_COMPLETED, FIRST_COMPLETED, as_completed, fire_and_forget, wait
    from fastsched.config import Config
    from fastsched.errors import (
        AddressError,
        CancelledError,
        ClosedError,
        ConnectError,
        CyclicWait,
        DataLost,
        FastschedError,
        FutureCancelledError,
        HandshakeError,
        KilledWorker,
        NotInTaskError,
        NoWorkers,
        ProtocolError,
        RemoteError,
        SchedulerLost,
        SerializationError,
        TaskFailure,
        TimeoutError,
        WorkerLost,
    )
    from fastsched.local import LocalCluster
    from fastsched.nested import Worker, get_client, get_worker, rejoin, secede, worker_client

__all__ = [
    "ALL_COMPLETED",
    "FIRST_COMPLETED",
    "AddressError",
    "CancelledError",
    "Client",
    "ClosedError",
    "Config",
    "ConnectError",
    "CyclicWait",
    "DataLost",
    "FastschedError",
    "Future",
    "FutureCancelledError",
    "HandshakeError",
    "KilledWorker",
    "LocalCluster",
    "NoWorkers",
    "NotInTaskError",
    "ProtocolError",
    "RemoteError",
    "SchedulerLost",
    "SerializationError",
    "TaskFailure",
    "TimeoutError",
    "Worker",
    "WorkerLost",
    "__version__",
    "as_completed",
    "fire_and_forget",
    "get_client",
    "get_worker",
    "rejoin",
    "secede",
    "wait",
    "worker_client",
]


def __getattr__(name: str) -> Any:
    try:
        value = _late.public_name(name)
    except KeyError:
        raise AttributeError(f"module 'fastsched' has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
