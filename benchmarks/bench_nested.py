"""Tasks that launch tasks: what a child costs.

    pytest benchmarks/bench_nested.py

Two workers with one thread each. What happens inside one task is measured there and shown in the extra info: the round
itself also has the trip of the parent.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from statistics import median
from typing import Any

import pytest

from benchmarks.workloads import flat, nested
from fastsched import Client


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(n_workers=2, threads_per_worker=1) as client:
        flat.warm_up(client)
        yield client


@pytest.fixture(scope="module")
def fresh() -> Iterator[int]:
    """Numbers that no task has had: equal calls would be one task."""
    return itertools.count(1_000_000, 1000)


def note(benchmark: Any, name: str, seconds: float) -> None:
    benchmark.extra_info[name] = round(seconds * 1e6, 2)


def per_task(benchmark: Any, tasks: int) -> None:
    if benchmark.stats is not None:
        note(benchmark, "us_per_task", benchmark.stats.stats.median / tasks)


def bench_nested(benchmark: Any, client: Client, fresh: Iterator[int]) -> None:
    """Submit a child, wait for it; 100 times inside one task."""
    times = benchmark(lambda: client.submit(nested.submit_and_wait, next(fresh), 100).result())
    note(benchmark, "us_per_child", median(times))


def bench_open(benchmark: Any, client: Client) -> None:
    """Open `worker_client` and leave it; 1,000 times inside one task."""
    times = benchmark(lambda: client.submit(nested.open_often, 1000, pure=False).result())
    note(benchmark, "us_per_block", median(times))


def bench_fib(benchmark: Any, client: Client) -> None:
    """Every call a task of its own."""
    n = 10
    assert benchmark(lambda: client.submit(nested.fib_impure, n, pure=False).result()) == 55
    per_task(benchmark, nested.fib_tasks(n))


def bench_fib100(benchmark: Any, client: Client, fresh: Iterator[int]) -> None:
    """Equal calls are one task: 101 tasks, 100 deep; each time with other keys, since small values stay a moment."""

    def setup() -> tuple[tuple[int], dict[str, int]]:
        return (next(fresh),), {}

    value = benchmark.pedantic(
        lambda salt: client.submit(nested.fib_pure_salted, 100, salt).result(), setup=setup, rounds=20
    )
    assert value == 354224848179261915075
    per_task(benchmark, 101)


def bench_tree_par(benchmark: Any, client: Client) -> None:
    """A binary tree with 200 µs of work in each of 64 leaves: 100 µs per leaf would be perfect."""
    depth = 6
    assert benchmark(lambda: client.submit(nested.leaves, depth, pure=False).result()) == 1 << depth
    per_task(benchmark, 1 << depth)


def bench_fan(benchmark: Any, client: Client, fresh: Iterator[int]) -> None:
    """A task maps 1,000 children and gathers them."""
    n = 1000
    seconds = benchmark(lambda: client.submit(nested.map_and_gather, next(fresh), n).result())
    note(benchmark, "us_per_child", seconds / n)
