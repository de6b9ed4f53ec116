"""Ids: never reused, checked by every verb; what is out of date is refused and counted, or raises."""

from __future__ import annotations

from array import array

import pytest

from fastsched._core import Effect, SchedulerCore, State
from tests.core.helpers import core_with, drained, finish, placed

REPORTS = [
    ("finish", (1, 0, 8)),
    ("fail", (1, 0)),
    ("retry", (1, 0)),
    ("give_back", (1, 0)),
    ("err", ()),
    ("replica", (0, 8)),
    ("drop_replica", (0,)),
    ("secede", ()),
    ("rejoin", ()),
    ("overdraw", ()),
    ("claim", (0,)),
    ("hand_over", ()),
    ("take_back", ()),
]
QUESTIONS = [
    "state",
    "flags",
    "run",
    "worker",
    "nbytes",
    "wants",
    "needed",
    "unmet",
    "order",
    "priority",
    "cause",
    "holders",
    "dependencies",
    "dependents",
]


def forgotten(core: SchedulerCore) -> int:
    """An id whose row has a new tenant."""
    old = core.add_task()
    core.unwant(old)
    drained(core)
    new = core.add_task()
    assert old & 0xFFFFFFFF == new & 0xFFFFFFFF
    assert old != new
    return old


@pytest.mark.parametrize(("verb", "args"), REPORTS)
def test_a_report_about_a_forgotten_id_is_refused_and_counted(verb: str, args: tuple[int, ...]) -> None:
    core = core_with(1)
    old = forgotten(core)
    for id in (old, 0, -1, 1, 1 << 62, (1 << 32) | 500):
        before = core.stale
        assert not getattr(core, verb)(id, *args)
        assert core.stale == before + 1
    core.check()


@pytest.mark.parametrize("verb", ["want", "unwant", "hold", "let_go", *QUESTIONS])
def test_what_names_a_forgotten_id_raises_and_names_it(verb: str) -> None:
    core = core_with(1)
    old = forgotten(core)
    for id in (old, 0, -1, 1 << 62):
        with pytest.raises(KeyError, match=str(id)):
            getattr(core, verb)(id)
    assert not core.known(old)


def test_a_task_on_a_forgotten_input_is_not_added() -> None:
    core = core_with(1)
    old = forgotten(core)
    for add in (lambda: core.add_task([old]), lambda: core.add_task(array("q", [old]))):
        with pytest.raises(KeyError, match=str(old)):
            add()
    assert core.n_tasks == 1


def test_a_row_is_used_again_only_after_the_drain_that_tells_of_it() -> None:
    core = SchedulerCore()
    old = core.add_task()
    core.unwant(old)
    assert core.add_task() & 0xFFFFFFFF != old & 0xFFFFFFFF
    assert drained(core) == [(Effect.FORGET, old, 0, 0)]
    assert core.add_task() & 0xFFFFFFFF == old & 0xFFFFFFFF


def test_a_thousand_tenants_of_a_row_have_a_thousand_ids() -> None:
    core = core_with(1)
    ids = set()
    for _ in range(1000):
        id = core.add_task()
        ids.add(id)
        placed(core)
        finish(core, id)
        core.unwant(id)
        drained(core)
    assert len(ids) == 1000
    assert len(core.task_state) == 1


@pytest.mark.parametrize("report", [(2, 0), (0, 0), (1, 1), (1, -1)])
def test_only_the_current_run_on_its_worker_may_report(report: tuple[int, int]) -> None:
    core = core_with(1, 1)
    id = core.add_task()
    assert placed(core) == [(id, 0)]
    assert not core.finish(id, *report, 8)
    assert not core.fail(id, *report)
    assert not core.give_back(id, *report)
    assert core.stale == 3
    assert core.state(id) == State.ASSIGNED


def test_a_report_of_an_earlier_run_is_refused_after_the_worker_was_lost() -> None:
    core = core_with(1)
    id = core.add_task()
    placed(core)
    core.remove_worker(0)
    core.add_worker(1)
    placed(core)
    assert not core.finish(id, 1, 0, 8)
    assert core.finish(id, 2, 1, 8)


@pytest.mark.parametrize("verb", ["finish", "fail", "give_back"])
def test_a_run_ends_once(verb: str) -> None:
    core = core_with(1)
    id = core.add_task()
    placed(core)
    args = (8,) if verb == "finish" else ()
    assert getattr(core, verb)(id, 1, 0, *args)
    assert not getattr(core, verb)(id, 1, 0, *args)


def test_more_wants_cannot_be_given_up_than_there_are() -> None:
    core = SchedulerCore()
    id = core.add_task(wants=2)
    for n in (3, -1):
        with pytest.raises(ValueError, match="has 2 wants"):
            core.unwant(id, n)
    with pytest.raises(ValueError, match="cannot add"):
        core.want(id, 0x7FFFFFFF)
    assert core.wants(id) == 2
    core.check()


@pytest.mark.parametrize(
    "call",
    [
        lambda core, w: core.remove_worker(w),
        lambda core, w: core.set_slots(w, 1),
        lambda core, w: core.set_limit(w, 1),
        lambda core, w: core.set_open(w, True),
        lambda core, w: core.set_lent(w, 1),
        lambda core, w: core.occupancy(w),
        lambda core, w: core.assigned_to(w),
        lambda core, w: core.retractable(w, 1),
        lambda core, w: core.add_task(only=w),
        lambda core, w: core.claim(core.add_task(), w),
        lambda core, w: core.publish(core.add_task(), w, 8),
    ],
)
def test_an_unknown_worker_raises(call: object) -> None:
    core = core_with(1, 1)
    core.remove_worker(1)
    for worker in (1, 2, -2):
        with pytest.raises(KeyError, match=f"unknown worker {worker}"):
            call(core, worker)  # type: ignore[operator]
    core.check()


@pytest.mark.parametrize(
    "call",
    [
        lambda core: core.add_worker(-1),
        lambda core: core.add_worker(2, 1),
        lambda core: core.set_slots(0, -1),
        lambda core: core.set_limit(0, 0),
        lambda core: core.set_lent(0, -core.slots(0) - 1),
        lambda core: core.add_task(wants=-1),
        lambda core: core.add_external(wants=-1),
        lambda core: core.count(7),
        lambda core: core.count(-1),
        lambda core: SchedulerCore(last_generation=0),
    ],
)
def test_a_number_out_of_range_raises(call: object) -> None:
    core = core_with(1)
    with pytest.raises(ValueError, match=r"must be|no state"):
        call(core)  # type: ignore[operator]
    assert core.n_tasks == 0
    core.check()


def test_unwant_many_lets_go_of_all() -> None:
    core = SchedulerCore()
    ids = array("q", [core.add_task() for _ in range(5)])
    core.unwant_many(ids[:4])
    assert core.tasks() == [ids[4]]
    with pytest.raises(KeyError):
        core.unwant_many(ids)
    core.check()


def test_a_row_retires_after_its_last_generation() -> None:
    core = SchedulerCore(last_generation=3)
    ids = []
    for _ in range(500):
        ids.append(core.add_task())
        core.unwant(ids[-1])
        drained(core)
    assert len(set(ids)) == 500
    assert max(id >> 32 for id in ids) == 3
    assert len(core.task_state) == 167
    assert not any(core.known(id) for id in ids)
