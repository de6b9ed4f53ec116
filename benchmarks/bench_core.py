"""The core alone: submit, assign, finish, release, without a socket or a byte of payload.

    pytest benchmarks/bench_core.py                          # tasks/s in `extra_info` of --benchmark-json=FILE
    pytest benchmarks/bench_core.py -k merge_100k

Each round is the whole life of a graph in a core that lives on, as a scheduler's does. The graphs are those of the
scheduler papers (rsds, WORKS 2020): merge-N is N tasks and one that needs them all. The best round counts: the rest is
the machine's noise. A batch below FLOOR tasks/s fails (release builds only): the gate, far under what a quiet machine
shows.
"""

from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np
import pytest

from fastsched._core import Effect, SchedulerCore, build

FLOOR = 2_000_000
pytestmark = pytest.mark.benchmark(timer=process_time)  # what others do on this machine meanwhile does not count


def core_with(workers: int) -> SchedulerCore:
    core = SchedulerCore()
    for _ in range(workers):
        core.add_worker(1, 1 << 30)
    return core


def merge_graph(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """indptr, deps, wants of merge-n: only the last task is wanted."""
    indptr = np.zeros(n + 2, np.int64)
    indptr[-1] = n
    wants = np.zeros(n + 1, np.int64)
    wants[-1] = 1
    return indptr, -np.arange(1, n + 1, dtype=np.int64), wants


def finish_all(core: SchedulerCore, sizes: np.ndarray) -> int:
    """Drain, and finish whatever was assigned; returns how many."""
    effects = np.asarray(core.drain_array())
    starts = effects[effects[:, 0] == Effect.ASSIGN]
    finished = 0
    for worker in core.workers() if len(starts) else ():
        mine = starts if core.n_workers == 1 else starts[starts[:, 2] == worker]
        finished += core.finish_many(mine[:, 1], mine[:, 3], worker, sizes[: len(mine)])
    return finished


def run_merge(core: SchedulerCore, graph: tuple[np.ndarray, np.ndarray, np.ndarray], sizes: np.ndarray) -> None:
    """The whole life of the graph, in five batches."""
    indptr, deps, wants = graph
    ids = np.asarray(core.submit_many(None, indptr, deps, wants))
    finished = finish_all(core, sizes) + finish_all(core, sizes)
    core.unwant_many(ids[-1:])
    core.drain_array()
    assert (finished, core.n_tasks) == (len(ids), 0)


def report(benchmark: Any, n_tasks: int, floor: int = 0) -> None:
    """Note the rate of the best round, and hold it against the floor."""
    rate = n_tasks / benchmark.stats.stats.min
    benchmark.extra_info |= {"tasks_per_second": round(rate), "build": build()}
    assert rate >= floor or build()["debug"], f"{rate / 1e6:.2f} M tasks/s"


@pytest.mark.parametrize("workers", [1, 2, 16])
@pytest.mark.parametrize("n", [10_000, 100_000], ids=["merge_10k", "merge_100k"])
def test_batches(benchmark: Any, n: int, workers: int) -> None:
    core, graph, sizes = core_with(workers), merge_graph(n), np.ones(n, np.int64)
    benchmark.pedantic(run_merge, (core, graph, sizes), rounds=1_000_000 // n, warmup_rounds=2)
    report(benchmark, n + 1, FLOOR)


def test_batches_that_are_wanted_one_by_one(benchmark: Any) -> None:
    """A map: every task is wanted, none has inputs."""
    n = 100_000
    core, sizes, nothing = core_with(1), np.ones(n, np.int64), np.empty(0, np.int64)
    indptr = np.zeros(n + 1, np.int64)

    def run() -> None:
        ids = core.submit_many(None, indptr, nothing)
        assert finish_all(core, sizes) == n
        core.unwant_many(ids)
        core.drain_array()

    benchmark.pedantic(run, rounds=10, warmup_rounds=2)
    report(benchmark, n, FLOOR)


def test_one_at_a_time(benchmark: Any) -> None:
    """Five calls from Python for each task: add, drain, finish, unwant, drain."""
    n = 10_000
    core = core_with(1)

    def run() -> None:
        add, drain, finish, unwant = core.add_task, core.drain, core.finish, core.unwant
        for _ in range(n):
            id = add()
            ((_, _, worker, run),) = drain()
            finish(id, run, worker, 8)
            unwant(id)
            drain()

    benchmark.pedantic(run, rounds=20, warmup_rounds=2)
    report(benchmark, n)


def test_a_chain_link_by_link(benchmark: Any) -> None:
    """Each task needs the one before it; three calls from Python for each link."""
    n = 10_000
    core = core_with(1)

    def run() -> None:
        previous = core.add_task()
        ids = [previous]
        for _ in range(n - 1):
            previous = core.add_task((previous,))
            ids.append(previous)
        for id in ids:
            core.drain()
            core.finish(id, 1, 0, 8)
            core.unwant(id)
        core.drain()
        assert core.n_tasks == 0

    benchmark.pedantic(run, rounds=20, warmup_rounds=2)
    report(benchmark, n)
