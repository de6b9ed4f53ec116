"""Tasks placed early: on the worker that computes their inputs, before those are in memory; and called back."""

from __future__ import annotations

import pytest

from fastsched._core import EARLY, Effect, SchedulerCore, State
from tests.core.helpers import core_with, drained, finish, in_memory, kinds, placed, states

WAITING, READY, ASSIGNED, MEMORY, ERRED = State.WAITING, State.READY, State.ASSIGNED, State.MEMORY, State.ERRED


def early_core(*slots: int, early: int = 64, ahead: int = 0) -> SchedulerCore:
    """Workers with so many slots each, all of which may have early tasks."""
    core = core_with(*slots, ahead=ahead, locality_bytes=100)
    for worker in range(len(slots)):
        core.set_early(worker, early)
    return core


def chain(core: SchedulerCore, length: int, *deps: int, wants: int = 1) -> list[int]:
    ids: list[int] = []
    for _ in range(length):
        deps = (core.add_task(deps, wants=wants),)
        ids += deps
    return ids


def early(core: SchedulerCore, *ids: int) -> list[bool]:
    return [bool(core.flags(id) & EARLY) for id in ids]


# ---- who is placed early ---------------------------------------------------------------------------------------------


def test_nobody_is_placed_early_unless_the_worker_may_have_some() -> None:
    core = core_with(1, ahead=9)
    a, b = chain(core, 2)
    assert placed(core) == [(a, 0)]
    assert states(core, b) == [WAITING]


def test_a_chain_is_placed_in_one_turn_link_after_link() -> None:
    core = early_core(1)
    ids = chain(core, 5)
    assert placed(core) == [(id, 0) for id in ids]
    assert early(core, *ids) == [False, True, True, True, True]


def test_a_link_that_is_added_later_follows_at_once() -> None:
    core = early_core(1)
    ids = chain(core, 1)
    for _ in range(3):
        placed(core)
        ids.append(core.add_task([ids[-1]]))
    assert placed(core) == [(ids[-1], 0)]


def test_no_more_than_allowed_are_early_and_the_next_follow_as_the_first_finish() -> None:
    core = early_core(1, early=2)
    ids = chain(core, 6)
    assert placed(core) == [(id, 0) for id in ids[:3]]
    finish(core, ids[0])
    assert placed(core) == [(ids[3], 0)]
    finish(core, ids[1])
    finish(core, ids[2])
    assert placed(core) == [(ids[4], 0), (ids[5], 0)]


def test_links_that_were_added_while_there_was_no_room_are_found_when_there_is() -> None:
    core = early_core(1, early=1)
    ids = chain(core, 2)
    placed(core)
    ids += chain(core, 2, ids[-1])
    assert placed(core) == []
    finish(core, ids[0])
    assert placed(core) == [(ids[2], 0)]


def test_chains_take_turns() -> None:
    core = early_core(2, early=4)
    one, two = chain(core, 5), chain(core, 5)
    assert [id for id, _ in placed(core)] == [one[0], two[0], one[1], two[1], one[2], two[2]]


def test_early_tasks_hold_no_slot_and_take_no_room() -> None:
    core = early_core(2)
    ids = chain(core, 3)
    placed(core)
    assert (core.n_assigned(0), core.occupancy(0), core.n_early(0)) == (3, 1, 2)
    assert core.idle_slots == 1
    other = core.add_task()
    assert placed(core) == [(other, 0)]
    finish(core, ids[0])
    assert (core.occupancy(0), core.n_early(0)) == (2, 1)


def test_an_input_takes_one_along_and_the_others_are_placed_when_they_are_ready() -> None:
    core = early_core(1, 1)
    (a,) = chain(core, 1)
    fan = [core.add_task([a]) for _ in range(3)]
    assert placed(core) == [(a, 0), (fan[0], 0)]
    finish(core, a)
    assert placed(core) == [(fan[1], 1)]


