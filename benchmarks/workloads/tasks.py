"""Functions that run on workers of every kind. Imports no scheduler: a pool's worker has no use for one."""

from __future__ import annotations

from time import perf_counter

__all__ = ["SYSTEM", "add", "add_all", "inc", "now", "times_ten", "work"]

SYSTEM = "BENCHMARK_SYSTEM"  # environment variable: the package whose `worker_client` nested tasks use


def inc(x: int) -> int:
    return x + 1


def times_ten(x: int) -> int:
    return x * 10


def add(x: int, y: int) -> int:
    return x + y


def add_all(numbers: list[int]) -> int:
    return sum(numbers)


def now(_: int) -> float:
    """When it was called, by the clock that all processes of a machine share."""
    return perf_counter()


def work(seconds: float) -> int:
    """Keep a core busy for so long."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass
    return 1
