"""Real processes. A cluster for a whole module where tests only submit; a fresh one where they break things."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from fastsched import Client, LocalCluster
from tests.cluster.commands import run, scheduler

__all__ = ["client", "cluster", "remaining", "run", "scheduler"]


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


def remaining(client: Client, seconds: float = 5.0) -> dict[str, int]:
    """Tasks in the scheduler, by state, once there are none or after `seconds`: workers release a moment later."""
    deadline = time.monotonic() + seconds
    while True:
        left = {state: count for state, count in client.scheduler_info()["tasks"].items() if count}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.01)
