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

__all__ = ["call", "measure", "open_pool"]

WORKERS = 2
ROUNDS = 3
WARM = 200


def measure(subject: str, workload: str, size: int, placing: Placing) -> Sample:
    """A sample of a flat workload on a pool of processes."""
    with open_pool(subject, WORKERS) as pool:
        _map(pool, range(-WARM, 0))
        placing.place(process.pid for process in multiprocessing.active_children() if process.pid is not None)
        return PROGRAMS[workload](pool, size)


def open_pool(subject: str, workers: int) -> Any:
    """A new pool."""
    if subject == "pool":
        return multiprocessing.Pool(workers)
    if subject == "loky":
        return importlib.import_module("loky").get_reusable_executor(max_workers=workers)
    return ProcessPoolExecutor(workers)


def call(pool: Executor | Pool, function: Callable[..., Any], *args: Any) -> Any:
    """One task, waited for."""
    return pool.apply(function, args) if isinstance(pool, Pool) else pool.submit(function, *args).result()


def _map(pool: Executor | Pool, numbers: range) -> list[int]:
    if isinstance(pool, Pool):
        return pool.map(inc, numbers, chunksize=1)
    return list(pool.map(inc, numbers))


def sync(pool: Executor | Pool, n: int) -> Sample:
    return Sample(each(lambda i: call(pool, inc, i), range(n)))


def many(pool: Executor | Pool, n: int) -> Sample:
    return Sample(rounds(lambda numbers: _map(pool, numbers), n, ROUNDS))


def submit_loop(pool: Executor | Pool, n: int) -> Sample:
    def submit_all(numbers: range) -> None:
        if isinstance(pool, Pool):
            for result in [pool.apply_async(inc, (i,)) for i in numbers]:
                result.get()
        else:
            for future in [pool.submit(inc, i) for i in numbers]:
                future.result()

    return Sample(rounds(submit_all, n, ROUNDS))


PROGRAMS: dict[str, Callable[[Any, int], Sample]] = {
    "sync": sync,
    "map": many,
    "submit-loop": submit_loop,
    "fan": many,
}
