"""What ran before the core heard of it: values that are published, tasks that are claimed as they wait; and holds."""

from __future__ import annotations

import pytest

from fastsched._core import SECEDED, Effect, SchedulerCore, State
from tests.core.helpers import core_with, drained, finish, in_memory, placed, states

RELEASED, WAITING, READY, ASSIGNED = State.RELEASED, State.WAITING, State.READY, State.ASSIGNED
MEMORY, ERRED = State.MEMORY, State.ERRED


def test_a_published_value_is_there_and_its_inputs_are_not_computed() -> None:
    core = core_with(4)
    a = core.add_task(wants=0)
    b = core.add_task([a], wants=0)
    assert core.publish(b, 0, 8)
    assert drained(core) == [(Effect.MEMORY, b, 0, 0)]
    assert states(core, a, b) == [RELEASED, MEMORY]
    assert (core.wants(b), core.run(b), core.holders(b), core.nbytes(b)) == (1, 1, [0], 8)
    assert core.run(a) == 0


def test_a_published_value_that_is_lost_is_computed_again_from_what_it_was_made_from() -> None:
    core = core_with(4, 1)
    a = core.add_task(wants=0)
    b = core.add_task([a], wants=0)
    core.publish(b, 0, 8)
    drained(core)
    core.remove_worker(0)
    assert placed(core) == [(a, 1)]
    finish(core, a)
    assert placed(core) == [(b, 1)]
    assert core.run(b) == 2


@pytest.mark.parametrize("waits", [False, True])
def test_a_value_is_published_though_the_task_is_queued(waits: bool) -> None:
    core = core_with(0, 1)
    a = core.add_task(wants=0) if waits else in_memory(core, 0)
    b = core.add_task([a])
    c = core.add_task([b])
    core.set_open(1, False)
    assert states(core, b) == [WAITING if waits else READY]
    assert core.publish(b, 1, 8, 2)
    assert core.wants(b) == 3
    assert states(core, b, c) == [MEMORY, READY]
    core.unwant(b, 3)
    core.unwant(c)
    drained(core)
    assert core.n_tasks == (0 if waits else 1)


def test_an_input_that_only_a_published_task_needed_is_let_go() -> None:
    core = core_with(1)
    core.set_open(0, False)
    a = core.add_task(wants=0)
    b = core.add_task([a])
    assert states(core, a, b) == [READY, WAITING]
    assert core.publish(b, 0, 8)
    assert states(core, a, b) == [RELEASED, MEMORY]
    assert core.n_ready == 0


def test_a_value_whose_input_has_erred_can_be_published() -> None:
    core = core_with(1)
    a = core.add_task()
    core.err(a)
    b = core.add_task([a], wants=0)
    assert core.publish(b, 0, 8)
    assert states(core, a, b) == [ERRED, MEMORY]


def test_what_is_placed_or_has_an_outcome_or_comes_from_elsewhere_is_not_published() -> None:
    core = core_with(4)
    running, erred, external = core.add_task(), core.add_task(), core.add_external()
    core.err(erred)
    assert placed(core) == [(running, 0)]
    value = in_memory(core, 0)
    handed = core.add_task()
    assert core.hand_over(handed)
    for id in (running, erred, external, value, handed):
        before = core.state(id), core.wants(id), core.run(id)
        assert not core.publish(id, 0, 8)
        assert (core.state(id), core.wants(id), core.run(id)) == before
    core.check()


def test_a_task_that_runs_already_is_claimed_though_an_input_is_missing() -> None:
    core = core_with(1, 1)
    a = core.add_task(wants=0)
    b = core.add_task([a])
    assert core.claim(b, 1) == 1
    assert core.secede(b)
    assert placed(core) == [(a, 0)]
    finish(core, b)
    assert (Effect.DROP, a, 0, 1) in drained(core)
    assert states(core, a, b) == [RELEASED, MEMORY]


def test_a_task_that_was_claimed_without_its_inputs_waits_for_them_when_its_worker_is_lost() -> None:
    core = core_with(1, 1)
    core.set_open(0, False)
    a = core.add_task(wants=0)
    b = core.add_task([a])
    core.set_open(1, False)
    assert core.claim(b, 1) == 1
    core.remove_worker(1)
    assert states(core, a, b) == [READY, WAITING]
    core.set_open(0, True)
    assert placed(core) == [(a, 0)]


def test_a_claimed_task_that_holds_no_slot_is_not_asked_back() -> None:
    core = core_with(1, ahead=2)
    first, second = core.add_task(), core.add_task()
    assert placed(core) == [(first, 0), (second, 0)]
    claimed = core.add_task()
    core.claim(claimed, 0)
    core.secede(claimed)
    assert core.flags(claimed) & SECEDED
    assert core.retractable(0, 9) == [(second, 1)]
    assert core.occupancy(0) == 2


def test_what_is_held_is_not_forgotten_and_not_computed() -> None:
    core = core_with(4)
    a = core.add_task(wants=0)
    b = core.add_task([a], wants=0)
    core.hold(a)
    core.hold(b)
    assert drained(core) == []
    core.let_go(a)
    assert drained(core) == []
    core.let_go(b)
    assert [effect[:2] for effect in drained(core)] == [(Effect.FORGET, b), (Effect.FORGET, a)]


def test_what_is_held_outlives_its_wants_and_its_dependents() -> None:
    core = core_with(1)
    a = core.add_task()
    b = core.add_task([a])
    core.hold(a)
    core.unwant(a)
    core.unwant(b)
    assert [effect[:2] for effect in drained(core)] == [(Effect.FORGET, b)]
    assert states(core, a) == [RELEASED]
    core.let_go(a)
    assert core.n_tasks == 0


def test_what_is_let_go_and_needed_stays() -> None:
    core = core_with(1)
    a = core.add_task()
    core.let_go(a)
    core.hold(a)
    core.let_go(a)
    assert placed(core) == [(a, 0)]


def test_a_value_is_published_with_at_least_one_want() -> None:
    core = core_with(1)
    a = core.add_task(wants=0)
    for wants in (0, -1, 1 << 31):
        with pytest.raises((ValueError, OverflowError)):
            core.publish(a, 0, 8, wants)
    core.want(a)
    with pytest.raises(ValueError, match="cannot add"):
        core.publish(a, 0, 8, 0x7FFFFFFF)
    assert core.wants(a) == 1


def test_a_row_is_not_used_again_while_it_is_held() -> None:
    core = SchedulerCore()
    a = core.add_task(wants=0)
    core.hold(a)
    drained(core)
    others = {core.add_task() & 0xFFFFFFFF for _ in range(5)}
    assert a & 0xFFFFFFFF not in others
