"""Workloads without processes: the compiled core, and the memory of the scheduler's machine."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_core import core_with, merge_graph, run_merge
from benchmarks.bench_machines import CLIENT, Zero, task
from benchmarks.workloads.measuring import Sample, each
from benchmarks.workloads.placing import Placing
from fastsched._core import SchedulerCore
from fastsched.wire.messages import Submit

__all__ = ["measure"]

WORKERS = 2
BATCH_ROUNDS = 30
SINGLES = 10_000
MESSAGE = 1000  # tasks in one message


def measure(subject: str, workload: str, size: int, placing: Placing) -> Sample:
    """A sample of `core` or `memory`; the subject is always fastsched."""
    placing.place(())
    return {"core": core, "memory": memory}[workload](size)


def core(n: int) -> Sample:
    """Submit, assign, finish and release the graph merge-n in batches; time per task."""
    larger = batches(10 * n, BATCH_ROUNDS // 10)
    one_by_one = sorted(each(one_task(core_with(1)), range(SINGLES)))
    details = {"ten times as many tasks": sorted(larger)[len(larger) // 2], "one at a time": one_by_one[SINGLES // 2]}
    return Sample(batches(n, BATCH_ROUNDS), details)


def batches(n: int, rounds: int) -> list[float]:
    """The life of merge-n, so many times; time per task."""
    machine, graph, sizes = core_with(WORKERS), merge_graph(n), np.ones(n, np.int64)
    run_merge(machine, graph, sizes)
    return [time / (n + 1) for time in each(lambda _: run_merge(machine, graph, sizes), range(rounds))]


def one_task(machine: SchedulerCore) -> Any:
    """The whole life of one task in five calls."""

    def run(_: int) -> None:
        id = machine.add_task()
        ((_, _, worker, attempt),) = machine.drain()
        machine.finish(id, attempt, worker, 8)
        machine.unwant(id)
        machine.drain()

    return run


def memory(n: int) -> Sample:
    """Bytes that the scheduler's machine takes for each of n pending tasks, beyond their messages."""
    scheduler = Zero(workers=1)
    messages = [Submit((), tuple(map(task, scheduler.fids(MESSAGE)))) for _ in range(n // MESSAGE)]
    gc.collect()
    before = _resident()
    for message in messages:
        scheduler.machine.receive(CLIENT, message, 1.0)
    gc.collect()
    return Sample([(_resident() - before) / n])


def _resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