@pytest.mark.parametrize("long_first", [False, True])
def test_of_several_dependents_the_one_that_others_wait_for_goes_along(long_first: bool) -> None:
    core = early_core(1)
    (a,) = chain(core, 1)
    if long_first:
        link, follower = chain(core, 2, a)
        core.add_task([a])
    else:
        core.add_task([a])
        link, follower = chain(core, 2, a)
    assert [id for id, _ in placed(core)] == [a, link, follower]


def test_priority_decides_who_goes_along() -> None:
    core = early_core(1)
    (a,) = chain(core, 1)
    chain(core, 2, a)
    urgent = core.add_task([a], priority=1)
    assert [id for id, _ in placed(core)] == [a, urgent]


def test_the_second_half_of_a_diamond_follows_both_of_its_inputs() -> None:
    core = early_core(2)
    left, right = core.add_task(), core.add_task()
    join = core.add_task([left, right])
    assert placed(core) == [(left, 0), (right, 0), (join, 0)]
    finish(core, right)
    assert early(core, join) == [True]
    finish(core, left)
    assert early(core, join) == [False]
    finish(core, join)
    assert states(core, left, right, join) == [MEMORY] * 3


def test_a_task_whose_inputs_are_computed_at_two_places_waits_until_one_is_left() -> None:
    core = early_core(1, 1)
    left, right = core.add_task(), core.add_task()
    join = core.add_task([left, right])
    assert placed(core) == [(left, 0), (right, 1)]
    finish(core, left)
    assert placed(core) == [(join, 1)]
    assert early(core, join) == [True]


def test_a_task_with_very_many_inputs_waits_for_them() -> None:
    core = early_core(17)
    inputs = [core.add_task() for _ in range(17)]
    few, many = core.add_task(inputs[:16]), core.add_task(inputs)
    assert [id for id, _ in placed(core)] == [*inputs, few]
    assert states(core, many) == [WAITING]


def test_a_task_that_only_another_worker_may_run_is_not_placed_early() -> None:
    core = early_core(1, 1)
    (a,) = chain(core, 1)
    here, there = core.add_task([a], only=0), core.add_task([a], only=1)
    assert placed(core) == [(a, 0), (here, 0)]
    assert states(core, there) == [WAITING]


def test_a_task_goes_to_its_large_input_not_to_the_one_that_is_computed() -> None:
    core = early_core(1, 1)
    large = in_memory(core, 1, nbytes=1000)
    (a,) = chain(core, 1)
    by_both = core.add_task([a, large])
    assert placed(core) == [(a, 0)]
    finish(core, a)
    assert placed(core) == [(by_both, 1)]


def test_a_small_input_elsewhere_is_no_hindrance() -> None:
    core = early_core(1, 1)
    small = in_memory(core, 1, nbytes=10)
    (a,) = chain(core, 1)
    both = core.add_task([a, small])
    assert placed(core) == [(a, 0), (both, 0)]


def test_nobody_is_placed_early_on_a_closed_worker() -> None:
    core = early_core(1)
    a, b = chain(core, 2)
    core.claim(a, 0)
    core.set_open(0, False)
    assert placed(core) == []
    core.set_open(0, True)
    assert placed(core) == [(b, 0)]


def test_a_ready_task_that_goes_before_is_not_overtaken() -> None:
    core = early_core(1)
    (a,) = chain(core, 1)
    assert placed(core) == [(a, 0)]
    first, low, late = core.add_task(priority=5), core.add_task([a]), core.add_task()
    assert placed(core) == []
    core.set_limit(0, 2)
    assert placed(core) == [(first, 0)]  # late has no room, but is after low
    assert states(core, low, late) == [WAITING, READY]
    core.set_early(0, 0)
    finish(core, a)
    assert placed(core) == [(low, 0)]


