"""Slots: lent by secede, wanted back by rejoin, overdrawn, and what a scheduler hears of them."""

from __future__ import annotations

import pytest

from fastsched._core import SECEDED, Effect, SchedulerCore
from tests.core.helpers import core_with, drained, finish, kinds, placed


def running(core: SchedulerCore, n: int = 1) -> list[int]:
    ids = [core.add_task() for _ in range(n)]
    assert [id for id, _ in placed(core)] == ids
    return ids


def seceded(core: SchedulerCore, n: int = 1) -> list[int]:
    """Running tasks that lent their slots, one after the other."""
    ids = []
    for _ in range(n):
        (id,) = running(core)
        assert core.secede(id)
        ids.append(id)
    return ids


def test_a_lent_slot_is_given_to_a_ready_task() -> None:
    core = core_with(1)
    (parent,) = running(core)
    child = core.add_task()
    assert placed(core) == []
    assert core.secede(parent)
    assert core.flags(parent) & SECEDED
    assert placed(core) == [(child, 0)]
    assert (core.n_assigned(0), core.occupancy(0), core.lent(0)) == (2, 1, 1)


def test_a_slot_is_lent_once() -> None:
    core = core_with(1)
    (parent,) = seceded(core)
    assert not core.secede(parent)
    assert core.occupancy(0) == 0


def test_rejoin_costs_nothing_while_the_slot_is_free() -> None:
    core = core_with(1)
    (parent,) = seceded(core)
    assert core.rejoin(parent)
    assert core.occupancy(0) == 1
    assert drained(core) == []


def test_rejoin_waits_for_a_slot_before_ready_tasks() -> None:
    core = core_with(1)
    (parent,) = seceded(core)
    (child,) = running(core)
    waiting = core.add_task()
    assert not core.rejoin(parent)
    assert core.n_rejoining(0) == 1
    assert drained(core) == []
    finish(core, child)
    assert kinds(core, parent) == [Effect.REJOIN]
    assert core.n_ready == 1
    finish(core, parent)
    assert placed(core) == [(waiting, 0)]


def test_rejoiners_are_served_in_the_order_of_their_asking() -> None:
    core = core_with(1)
    parents = seceded(core, 3)
    (child,) = running(core)
    for parent in reversed(parents):
        assert not core.rejoin(parent)
    served = []
    holder = child
    for _ in parents:
        finish(core, holder)
        ((holder, _),) = [(id, b) for kind, id, _, b in drained(core) if kind == Effect.REJOIN]
        served.append(holder)
    assert served == parents[::-1]


def test_a_rejoiner_does_not_overtake_one_that_waits() -> None:
    core = core_with(2)
    first, second = seceded(core, 2)
    running(core, 2)
    assert not core.rejoin(first)
    core.set_slots(0, 3)  # a slot is free again, but the first was there before
    assert not core.rejoin(second)
    assert [id for kind, id, *_ in drained(core) if kind == Effect.REJOIN] == [first]


def test_after_eight_rejoins_in_a_row_one_ready_task_goes() -> None:
    core = core_with(1)
    parents = seceded(core, 10)
    (holder,) = running(core)
    ready = core.add_task()
    for parent in parents:
        assert not core.rejoin(parent)
    order = []
    for _ in range(11):
        finish(core, holder)
        ((kind, holder),) = [(kind, id) for kind, id, *_ in drained(core) if kind in (Effect.REJOIN, Effect.ASSIGN)]
        order.append((kind, holder))
    expected = [(Effect.REJOIN, parent) for parent in parents]
    expected.insert(8, (Effect.ASSIGN, ready))
    assert order == expected


def test_rejoins_go_on_when_nothing_is_ready() -> None:
    core = core_with(1)
    for _ in range(20):
        (parent,) = seceded(core)
        assert core.rejoin(parent)
        assert core.secede(parent)
        assert core.rejoin(parent)
        finish(core, parent)
        drained(core)


def test_immediate_rejoins_yield_to_a_ready_task_too() -> None:
    core = core_with(1)
    (parent,) = seceded(core)
    for _ in range(8):
        assert core.rejoin(parent)
        assert core.secede(parent)
    child = core.add_task()
    assert not core.rejoin(parent)
    assert placed(core) == [(child, 0)]


