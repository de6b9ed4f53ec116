"""A whole cluster: what a client's tasks cost, sockets, processes and pickle included.

    pytest benchmarks/bench_cluster.py

Two workers with one thread each. Absolute times, for comparing one commit with the next on one machine; `compare.py`
has ratios to yardsticks. No gate: times of processes are not stable enough for one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.workloads import flat
from benchmarks.workloads.tasks import inc
from fastsched import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(n_workers=2, threads_per_worker=1) as client:
        flat.warm_up(client)
        yield client


@pytest.fixture(scope="module")
def fresh() -> Iterator[int]:
    """Numbers that no task has had: equal calls would be one task."""
    return itertools.count()


def per_task(benchmark: Any, tasks: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["us_per_task"] = round(benchmark.stats.stats.median / tasks * 1e6, 2)


def bench_sync(benchmark: Any, client: Client, fresh: Iterator[int]) -> None:
    benchmark(lambda: client.submit(inc, next(fresh)).result())


@pytest.mark.parametrize("n", [100, 10_000])
def bench_map(benchmark: Any, client: Client, fresh: Iterator[int], n: int) -> None:
    assert len(benchmark(lambda: client.gather(client.map(inc, list(itertools.islice(fresh, n)))))) == n
    per_task(benchmark, n)


def bench_submit_loop(benchmark: Any, client: Client, fresh: Iterator[int]) -> None:
    n = 1000
    benchmark(lambda: client.gather([client.submit(inc, next(fresh)) for _ in range(n)]))
    per_task(benchmark, n)


def bench_chain(benchmark: Any, client: Client) -> None:
    n = 100
    starts = itertools.count(-n, -n)

    def run() -> int:
        link: Any = next(starts)
        for _ in range(n):
            link = client.submit(inc, link, pure=False)
        return int(link.result())

    benchmark(run)
    per_task(benchmark, n)


@pytest.mark.parametrize("nbytes", [1 << 10, 1 << 20])
def bench_a_value_and_back(benchmark: Any, client: Client, nbytes: int) -> None:
    """An argument of that size, and a result of that size: beside the message if it is large."""
    value = bytes(nbytes)
    assert benchmark(lambda: client.submit(bytes, value, pure=False).result()) == value


def bench_start_and_close(benchmark: Any) -> None:
    """From the call of Client() to its first result, and the end of closing. Imports are done."""

    def run() -> None:
        with Client(n_workers=2, threads_per_worker=1, set_as_default=False) as client:
            assert client.submit(inc, 1).result() == 2

    benchmark(run)