def test_what_an_input_brought_to_memory_leaves_is_enough_to_look_again() -> None:
    core = early_core(1, 1)
    a, b = core.add_task(), core.add_task()
    assert placed(core) == [(a, 0), (b, 1)]
    join = core.add_task([a, b])
    tail = chain(core, 2, join)
    finish(core, b)
    assert placed(core) == [(join, 0), (tail[0], 0), (tail[1], 0)]


# ---- called back -----------------------------------------------------------------------------------------------------


def test_an_input_that_is_given_back_takes_the_whole_chain_with_it() -> None:
    core = early_core(1, 1)
    ids = chain(core, 3)
    placed(core)
    core.set_open(0, False)
    core.set_open(1, False)
    assert core.give_back(ids[0], 1, 0)
    effects = drained(core)
    assert effects == [(Effect.DROP, ids[1], 0, 1), (Effect.DROP, ids[2], 0, 1)]
    assert states(core, *ids) == [READY, WAITING, WAITING]
    core.set_open(1, True)
    assert placed(core) == [(id, 1) for id in ids]


def test_an_input_that_fails_fails_its_early_dependents_and_drops_them() -> None:
    core = early_core(1)
    ids = chain(core, 3)
    placed(core)
    assert core.fail(ids[0], 1, 0)
    effects = drained(core)
    for id in ids[1:]:
        assert [kind for kind, other, _, _ in effects if other == id] == [Effect.DROP, Effect.ERRED]
    assert states(core, *ids) == [ERRED] * 3
    assert core.occupancy(0) == core.n_early(0) == 0


def test_an_input_that_is_tried_again_is_followed_again() -> None:
    core = early_core(1)
    a, b = chain(core, 2)
    placed(core)
    assert core.retry(a, 1, 0)
    assert [(kind, id, run) for kind, id, _, run in drained(core)] == [
        (Effect.DROP, b, 1),
        (Effect.ASSIGN, a, 2),
        (Effect.ASSIGN, b, 2),
    ]


def test_cancelling_in_the_middle_of_a_chain_drops_what_comes_after() -> None:
    core = early_core(1)
    ids = chain(core, 4)
    placed(core)
    assert core.err(ids[1])
    drained(core)
    assert states(core, *ids) == [ASSIGNED, ERRED, ERRED, ERRED]
    finish(core, ids[0])
    core.check()


def test_a_chain_that_nobody_wants_is_dropped_as_a_whole() -> None:
    core = early_core(1)
    ids = chain(core, 3, wants=0)
    core.want(ids[-1])
    placed(core)
    core.unwant(ids[-1])
    effects = drained(core)
    assert sorted(id for kind, id, _, _ in effects if kind == Effect.DROP) == ids
    assert core.n_tasks == 0


def test_an_early_task_comes_back_when_another_input_of_it_is_lost() -> None:
    core = early_core(1, 1)
    stored = in_memory(core, 1)
    (a,) = chain(core, 1)
    ids = chain(core, 2, a, stored)
    placed(core)
    assert early(core, *ids) == [True, True]
    core.set_early(0, 0)
    core.drop_replica(stored, 1)
    assert [(kind, id) for kind, id, _, _ in drained(core) if kind == Effect.DROP] == [
        (Effect.DROP, ids[0]),
        (Effect.DROP, ids[1]),
    ]
    assert states(core, *ids) == [WAITING, WAITING]


def test_a_task_whose_inputs_have_come_is_not_called_back() -> None:
    core = early_core(1)
    a, b, c = chain(core, 3)
    placed(core)
    finish(core, a)
    core.drop_replica(a, 0)
    effects = drained(core)
    assert [kind for kind, id, _, _ in effects if id == b] == []
    assert states(core, b, c) == [ASSIGNED, ASSIGNED]


def test_early_tasks_of_a_removed_worker_go_elsewhere_and_nothing_is_told_to_it() -> None:
    core = early_core(1, 1)
    ids = chain(core, 3)
    placed(core)
    core.remove_worker(0)
    effects = drained(core)
    assert [(id, worker) for kind, id, worker, _ in effects if kind == Effect.ASSIGN] == [(id, 1) for id in ids]
    assert [e for e in effects if e[0] == Effect.DROP] == []


