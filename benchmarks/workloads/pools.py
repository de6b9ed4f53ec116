"""The same work for pools of processes: `concurrent.futures`, `multiprocessing` and, if it is there, loky.

``executor``  ProcessPoolExecutor
``pool``      multiprocessing.Pool with ``chunksize=1``: tasks are as separate as a scheduler's
``loky``      its reusable executor, as its documentation advises

Pools do not nest, so `fan` is measured flat. The start method is the platform's default.
"""

from __future__ import annotations

import importlib
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing.pool import Pool
from typing import Any

from benchmarks.workloads.measuring import Sample, each, rounds
from benchmarks.workloads.placing import Placing
from benchmarks.workloads.tasks import inc

__all__ = ["measure"]

WORKERS = 2
ROUNDS = 3
WARM = 200


def measure(subject: str, workload: str, size: int, placing: Placing) -> Sample:
    """A sample of a flat workload on a pool of processes."""
    pool = _open(subject)
    with pool:
        _map(pool, range(-WARM, 0))
        placing.place(process.pid for process in multiprocessing.active_children() if process.pid is not None)
        return PROGRAMS[workload](pool, size)


def _open(subject: str) -> Any:
    if subject == "pool":
        return multiprocessing.Pool(WORKERS)
    if subject == "loky":
        return importlib.import_module("loky").get_reusable_executor(max_workers=WORKERS)
    return ProcessPoolExecutor(WORKERS)


def _map(pool: Executor | Pool, numbers: range) -> list[int]:
    if isinstance(pool, Pool):
        return pool.map(inc, numbers, chunksize=1)
    return list(pool.map(inc, numbers))


def sync(pool: Executor, n: int) -> Sample:
    return Sample(each(lambda i: pool.submit(inc, i).result(), range(n)))


def many(pool: Executor | Pool, n: int) -> Sample:
    return Sample(rounds(lambda numbers: _map(pool, numbers), n, ROUNDS))


def submit_loop(pool: Executor, n: int) -> Sample:
    def submit_all(numbers: range) -> None:
        for future in [pool.submit(inc, i) for i in numbers]:
            future.result()

    return Sample(rounds(submit_all, n, ROUNDS))


PROGRAMS: dict[str, Callable[[Any, int], Sample]] = {
    "sync": sync,
    "map": many,
    "submit-loop": submit_loop,
    "fan": many,
}
