"""Graphs of the scheduler papers with workers that answer at once: what client and scheduler cost, alone.

``zero``       merge-10K: 10,000 tasks `x * 10`, and one sum
``zero-100k``  merge-100K
``zero-tree``  tree-15: 32,768 numbers added pairwise, level by level

The scheduler is ``fastsched-scheduler``; the workers are 24 connections of one process (`benchmarks.zero`), as many as
a node of theirs had (rsds, WORKS 2020). Beside the time stands what each process spent on a core.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from time import perf_counter
from typing import Any

import fastsched
from benchmarks import kernel
from benchmarks.workloads.measuring import Sample
from benchmarks.workloads.placing import Placing
from benchmarks.workloads.processes import scheduler, zero_workers
from benchmarks.workloads.tasks import add, add_all, times_ten

__all__ = ["measure", "merge", "tree"]

WORKERS = 24
ROUNDS = 3
WARM, WARM_DEPTH = 1000, 6


def measure(subject: str, workload: str, size: int, placing: Placing) -> Sample:
    """A sample of `zero` (in its variants); the subject is always fastsched."""
    program = tree if workload == "zero-tree" else merge
    with (
        scheduler() as (access_file, scheduler_pid),
        zero_workers(access_file, WORKERS) as zero_pid,
        fastsched.Client(access_file) as client,
    ):
        program(client, WARM if program is merge else WARM_DEPTH, 0)
        placing.place([scheduler_pid, zero_pid])
        return run(program, client, size, {"client": os.getpid(), "scheduler": scheduler_pid, "workers": zero_pid})


def run(program: Callable[[Any, int, int], int], client: Any, size: int, processes: dict[str, int]) -> Sample:
    """Rounds of a graph: time per task, and what each of the processes spent on a core for it."""
    before = {name: kernel.counts(pid) for name, pid in processes.items()} if kernel.available() else {}
    times = []
    tasks = 0
    for number in range(1, ROUNDS + 1):
        gc.collect()
        start = perf_counter()
        count = program(client, size, number)
        times.append((perf_counter() - start) / count)
        tasks += count
    used = {name: (kernel.counts(processes[name]) - counts).seconds for name, counts in before.items()}
    return Sample(times, {f"on a core, {name}": seconds / tasks for name, seconds in used.items()})


def merge(client: Any, n: int, number: int) -> int:
    """n tasks and their sum, submitted and waited for; returns how many tasks it was."""
    first = number * n
    client.submit(add_all, client.map(times_ten, range(first, first + n))).result()
    return n + 1


def tree(client: Any, depth: int, number: int) -> int:
    """2 ** depth numbers added pairwise, level by level; returns how many tasks it was."""
    first = number << depth
    numbers = range(first, first + (1 << depth))
    level = client.map(add, numbers[::2], numbers[1::2])
    while len(level) > 1:
        level = client.map(add, level[::2], level[1::2])
    level[0].result()
    return (1 << depth) - 1
