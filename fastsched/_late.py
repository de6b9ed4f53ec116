"""The one place for late imports.

Why there are any: `import fastsched` and the first line of `Client()` should not wait for asyncio and uvloop; the
fork helper is started before them, so that it imports its share on another core meanwhile. And the face (`client`) may
not import what stands beside it (`local`), which imports the face. Each function here imports one thing at its first
call and returns it; it may see all roles.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import weakref
from collections.abc import Callable, Coroutine
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsched.client.client import Client
    from fastsched.client.remote import RemoteLink
    from fastsched.config import Config
    from fastsched.embedded import Embedding
    from fastsched.local import LocalCluster
    from fastsched.net.access import AccessFile
    from fastsched.net.again import Found
    from fastsched.wire.enums import Role

__all__ = [
    "ast",
    "asyncio",
    "close_at_exit",
    "cloudpickle",
    "difflib",
    "embedding",
    "ipaddress",
    "local_cluster",
    "locate",
    "look_again",
    "public_name",
    "remote_link",
]

_HOMES = {
    "fastsched.client.client": ("Client",),
    "fastsched.client.future": ("Future",),
    "fastsched.client.waiting": ("ALL_COMPLETED", "FIRST_COMPLETED", "as_completed", "fire_and_forget", "wait"),
    "fastsched.config": ("Config",),
    "fastsched.errors": (
        "AddressError", "CancelledError", "ClosedError", "ConnectError", "CyclicWait", "DataLost", "FastschedError",
        "FutureCancelledError", "HandshakeError", "KilledWorker", "NotInTaskError", "NoWorkers", "ProtocolError",
        "RemoteError", "SchedulerLost", "SerializationError", "TaskFailure", "TimeoutError", "WorkerLost",
    ),
    "fastsched.local": ("LocalCluster",),
    "fastsched.nested": ("Worker", "get_client", "get_worker", "rejoin", "secede", "worker_client"),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def public_name(name: str) -> Any:
    """What the package calls `name`, from the module in which it lives; KeyError if it is no public name."""
    return getattr(importlib.import_module(_HOME[name]), name)


def local_cluster() -> type[LocalCluster]:
    """`fastsched.local.LocalCluster`."""
    from fastsched.local import LocalCluster

    return LocalCluster


def cloudpickle() -> ModuleType:
    """`cloudpickle`: needed for what plain pickle cannot send."""
    return importlib.import_module("cloudpickle")


def difflib() -> ModuleType:
    """`difflib`: somebody has mistyped an argument."""
    return importlib.import_module("difflib")


def ipaddress() -> ModuleType:
    """`ipaddress`: somebody listens at an address of TCP."""
    return importlib.import_module("ipaddress")


def embedding() -> type[Embedding]:
    """`fastsched.embedded.Embedding`: the scheduler's server and the I/O thread."""
    from fastsched.embedded import Embedding

    return Embedding


def ast() -> ModuleType:
    """`ast`: a task has raised."""
    return importlib.import_module("ast")


def asyncio() -> ModuleType:
    """`asyncio`: somebody awaits a future, so it is loaded already."""
    return importlib.import_module("asyncio")


def locate() -> Callable[[str | os.PathLike[str]], AccessFile]:
    """`fastsched.net.access.locate`."""
    from fastsched.net.access import locate

    return locate


def look_again() -> Callable[[str, Role, bytes, Config], Coroutine[Any, Any, Found]]:
    """`fastsched.net.again.look_again`: the scheduler of a worker has gone."""
    from fastsched.net.again import look_again

    return look_again


def remote_link() -> Callable[[str, Config, float | None, str, bool], RemoteLink]:
    """`fastsched.client.remote.remote_link`."""
    from fastsched.client.remote import remote_link

    return remote_link


_open: weakref.WeakSet[Any] = weakref.WeakSet()


def close_at_exit(closeable: Client | LocalCluster) -> None:
    """Close this when the interpreter ends, if it still lives: nothing that we started outlives the program."""
    if not _open:
        atexit.register(_close_all)
    _open.add(closeable)


def _close_all() -> None:
    with contextlib.ExitStack() as stack:  # one that raises does not keep the others from closing
        for closeable in list(_open):
            stack.callback(closeable.close)