def test_a_restricted_early_task_errs_with_its_worker() -> None:
    core = early_core(1, 1)
    (a,) = chain(core, 1)
    b = core.add_task([a], only=0)
    (c,) = chain(core, 1, b)
    placed(core)
    core.remove_worker(0)
    assert states(core, b, c) == [ERRED, ERRED]
    assert core.cause(c) == b
    core.check()


def test_an_early_task_that_the_worker_gives_back_waits_for_its_inputs() -> None:
    """It could not be started so: sent again at once it would come back again."""
    core = early_core(1)
    a, b, c = chain(core, 3)
    placed(core)
    assert core.give_back(b, 1, 0)
    assert kinds(core, b) == []
    assert states(core, b, c) == [WAITING, WAITING]
    finish(core, a)
    assert placed(core) == [(b, 0), (c, 0)]


def test_an_early_task_may_fail_before_its_inputs_are_there() -> None:
    core = early_core(1)
    a, b = chain(core, 2)
    placed(core)
    assert core.fail(b, 1, 0)
    assert states(core, a, b) == [ASSIGNED, ERRED]
    assert early(core, b) == [False]


def test_the_value_of_an_early_task_is_a_value() -> None:
    """The worker has it from an earlier attempt: what it was to be made from is not needed for it any more."""
    core = early_core(1)
    ids = chain(core, 3, wants=0)
    core.want(ids[-1])
    placed(core)
    finish(core, ids[1])
    assert (Effect.DROP, ids[0], 0, 1) in drained(core)
    assert early(core, *ids) == [False, False, False]


# ---- beside the other rules ------------------------------------------------------------------------------------------


def test_early_tasks_are_not_asked_back() -> None:
    core = early_core(1, ahead=2)
    a, b = chain(core, 1), chain(core, 2)
    placed(core)
    assert core.retractable(0, 9) == [(b[0], 1)]
    assert core.occupancy(0) == 2
    assert early(core, *a, *b) == [False, False, True]


def test_an_early_task_has_no_slot_to_lend() -> None:
    core = early_core(1)
    _, b = chain(core, 2)
    placed(core)
    assert not core.secede(b)
    assert core.lent(0) == 0


def test_the_oldest_assigned_come_first_whether_they_are_early_or_not() -> None:
    core = early_core(2)
    ids = chain(core, 3)
    placed(core)
    other = core.add_task()
    placed(core)
    assert core.assigned_to(0) == [*ids, other]


@pytest.mark.parametrize("early", [-1, -5])
def test_a_negative_number_of_early_tasks_is_refused(early: int) -> None:
    core = core_with(1)
    with pytest.raises(ValueError, match="early must be >= 0"):
        core.set_early(0, early)


def test_fewer_may_be_early_than_are() -> None:
    core = early_core(1)
    ids = chain(core, 4)
    placed(core)
    core.set_early(0, 1)
    core.check()
    for id in ids:
        finish(core, id)
    assert states(core, *ids) == [MEMORY] * 4


@pytest.mark.parametrize(("width", "slots"), [(1, 1), (2, 1), (2, 2), (5, 2)])
def test_layers_that_need_each_other_come_to_an_end(width: int, slots: int) -> None:
    """Each task of a layer needs all of the layer before."""
    core = early_core(slots, slots, early=3)
    layer: list[int] = []
    ids: list[int] = []
    for _ in range(6):
        layer = [core.add_task(layer) for _ in range(width)]
        ids += layer
    while core.count(MEMORY) < len(ids):
        drained(core)
        runnable = [id for id in ids if core.state(id) == ASSIGNED and core.unmet(id) == 0]
        assert runnable, "nobody can run"
        finish(core, runnable[0])
    core.check()
