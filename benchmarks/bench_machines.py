"""The machines without sockets: what a scheduler does for each task, from submit to release.

    pytest benchmarks/bench_machines.py                          # a table; microseconds per task in `extra_info`
    pytest benchmarks/bench_machines.py -k merge

The workers are zero workers, as in rsds (WORKS 2020): they answer at once and do nothing, so all time is the
scheduler's. Each round is the whole life of a graph in a machine that lives on. No codec, no bytes: see bench_wire for
those. CEILING is the gate, far above what a quiet machine shows.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import pytest

from fastsched.config import Config
from fastsched.scheduler.machine import SchedulerMachine, Send
from fastsched.wire.messages import Done, FinishedItem, FunctionItem, Register, Release, Role, Run, Submit, TaskItem

CLIENT = 1
FN = b"function"
CEILING = 20.0  # microseconds per task
BYTES = 650  # per pending task in the scheduler, key and arguments included
pytestmark = pytest.mark.benchmark(timer=process_time)  # what others do on this machine meanwhile does not count


class Zero:
    """A scheduler with one client and workers that answer at once."""

    def __init__(self, workers: int = 2) -> None:
        self.machine = SchedulerMachine(Config())
        self.machine.joined(CLIENT, Role.CLIENT, Register("client", "", 0, 0, "", 0, ""), 0.0)
        for number in range(workers):
            name = f"w{number}"
            self.machine.joined(2 + number, Role.WORKER, Register(name, "", 0, 1, f"tcp://{name}:1", 0, ""), 0.0)
        self.machine.receive(CLIENT, Submit((FunctionItem(FN, (b"code",)),), ()), 0.0)
        self.machine.drain()
        self._last = 0

    def fids(self, n: int) -> range:
        """Numbers of new futures."""
        first = self._last + 1
        self._last += n
        return range(first, first + n)

    def settle(self) -> None:
        """Workers finish what they are sent, until nothing is sent any more."""
        again = True
        while again:
            again = False
            for action in self.machine.drain():
                if type(action) is Send and type(action.message) is Run:
                    again = True
                    self.machine.receive(action.peer, done(action.message), 1.0)

    def run(self, items: list[TaskItem], batch: int, keep: int = 1) -> None:
        """The life of a graph: submit, release all but the last `keep` futures, compute, release the rest."""
        receive = self.machine.receive
        for first in range(0, len(items), batch):
            receive(CLIENT, Submit((), tuple(items[first : first + batch])), 1.0)
        fids = tuple(item.fid for item in items)
        receive(CLIENT, Release(fids[: len(fids) - keep]), 1.0)
        self.settle()
        receive(CLIENT, Release(fids[len(fids) - keep :]), 1.0)
        self.settle()
        assert self.machine.books.core.n_tasks == 0


def done(message: Run) -> Done:
    """What a zero worker answers."""
    results = [FinishedItem(item.id, item.run, "int", 28, 1, (b"value",), ()) for item in message.tasks]
    return Done(tuple(results), (), (), (), (), 0)


def task(fid: int, dependencies: tuple[int, ...] = ()) -> TaskItem:
    return TaskItem(fid, f"key-{fid:032x}", FN, (b"arguments",), dependencies, (), 0, 0, 0)


def flat(zero: Zero, n: int) -> list[TaskItem]:
    """n tasks on their own."""
    return [task(fid) for fid in zero.fids(n)]


def merge(zero: Zero, n: int) -> list[TaskItem]:
    """n tasks, and one that needs them all."""
    fids = tuple(zero.fids(n + 1))
    return [*map(task, fids[:-1]), task(fids[-1], fids[:-1])]


def tree(zero: Zero, depth: int) -> list[TaskItem]:
    """2 ** depth leaves, added pairwise, level by level."""
    level = zero.fids(1 << depth)
    items = [task(fid) for fid in level]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=True)
        level = zero.fids(len(level) // 2)
        items += [task(fid, pair) for fid, pair in zip(level, pairs, strict=True)]
    return items


def chain(zero: Zero, n: int) -> list[TaskItem]:
    """n tasks, each of which needs the one before."""
    fids = zero.fids(n)
    return [task(fids[0]), *(task(fid, (fid - 1,)) for fid in fids[1:])]


@pytest.fixture
def zero() -> Iterator[Zero]:
    """A scheduler, and no garbage collection meanwhile."""
    gc.collect()
    gc.disable()
    yield Zero()
    gc.enable()


def measure(
    benchmark: Any, zero: Zero, graph: Callable[[Zero, int], list[TaskItem]], n: int, batch: int, keep: int = 1
) -> None:
    """Rounds with a new graph each; fails if a task costs more than the ceiling."""
    total = len(graph(zero, n))

    def setup() -> tuple[tuple[list[TaskItem], int, int], dict[str, Any]]:
        return (graph(zero, n), batch, keep), {}

    benchmark.pedantic(zero.run, setup=setup, rounds=max(3, 50_000 // total), warmup_rounds=1)
    note(benchmark, total, CEILING)


def note(benchmark: Any, tasks: int, ceiling: float) -> None:
    """Hold the best round against the ceiling."""
    cost = benchmark.stats.stats.min / tasks * 1e6
    benchmark.extra_info["microseconds_per_task"] = round(cost, 2)
    assert cost < ceiling, f"{cost:.1f} us per task"


@pytest.mark.parametrize("n", [10_000, 100_000], ids=["10k", "100k"])
def test_scheduler_merge(benchmark: Any, zero: Zero, n: int) -> None:
    measure(benchmark, zero, merge, n, batch=1000)


def test_scheduler_tree_13(benchmark: Any, zero: Zero) -> None:
    measure(benchmark, zero, tree, 13, batch=1000)


def test_scheduler_chain_of_1000(benchmark: Any, zero: Zero) -> None:
    measure(benchmark, zero, chain, 1000, batch=1000)


@pytest.mark.parametrize("batch", [1, 100, 10_000])
def test_scheduler_map_of_10k(benchmark: Any, zero: Zero, batch: int) -> None:
    """Every task is wanted and reported."""
    measure(benchmark, zero, flat, 10_000, batch, keep=10_000)


def test_scheduler_sync(benchmark: Any, zero: Zero) -> None:
    """Submit, result, release, one task after the other: three turns each."""

    def one() -> None:
        (fid,) = zero.fids(1)
        zero.machine.receive(CLIENT, Submit((), (task(fid),)), 1.0)
        zero.settle()
        zero.machine.receive(CLIENT, Release((fid,)), 1.0)
        zero.machine.drain()

    benchmark(one)
    note(benchmark, 1, 5 * CEILING)


def test_scheduler_memory_of_pending_tasks(benchmark: Any, zero: Zero) -> None:
    """Bytes per task that waits; the strings and arguments of the message are among them."""
    n = 100_000
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    message = Submit((), tuple(flat(zero, n)))
    benchmark.pedantic(zero.machine.receive, (CLIENT, message, 1.0), rounds=1)
    del message
    used = (tracemalloc.get_traced_memory()[0] - before) / n
    tracemalloc.stop()
    benchmark.extra_info["bytes_per_task"] = round(used)
    assert used < BYTES, f"{used:.0f} bytes per pending task"
