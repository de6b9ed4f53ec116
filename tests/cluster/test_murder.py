"""Trees of nested tasks under which somebody kills workers, one after the other."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsched import Client, Future, LocalCluster, worker_client
from fastsched.config import Config
from tests.cluster.census import Census, left_since
from tests.cluster.conftest import remaining

KILLS = int(os.environ.get("FASTSCHED_TEST_KILLS", "100"))
PAUSE = 0.05  # seconds between two of them
SECONDS = 120.0  # for what is left when the last one is dead
DEPTH, WIDTH = 4, 10
NODES = sum(WIDTH**level for level in range(DEPTH + 1))

PATIENT = Config(allowed_failures=1_000_000, idle_failures=1_000_000, start_failures=1_000_000)


def tree(depth: int, name: str, leaf_millis: float) -> int:
    """The number of tasks in this tree; no two of them are the same."""
    if depth == 0:
        time.sleep(leaf_millis / 1e3)
        return 1
    with worker_client() as client:
        names = [f"{name}.{number}" for number in range(WIDTH)]
        return 1 + sum(client.gather(client.map(tree, [depth - 1] * WIDTH, names, [leaf_millis] * WIDTH)))


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def kill_one(client: Client, rng: random.Random) -> int:
    """How many were killed: none if there is nobody, or if whoever was chosen is dead already."""
    pids = [worker["pid"] for worker in client.scheduler_info()["workers"].values()]
    if not pids:
        return 0
    try:
        os.kill(rng.choice(pids), signal.SIGKILL)
    except ProcessLookupError:
        return 0
    return 1


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where clusters of this test make their files, and nobody else does."""
    with tempfile.TemporaryDirectory(prefix="murder-") as name:
        monkeypatch.setattr(tempfile, "tempdir", name)
        yield Path(name)


@pytest.mark.timeout(2 * SECONDS + KILLS)
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors and children are counted in /proc")
@pytest.mark.parametrize("leaf_millis", [0.0, 1.0])
def test_trees_of_ten_thousand_tasks_come_out_right_whoever_is_killed(leaf_millis: float, temporary: Path) -> None:
    """Trees that stay where they began, and trees that spread. ``FASTSCHED_TEST_KILLS`` says how many deaths."""
    rng = random.Random(0)
    with Client(n_workers=1):  # what a first cluster leaves for good: threads of libraries, loops
        pass
    before, files = Census.take(), set(os.listdir(temporary))
    with LocalCluster(n_workers=4, threads_per_worker=1, config=PATIENT) as cluster, Client(cluster) as client:
        client.wait_for_workers(4)
        trees: list[Future[int]] = []
        killed = 0
        while killed < KILLS:
            if sum([not future.done() for future in trees]) < 2:
                trees.append(client.submit(tree, DEPTH, f"tree-{len(trees)}", leaf_millis))
            killed += kill_one(client, rng)
            time.sleep(PAUSE)
        done = sum([future.done() for future in trees])
        assert client.gather([client.submit(tree, 1, "one more", 0.0)]) == [1 + WIDTH]
        for future in trees:
            assert future.result(timeout=SECONDS) == NODES
        print(f"{killed} kills, {done} of {len(trees)} trees were done when the last one died")
        del future, trees
        assert remaining(client) == {}
        client.wait_for_workers(4, timeout=SECONDS)
        assert len(set(client.gather(client.map(pid_after, [0.5] * 4, pure=False)))) == 4  # every slot is free
    del client, cluster
    assert not left_since(before, 0.0)
    assert set(os.listdir(temporary)) == files
