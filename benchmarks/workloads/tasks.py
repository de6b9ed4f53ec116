"""Functions that run on workers of every kind. Imports no scheduler: a pool's worker has no use for one."""

from __future__ import annotations

from time import perf_counter

__all__ = ["SYSTEM", "inc", "work"]

SYSTEM = "BENCHMARK_SYSTEM"  # environment variable: the package whose `worker_client` nested tasks use


def inc(x: int) -> int:
    return x + 1


def work(seconds: float) -> int:
    """Keep a core busy for so long."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        pass
    return 1
