"""Frisky behind the few calls that the workloads use: workers in processes, as its `LocalCluster` documents.

A closed program whose licence allows to run it: nothing here looks inside. It has no client inside tasks.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import frisky

__all__ = ["Client"]


class Client:
    """A client of a new local cluster. Every call is a task of its own, so that `pure` says nothing new."""

    def __init__(self, n_workers: int, threads_per_worker: int) -> None:
        self._cluster = frisky.LocalCluster(
            n_workers=n_workers, threads_per_worker=threads_per_worker, processes=True, silence_summary=True
        )
        self._client = self._cluster.get_client()
        self.map, self.gather = self._client.map, self._client.gather

    def submit(self, function: Any, *args: Any, pure: bool = False) -> Any:
        return self._client.submit(function, *args)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._client.close()
        self._cluster.close()