@pytest.mark.parametrize("rejoining", [False, True])
@pytest.mark.parametrize("verb", ["finish", "fail", "give_back", "err"])
def test_a_task_may_end_without_its_slot(verb: str, rejoining: bool) -> None:
    core = core_with(1)
    (parent,) = seceded(core)
    (child,) = running(core)
    if rejoining:
        assert not core.rejoin(parent)
    args = {"finish": (1, 0, 8), "fail": (1, 0), "give_back": (1, 0), "err": ()}[verb]
    assert getattr(core, verb)(parent, *args)
    assert (core.lent(0), core.n_rejoining(0), core.occupancy(0)) == (0, 0, 1)
    finish(core, child)
    assert Effect.REJOIN not in {kind for kind, *_ in drained(core)}


def test_a_rejoiner_that_is_let_go_is_dropped() -> None:
    core = core_with(1)
    (parent,) = seceded(core)
    running(core)
    core.rejoin(parent)
    core.unwant(parent)
    assert drained(core) == [(Effect.DROP, parent, 0, 1), (Effect.FORGET, parent, 0, 0)]


def test_rejoin_of_a_task_that_lent_nothing_is_stale() -> None:
    core = core_with(1)
    (task,) = running(core)
    assert not core.rejoin(task)
    assert core.stale == 1
    assert core.occupancy(0) == 1


def test_asking_to_rejoin_twice_is_asking_once() -> None:
    core = core_with(1)
    (parent,) = seceded(core)
    (child,) = running(core)
    assert not core.rejoin(parent)
    assert not core.rejoin(parent)
    finish(core, child)
    assert kinds(core, parent) == [Effect.REJOIN]


def test_an_overdrawn_worker_starts_nothing_until_that_is_made_up_for() -> None:
    core = core_with(1)
    (parent,) = seceded(core)
    (child,) = running(core)
    waiting = core.add_task()
    core.rejoin(parent)
    assert core.overdraw(parent)
    assert core.free_slots(0) == -1
    assert core.idle_slots == 0
    finish(core, child)
    assert [kind for kind, *_ in drained(core) if kind in (Effect.ASSIGN, Effect.REJOIN)] == []
    finish(core, parent)
    assert placed(core) == [(waiting, 0)]


def test_a_claim_runs_a_ready_task_in_the_lent_slot() -> None:
    core = core_with(1)
    (parent,) = running(core)
    child = core.add_task()
    other = core.add_task()
    assert core.secede(parent)
    assert core.claim(child, 0) == 1
    assert drained(core) == []  # the slot is taken: other must wait
    finish(core, child)
    assert core.rejoin(parent)
    assert placed(core) == []
    assert core.occupancy(0) == 1
    finish(core, parent)
    assert placed(core) == [(other, 0)]


def test_lent_slots_that_a_worker_reports_make_room_for_more() -> None:
    core = core_with(2)
    running(core, 2)
    more = [core.add_task() for _ in range(2)]
    core.set_lent(0, 1)
    assert placed(core) == [(more[0], 0)]
    core.set_lent(0, 0)
    assert placed(core) == []
    assert core.free_slots(0) == -1


def test_an_old_report_of_lent_slots_does_not_free_more_than_there_are() -> None:
    core = core_with(2)
    (task,) = running(core)
    core.set_lent(0, 2)
    finish(core, task)
    drained(core)
    assert core.occupancy(0) == 0
    assert core.idle_slots == 2


def test_a_task_that_rejoined_is_not_asked_back() -> None:
    core = core_with(1, ahead=2)
    old, new = running(core, 2)
    assert core.secede(old)
    assert not core.retractable(0, 1)
    core.rejoin(old)  # no slot is free: new holds it
    core.overdraw(old)
    assert core.retractable(0, 5) == [(new, 1)]


def test_the_loss_of_a_worker_requeues_those_who_wait_in_rejoin() -> None:
    core = core_with(1)
    (parent,) = seceded(core)
    (child,) = running(core)
    core.rejoin(parent)
    core.remove_worker(0)
    assert core.add_worker(2) == 1
    assert sorted(placed(core)) == sorted([(parent, 1), (child, 1)])
    assert not core.flags(parent) & SECEDED
