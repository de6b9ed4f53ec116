"""Clusters for tests of nested tasks, and that nothing is left in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastsched import Client, Config, LocalCluster
from tests.cluster.conftest import remaining
from tests.cluster.nested_books import left

__all__ = ["cluster_of", "emptied", "own_cluster"]


def cluster_of(workers: int, threads: int = 1, **config: Any) -> Iterator[Client]:
    """A client of a new cluster."""
    with (
        LocalCluster(workers, threads, config=Config(**config)) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def emptied(observer: Client) -> Iterator[Client]:
    """A client of this one's cluster, which leaves nothing behind."""
    with Client(observer.cluster, set_as_default=False) as client:
        yield client
    assert remaining(observer) == {}, "tasks are left in the scheduler"
    assert left(observer) == {}, "something is left in the workers"
    observer.cluster.check()


def own_cluster(workers: int, threads: int) -> Iterator[Client]:
    """The one client of a new cluster; nothing is left in it."""
    with Client(n_workers=workers, threads_per_worker=threads, set_as_default=False) as client:
        yield client
        assert left(client) == {}
        assert remaining(client) == {}
