"""Real processes. A cluster for a whole module where tests only submit; a fresh one where they break things."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from fastsched import Client, LocalCluster
from tests.cluster.census import Census, left_since, threads
from tests.cluster.commands import run, scheduler

__all__ = ["client", "cluster", "remaining", "run", "scheduler"]


@pytest.fixture(scope="session")
def once_per_process() -> None:
    """What the first cluster of a program leaves for good: threads and descriptors of libraries."""
    with Client(n_workers=1, set_as_default=False) as client:
        client.submit(abs, -1).result()


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left_behind(once_per_process: None) -> Iterator[None]:
    """When a module is through, and its clusters closed, nothing is there that was not there before."""
    before = Census.take()
    yield
    assert not left_since(before)


@pytest.fixture(autouse=True)
def no_thread_is_left_behind() -> Iterator[None]:
    """Nor a thread after each test; descriptors and processes come and go with a cluster that others use, too."""
    before = threads()
    yield
    deadline = time.monotonic() + 5.0
    while left := [name for name in threads() - before if not name.startswith("fastsched-io ")]:  # of a shared cluster
        assert time.monotonic() < deadline, f"threads are left: {sorted(left)}"
        gc.collect()  # what is garbage is left behind by nobody
        time.sleep(0.02)


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
