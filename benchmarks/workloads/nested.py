"""Workloads of tasks that launch tasks: what runs inside the workers, and the program in the client beside it.

The same for fastsched and dask; the environment says whose `worker_client` it is, because workers inherit that.
"""

from __future__ import annotations

import importlib
import os
from time import perf_counter
from typing import Any

from benchmarks.workloads.measuring import Sample, each
from benchmarks.workloads.tasks import SYSTEM, inc, work

__all__ = ["fan", "fib", "fib100", "nested", "open_close", "tree"]

worker_client = importlib.import_module(os.environ.get(SYSTEM, "fastsched")).worker_client

LEAF = 200e-6  # seconds of work
ROUNDS = 3
WARM = 50


# -- a child at a time ------------------------------------------------------------------------------------------------


def submit_and_wait(first: int, n: int) -> list[float]:
    with worker_client() as client:
        return each(lambda i: client.submit(inc, i).result(), range(first, first + n))


def nested(client: Any, n: int) -> Sample:
    """Inside a task: submit one child and wait for it, n times."""
    client.submit(submit_and_wait, -WARM, WARM).result()
    return Sample(client.submit(submit_and_wait, 0, n).result())


def open_and_leave(_: int) -> None:
    with worker_client():
        pass


def open_often(n: int) -> list[float]:
    return each(open_and_leave, range(n))


def open_close(client: Any, n: int) -> Sample:
    """Inside a task: open worker_client and leave it, n times."""
    client.submit(open_often, WARM).result()
    return Sample(client.submit(open_often, n).result())


# -- trees ------------------------------------------------------------------------------------------------------------


def fib_impure(n: int) -> int:
    """Every call is a task of its own: fib_tasks(n) of them."""
    if n < 2:
        return n
    with worker_client() as client:
        children = [client.submit(fib_impure, n - 1, pure=False), client.submit(fib_impure, n - 2, pure=False)]
        return sum(client.gather(children))


def fib_tasks(n: int) -> int:
    """How many calls the recursion makes."""
    return 1 if n < 2 else 1 + fib_tasks(n - 1) + fib_tasks(n - 2)


def fib(client: Any, n: int) -> Sample:
    """The recursive Fibonacci without sharing: time per task."""
    client.submit(fib_impure, 5, pure=False).result()
    start = perf_counter()
    value = client.submit(fib_impure, n, pure=False).result()
    seconds = perf_counter() - start
    assert value == _fib(n), value
    return Sample([seconds / fib_tasks(n)])


def fib_pure(n: int) -> int:
    """Equal calls are one task: n + 1 of them."""
    if n < 2:
        return n
    with worker_client() as client:
        a, b = client.submit(fib_pure, n - 1), client.submit(fib_pure, n - 2)
        return sum(client.gather([a, b]))


def fib_pure_salted(n: int, salt: int) -> int:
    """The same, with other keys for each salt."""
    if n < 2:
        return n
    with worker_client() as client:
        return sum(
            client.gather([client.submit(fib_pure_salted, n - 1, salt), client.submit(fib_pure_salted, n - 2, salt)])
        )


def fib100(client: Any, n: int) -> Sample:
    """The recursive Fibonacci with sharing: time of all. Its value is right.

    Equal calls are one task while somebody holds it. A parent that is kept waiting between its two submissions may find
    that the second call was computed and let go of by the first one's subtree; then it is computed again.
    """
    start = perf_counter()
    value = client.submit(fib_pure, n).result()
    seconds = perf_counter() - start
    assert value == _fib(n), value
    return Sample([seconds])


def _fib(n: int) -> int:
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def leaves(depth: int) -> int:
    """A binary tree of tasks with work in its leaves; how many there are."""
    if depth == 0:
        return work(LEAF)
    with worker_client() as client:
        return sum(client.gather([client.submit(leaves, depth - 1, pure=False) for _ in range(2)]))


def tree(client: Any, depth: int) -> Sample:
    """Time per leaf of a tree of tasks; LEAF divided by the number of workers would be perfect."""
    client.submit(leaves, 3, pure=False).result()
    start = perf_counter()
    count = client.submit(leaves, depth, pure=False).result()
    seconds = perf_counter() - start
    assert count == 1 << depth, count
    return Sample([seconds / count])


# -- many children at once --------------------------------------------------------------------------------------------


def map_and_gather(first: int, n: int) -> float:
    with worker_client() as client:
        start = perf_counter()
        client.gather(client.map(inc, range(first, first + n)))
        return perf_counter() - start


def fan(client: Any, n: int) -> Sample:
    """Inside a task: one map of n children, and their results; time per child."""
    return Sample([client.submit(map_and_gather, r * n, n).result() / n for r in range(ROUNDS)])
