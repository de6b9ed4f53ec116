"""Equal calls of nested tasks: how often a key runs, counted."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from fastsched import Client, LocalCluster, worker_client
from tests.cluster.functions import append_line
from tests.cluster.test_nested import FIB_100

SECONDS = 60.0
TIMES = 20


def noted_fib(n: int, directory: str) -> int:
    """Each run leaves a line in the file of its worker."""
    append_line(os.path.join(directory, str(os.getpid())), str(n))
    if n < 2:
        return n
    with worker_client() as client:
        return sum(client.gather([client.submit(noted_fib, m, directory) for m in (n - 1, n - 2)]))


def runs(directory: Path) -> list[Counter[str]]:
    """How often each key ran, by worker."""
    return [Counter(path.read_text().split()) for path in directory.iterdir()]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_fib_100_runs_each_key_once_on_a_worker(workers: int, threads: int, tmp_path: Path) -> None:
    worst: Counter[int] = Counter()
    with LocalCluster(workers, threads) as cluster, Client(cluster, set_as_default=False) as client:
        for time in range(TIMES):
            directory = tmp_path / str(time)
            directory.mkdir()
            assert client.submit(noted_fib, 100, str(directory)).result(SECONDS) == FIB_100
            found = runs(directory)
            total = sum(found, Counter())
            assert len(total) == 101
            worst[max(max(found_here.values()) for found_here in found)] += 1
    # a key whose futures are all gone may run again, if the system has let a thread wait for long meanwhile
    assert worst[1] >= TIMES - 3, worst
