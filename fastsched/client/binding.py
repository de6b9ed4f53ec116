"""To which client does a future belong that is unpickled here?

One concern: the answer to that question, for this thread and for this process. A value that is being unpickled may
contain futures; they attach themselves to the client that is loading the value (`bound_to`), or else to the process's
default: the newest open client of a program, the worker's own client inside a task (`set_resolver`, called by
`fastsched.nested`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fastsched.wire import payload

if TYPE_CHECKING:
    from fastsched.client.client import Client
    from fastsched.client.future import Future

__all__ = [
    "add_default",
    "asynchronous",
    "bound_to",
    "current_client",
    "default_client",
    "remove_default",
    "set_resolver",
]


class _Loading(threading.local):
    client: Client | None = None


_loading = _Loading()
_defaults: list[Client] = []
_resolver: list[Callable[[], Client]] = []
_asynchronous: list[Callable[[], bool]] = []


class bound_to:  # noqa: N801  a context manager, called like a function
    """Futures that this thread unpickles inside the block belong to `client`."""

    __slots__ = ("_before", "_client")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._before: Client | None = None

    def __enter__(self) -> None:
        self._before, _loading.client = _loading.client, self._client

    def __exit__(self, *exc_info: object) -> None:
        _loading.client = self._before


def add_default(client: Client) -> None:
    """Make `client` the process's default until it is closed."""
    _defaults.append(client)


def remove_default(client: Client) -> None:
    """`client` is closed."""
    if client in _defaults:
        _defaults.remove(client)


def default_client() -> Client:
    """The newest open client of this process.

    Raises
    ------
    ValueError
        If there is none.
    """
    if not _defaults:
        raise ValueError("no client found: make one with fastsched.Client(), or pass the address of a scheduler")
    return _defaults[-1]


def set_resolver(resolver: Callable[[], Client], is_asynchronous: Callable[[], bool]) -> None:
    """In a worker process: how to find the client of the task that this thread runs, and whether it may wait."""
    _resolver[:] = [resolver]
    _asynchronous[:] = [is_asynchronous]


def asynchronous() -> bool:
    """Whether the calling thread must not wait, since the coroutines of other tasks run there."""
    return bool(_asynchronous) and _asynchronous[0]()


def current_client() -> Client:
    """The client of the value being loaded, else of the running task, else the process's default.

    Raises
    ------
    ValueError
        If there is none.
    """
    if _loading.client is not None:
        return _loading.client
    if _resolver:
        return _resolver[0]()
    return default_client()


def _load_future(key: str) -> Future[Any]:
    return current_client().attach(key)


payload.set_future_loader(_load_future)
