"""The one place for late imports.

Why there are any: `import fastsched` and the first line of `Client()` should not wait for asyncio, uvloop and msgpack; the fork helper is started
before them, so that it imports its share on another core meanwhile. And the face (`client`) may not import what stands beside it
(`local`), which imports the face. Each function here imports one thing at its first call and returns it; it may see all roles.
"""

from __future__ import annotations

import atexit
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastsched.client.client import Client
    from fastsched.client.remote import remote_link as RemoteLink
    from fastsched.local import LocalCluster

__all__ = ["close_at_exit", "local_cluster", "remote_link"]


def local_cluster() -> type[LocalCluster]:
    """`fastsched.local.LocalCluster`."""
    from fastsched.local import LocalCluster

    return LocalCluster


def remote_link() -> Any:
    """`fastsched.client.remote.remote_link`."""
    from fastsched.client.remote import remote_link

    return remote_link


_open: weakref.WeakSet[Any] = weakref.WeakSet()


def close_at_exit(closeable: Client | LocalCluster) -> None:
    """Close this when the interpreter ends, if it still lives: nothing that we started outlives the program, and nothing is printed."""
    if not _open:
        atexit.register(_close_all)
    _open.add(closeable)


def _close_all() -> None:
    for closeable in list(_open):
        closeable.close()
