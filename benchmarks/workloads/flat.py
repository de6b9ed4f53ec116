"""Workloads of tasks that a client submits. The same programs for fastsched and dask: the API is the same."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from benchmarks.workloads.measuring import Sample, each, rounds
from benchmarks.workloads.tasks import inc

__all__ = ["chain", "many", "submit_loop", "sync", "warm_up"]

ROUNDS = 3


def warm_up(client: Any) -> None:
    """Each worker has imported the module of the tasks, and run one."""
    client.gather(client.map(inc, range(-200, -100)))
    each(lambda i: client.submit(inc, i).result(), range(-100, -50))


def sync(client: Any, n: int) -> Sample:
    """One task after the other: submit, wait for the result."""
    return Sample(each(lambda i: client.submit(inc, i).result(), range(n)))


def many(client: Any, n: int) -> Sample:
    """One map of n tasks, and their results."""
    return Sample(rounds(lambda numbers: client.gather(client.map(inc, numbers)), n, ROUNDS))


def submit_loop(client: Any, n: int) -> Sample:
    """n calls of submit, then the results."""
    calls: list[float] = []

    def submit_all(numbers: range) -> None:
        start = perf_counter()
        futures = [client.submit(inc, i) for i in numbers]
        calls.append((perf_counter() - start) / n)
        client.gather(futures)

    times = rounds(submit_all, n, ROUNDS)
    return Sample(times, {"a call of submit": sorted(calls)[ROUNDS // 2]})


def chain(client: Any, n: int) -> Sample:
    """n tasks, each of which takes the result of the one before, submitted ahead; the submits count."""

    def submit_links(numbers: range) -> None:
        link: Any = -1 - numbers.start  # another start for each round: equal calls would be one task
        for _ in numbers:
            link = client.submit(inc, link)
        link.result()

    return Sample(rounds(submit_links, n, ROUNDS))
