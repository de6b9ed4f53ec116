"""The tables as Python sees them: sizes, zero-copy views, counts, growth, check()."""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import fastsched._core as core_module
from fastsched._core import BYTES_PER_EDGE, BYTES_PER_REPLICA, BYTES_PER_TASK, SchedulerCore, State
from tests.core.helpers import core_with, drained, finish, placed

VIEWS = {
    "task_state": np.uint8,
    "task_flags": np.uint8,
    "task_generation": np.uint32,
    "task_run": np.uint32,
    "task_worker": np.int32,
    "task_wants": np.int32,
    "task_needed": np.int32,
    "task_unmet": np.int32,
    "task_priority": np.int64,
    "task_order": np.int64,
    "task_nbytes": np.int64,
}


def test_a_row_is_small() -> None:
    assert BYTES_PER_TASK <= 96
    assert BYTES_PER_EDGE <= 20
    assert BYTES_PER_REPLICA <= 24


def test_half_a_million_pending_tasks_take_the_bytes_that_their_rows_say() -> None:
    code = """
import resource, sys
from fastsched._core import SchedulerCore
core = SchedulerCore()
root = core.add_task()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range((1 << 19) - 2):
    core.add_task((root,))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
scale = 1 if sys.platform == "darwin" else 1024
print((after - before) * scale / (1 << 19))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    # Growth by doubling holds the old rows while the new ones are filled: half a row more at the peak.
    assert float(out.stdout) <= (BYTES_PER_TASK + BYTES_PER_EDGE) * 1.75


@pytest.mark.parametrize(("name", "dtype"), VIEWS.items())
def test_a_view_shows_the_rows_without_a_copy(name: str, dtype: type) -> None:
    core = core_with(1)
    core.add_task(priority=5, order=7, wants=3)
    view = np.asarray(getattr(core, name))
    assert view.dtype == dtype
    assert view.shape == (1,)
    assert view.strides == (BYTES_PER_TASK,)
    assert not view.flags.writeable
    assert np.shares_memory(view, np.asarray(getattr(core, name)))


def test_a_view_follows_the_core() -> None:
    core = core_with(1)
    id = core.add_task()
    state, run = np.asarray(core.task_state), np.asarray(core.task_run)
    assert state[0] == State.READY
    placed(core)
    assert (state[0], run[0]) == (State.ASSIGNED, 1)
    finish(core, id, 123)
    assert (state[0], np.asarray(core.task_nbytes)[0]) == (State.MEMORY, 123)


def test_the_fields_of_a_view_are_those_of_the_row() -> None:
    core = core_with(1)
    a = core.add_task(priority=5, order=7, wants=3)
    b = core.add_task([a, a])
    for id, row in ((a, 0), (b, 1)):
        for name in ("state", "flags", "run", "worker", "wants", "needed", "unmet", "priority", "order", "nbytes"):
            assert getattr(core, f"task_{name}")[row] == getattr(core, name)(id), name
    assert core.task_generation[0] == a >> 32


def test_an_old_view_outlives_growth_and_the_core() -> None:
    core = SchedulerCore()
    core.add_task(priority=11)
    old = np.asarray(core.task_priority)
    for _ in range(10_000):
        core.add_task()
    assert old.tolist() == [11]
    assert np.asarray(core.task_priority)[0] == 11
    del core
    gc.collect()
    assert old.tolist() == [11]


def test_an_empty_core_has_empty_views() -> None:
    core = SchedulerCore()
    assert np.asarray(core.task_state).tolist() == []
    assert core.drain_array().shape == (0, 4)
    core.check()


def test_nothing_can_be_written_through_a_view() -> None:
    core = SchedulerCore()
    core.add_task()
    with pytest.raises(TypeError):
        core.task_state[0] = 3


def test_effects_and_ids_outlive_the_next_turn() -> None:
    core = core_with(4)
    ids = np.asarray(core.submit_many(None, np.zeros(3, "q"), np.empty(0, "q")))
    effects = np.asarray(core.drain_array())
    kept = effects.copy()
    core.unwant_many(ids)
    drained(core)
    assert (effects == kept).all()
    assert ids.shape == (2,)


def test_counts_are_those_of_the_states() -> None:
    core = core_with(2)
    ids = [core.add_task() for _ in range(5)]
    core.add_task(ids)
    placed(core)
    finish(core, ids[0])
    core.err(ids[4])
    core.unwant(ids[3])
    assert [core.count(state) for state in State] == np.bincount(core.task_state, minlength=7).tolist()
    assert core.n_tasks == len(core.tasks()) == 6
    assert core.n_workers == 1


def test_effects_that_wait_are_counted() -> None:
    core = core_with(1)
    core.add_external()
    assert core.n_effects == 1
    drained(core)
    assert core.n_effects == 0


def test_numpy_is_not_imported() -> None:
    code = "import sys, fastsched._core; print('numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout == "False\n"


def test_a_core_gives_its_memory_back() -> None:
    def use() -> None:
        core = core_with(2, 2)
        for id in [core.add_task(only=0) for _ in range(2000)]:
            core.add_task([id])
        drained(core)

    use()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            use()
        gc.collect()
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert after - before < 100_000


def test_the_build_says_how_it_was_made() -> None:
    assert set(core_module.build()) == {"debug", "compiled", "cython"}
    assert core_module.build()["compiled"] is True
