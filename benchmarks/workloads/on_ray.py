"""Ray behind the few calls that the workloads use.

As its documentation advises: a function is made remote once, references are passed on as they are, and many results
are asked for in one call. A task's own tasks use the same calls, so `worker_client` has nothing to open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import Any

import ray

__all__ = ["Client", "worker_client"]


@cache
def _remote(function: Callable[..., Any]) -> Any:
    return ray.remote(function).remote


class Future:
    """A reference with a `result`."""

    __slots__ = ("reference",)

    def __init__(self, reference: Any) -> None:
        self.reference = reference

    def result(self) -> Any:
        return ray.get(self.reference)


class Calls:
    """What a program and a task can do alike."""

    def submit(self, function: Callable[..., Any], *args: Any, pure: bool = False) -> Future:
        return Future(_remote(function)(*[arg.reference if type(arg) is Future else arg for arg in args]))

    def map(self, function: Callable[..., Any], values: Any) -> list[Future]:
        remote = _remote(function)
        return [Future(remote(value)) for value in values]

    def gather(self, futures: list[Future]) -> list[Any]:
        values: list[Any] = ray.get([future.reference for future in futures])
        return values


class Client(Calls):
    """A new local cluster. A slot is a process, so there are no threads per worker."""

    def __init__(self, n_workers: int, threads_per_worker: int) -> None:
        ray.init(num_cpus=n_workers * threads_per_worker, include_dashboard=False, logging_level="error")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        ray.shutdown()


@contextmanager
def worker_client() -> Iterator[Calls]:
    """Inside a task."""
    yield Calls()
