"""Real processes. A cluster for a whole module where tests only submit; a fresh one where they break things."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastsched import Client, LocalCluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two workers with one thread each."""
    with LocalCluster(n_workers=2, threads_per_worker=1) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Client]:
    """A client of the module's cluster; it must leave nothing behind."""
    with Client(cluster) as client:
        yield client
    with Client(cluster, set_as_default=False) as observer:
        assert remaining(observer) == {}, "tasks are left in the scheduler after the client has gone"


def remaining(client: Client) -> dict[str, int]:
    """Tasks in the scheduler, by state."""
    return {state: count for state, count in client.scheduler_info()["tasks"].items() if count}
