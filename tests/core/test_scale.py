"""Big graphs: no recursion however deep, linear however wide.

A step that looked at all 100,000 neighbours of each of 100,000 rows would take 10 s of CPU time at the least; linear
ones take a few hundredths. So a bound of 2 s holds on a slow and loaded machine, and no quadratic step passes it.
"""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time

import numpy as np
import pytest

from fastsched._core import SchedulerCore, State
from tests.core.helpers import core_with


def chain(core: SchedulerCore, n: int) -> np.ndarray:
    """n links, only the last is wanted."""
    deps = -np.arange(1, n, dtype="q")
    indptr = np.concatenate([[0], np.arange(n, dtype="q")]).astype("q")
    wants = np.zeros(n, "q")
    wants[-1] = 1
    return np.asarray(core.submit_many(None, indptr, deps, wants))


def fan_in(core: SchedulerCore, n: int) -> np.ndarray:
    """n tasks and one that needs them all, the only one that is wanted."""
    indptr = np.zeros(n + 2, "q")
    indptr[-1] = n
    wants = np.zeros(n + 1, "q")
    wants[-1] = 1
    return np.asarray(core.submit_many(None, indptr, -np.arange(1, n + 1, dtype="q"), wants))


def fan_out(core: SchedulerCore, n: int) -> np.ndarray:
    """One task, not wanted, and n that need it."""
    indptr = np.concatenate([[0], np.arange(n + 1, dtype="q")])
    wants = np.ones(n + 1, "q")
    wants[0] = 0
    return np.asarray(core.submit_many(None, indptr, np.full(n, -1, "q"), wants))


def run_to_the_end(core: SchedulerCore, turns: int = 1 << 62) -> int:
    """Finish whatever is assigned, turn by turn."""
    finished = 0
    while turns:
        effects = np.asarray(core.drain_array())
        starts = effects[effects[:, 0] == 1]
        if not len(starts):
            break
        finished += core.finish_many(starts[:, 1], starts[:, 3], 0, np.ones(len(starts), "q"))
        turns -= 1
    return finished


def test_a_chain_of_a_million_links_is_activated_failed_and_forgotten_without_recursion() -> None:
    n = 1_000_000
    core = core_with(1)
    ids = chain(core, n)
    assert core.count(State.WAITING) == n - 1
    core.drain_array()
    assert core.fail(int(ids[0]), 1, 0)
    assert core.count(State.ERRED) == 1  # the last; what it needed is released
    assert core.count(State.RELEASED) == n - 1
    assert core.cause(int(ids[-1])) == ids[0]
    core.unwant(int(ids[-1]))
    assert core.n_tasks == 0


def test_a_chain_of_a_million_links_is_let_go_without_recursion() -> None:
    core = core_with(1)
    ids = chain(core, 1_000_000)
    core.drain_array()
    core.unwant(int(ids[-1]))
    assert core.n_tasks == 0
    assert len(core.drain_array()) == 1 + 1_000_000  # one was assigned: DROP


def test_a_lost_chain_is_computed_again_from_its_root() -> None:
    core = core_with(1)
    n = 100_000
    ids = chain(core, n)
    assert run_to_the_end(core) == n
    core.remove_worker(0)
    core.drain_array()
    assert core.count(State.WAITING) == n - 1
    assert core.state(int(ids[0])) == State.READY


def work(build: Callable[[SchedulerCore, int], np.ndarray]) -> Callable[[int], float]:
    """Seconds for the whole life of a graph."""

    def measured(n: int) -> float:
        core = core_with(1 << 30)
        begin = thread_time()
        ids = build(core, n)
        assert run_to_the_end(core) == len(ids)
        wanted = ids[np.asarray(core.task_wants)[ids & 0xFFFFFFFF] > 0]
        core.unwant_many(wanted)
        assert core.n_tasks == 0
        return thread_time() - begin

    return measured


def lost_replicas(n: int) -> float:
    """Seconds for the loss of a worker that holds n values, and the inputs of n ready tasks."""
    core = core_with(1 << 30)
    fan_in(core, n)
    run_to_the_end(core, turns=1)
    begin = thread_time()
    core.remove_worker(0)
    seconds = thread_time() - begin
    assert core.count(State.READY) == n
    return seconds


def failed_at_once(n: int) -> float:
    """Seconds for a failure that n dependents wait for."""
    core = core_with(1)
    ids = fan_out(core, n)
    core.drain_array()
    begin = thread_time()
    assert core.err(int(ids[0]))
    seconds = thread_time() - begin
    assert core.count(State.ERRED) == n
    return seconds


@pytest.mark.parametrize(
    "seconds",
    [work(fan_in), work(fan_out), lost_replicas, failed_at_once],
    ids=["fan-in", "fan-out", "loss", "failure"],
)
def test_wide_graphs_cost_linear_time(seconds: Callable[[int], float]) -> None:
    assert seconds(100_000) < 2
