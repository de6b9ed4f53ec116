"""Who runs what where: order of the ready queue, loads, locality, restriction, prefill."""

from __future__ import annotations

import random

import pytest

from fastsched._core import Effect, State
from tests.core.helpers import core_with, drained, finish, in_memory, placed


def test_higher_priority_goes_first_then_lower_order_then_arrival() -> None:
    core = core_with(1, ahead=9)
    late = core.add_task(priority=-1)
    second = core.add_task()
    third = core.add_task()
    first = core.add_task(priority=1)
    child = core.add_task(order=core.order(second))
    assert [id for id, _ in placed(core)] == [first, second, child, third, late]


def test_any_mix_of_pushes_and_removals_leaves_the_queue_sorted() -> None:
    core = core_with()
    rng = random.Random(0)
    live: dict[int, tuple[int, int, int]] = {}
    for i in range(3000):
        if live and rng.random() < 0.4:
            id = rng.choice(list(live))
            core.unwant(id)
            del live[id]
        else:
            priority, order = rng.randrange(-3, 3), rng.randrange(50)
            live[core.add_task((), priority, order)] = (-priority, order, i)
    core.check()
    assert core.ready(len(live) + 1) == sorted(live, key=live.__getitem__)
    core.check()


def test_looking_at_the_ready_queue_takes_nothing_out() -> None:
    core = core_with(1)
    ids = [core.add_task() for _ in range(3)]
    assert core.ready(2) == ids[:2]
    assert core.ready(0) == []
    assert core.n_ready == 3
    assert placed(core) == [(ids[0], 0)]


def test_tasks_spread_over_workers_in_proportion_to_their_slots() -> None:
    core = core_with(1, 3)
    for _ in range(4):
        core.add_task()
    workers = [worker for _, worker in placed(core)]
    assert sorted(workers) == [0, 1, 1, 1]
    assert core.idle_slots == 0


def test_no_more_is_sent_than_the_limit() -> None:
    core = core_with(1, 1, ahead=2)
    for _ in range(10):
        core.add_task()
    assert len(placed(core)) == 6
    assert [core.n_assigned(w) for w in (0, 1)] == [3, 3]
    assert core.n_ready == 4


def test_slots_are_filled_before_anything_is_sent_ahead() -> None:
    core = core_with(1, 2, ahead=5)
    for _ in range(3):
        core.add_task()
    placed(core)
    assert [core.n_assigned(w) for w in (0, 1)] == [1, 2]


def test_a_closed_worker_gets_nothing_until_it_opens() -> None:
    core = core_with(1)
    core.set_open(0, False)
    id = core.add_task()
    assert core.idle_slots == 0
    assert placed(core) == []
    core.set_open(0, True)
    assert placed(core) == [(id, 0)]


def test_a_worker_without_slots_gets_nothing() -> None:
    core = core_with(0)
    core.set_limit(0, 5)
    id = core.add_task()
    assert placed(core) == []
    core.set_slots(0, 1)
    assert placed(core) == [(id, 0)]


def test_a_task_goes_where_its_inputs_are_if_a_slot_is_free_there() -> None:
    core = core_with(2, 2)
    busy = core.add_task()
    assert placed(core) == [(busy, 0)]
    value = in_memory(core, 0)
    task = core.add_task([value])
    assert placed(core) == [(task, 0)]


def test_a_task_follows_many_bytes_to_a_loaded_worker_but_not_a_few() -> None:
    for nbytes, worker in ((99, 1), (100, 0)):
        core = core_with(1, 1, ahead=1, locality_bytes=100)
        busy = core.add_task()
        assert placed(core) == [(busy, 0)]
        task = core.add_task([in_memory(core, 0, nbytes)])
        assert placed(core) == [(task, worker)]


def test_a_task_goes_where_its_inputs_are_if_that_worker_is_no_more_loaded() -> None:
    core = core_with(1, 1, ahead=1)
    for _ in range(2):
        core.add_task()
    assert sorted(worker for _, worker in placed(core)) == [0, 1]
    tasks = [core.add_task([in_memory(core, worker)]) for worker in (1, 0)]
    assert placed(core) == [(tasks[0], 1), (tasks[1], 0)]


def test_a_task_goes_elsewhere_when_the_holder_is_full_or_closed() -> None:
    for close in (True, False):
        core = core_with(1, 1, locality_bytes=1)
        value = in_memory(core, 0, 1000)
        if close:
            core.set_open(0, False)
        else:
            core.add_task(only=0)
            placed(core)
        task = core.add_task([value])
        assert placed(core) == [(task, 1)]


def test_the_holder_of_the_most_bytes_wins() -> None:
    core = core_with(2, 2, 2)
    inputs = [in_memory(core, worker, nbytes) for worker, nbytes in ((0, 50), (1, 30), (2, 60), (1, 40))]
    task = core.add_task(inputs)
    assert placed(core) == [(task, 1)]


def test_a_value_that_all_hold_draws_tasks_to_the_least_loaded() -> None:
    core = core_with(2, 2)
    value = in_memory(core, 0, 1 << 30)
    core.replica(value, 1, 1 << 30)
    for _ in range(4):
        core.add_task([value])
    assert sorted(worker for _, worker in placed(core)) == [0, 0, 1, 1]


def test_a_restricted_task_runs_only_there() -> None:
    core = core_with(1, 1)
    first, second = core.add_task(only=1), core.add_task(only=1)
    assert placed(core) == [(first, 1)]
    assert core.n_ready == 1
    assert core.claim(second, 0) == 0
    finish(core, first)
    assert placed(core) == [(second, 1)]


def test_restricted_and_common_tasks_share_a_worker_by_their_keys() -> None:
    core = core_with(1, ahead=9)
    low = core.add_task(priority=-1)
    own = core.add_task(only=0)
    high = core.add_task(priority=1)
    low_own = core.add_task(priority=-2, only=0)
    assert [id for id, _ in placed(core)] == [high, own, low, low_own]


def test_a_restricted_task_leaves_its_queue_when_it_is_let_go() -> None:
    core = core_with(1)
    running = core.add_task(only=0)
    queued = core.add_task(only=0)
    placed(core)
    core.unwant(queued)
    finish(core, running)
    assert placed(core) == []


def test_a_backlog_that_was_left_is_placed_when_a_slot_is_freed() -> None:
    core = core_with(1)
    ids = [core.add_task() for _ in range(3)]
    for id in ids:
        assert placed(core) == [(id, 0)]
        finish(core, id)


def test_the_latest_assignments_beyond_the_slots_can_be_asked_back() -> None:
    core = core_with(2, ahead=3)
    ids = [core.add_task() for _ in range(5)]
    placed(core)
    assert core.retractable(0, 2) == [(ids[4], 1), (ids[3], 1)]
    assert core.retractable(0, 9) == [(ids[4], 1), (ids[3], 1), (ids[2], 1)]
    assert core.assigned_to(0) == ids
    core.give_back(ids[4], 1, 0)
    assert core.retractable(0, 0) == []


def test_many_workers_are_loaded_evenly() -> None:
    rng = random.Random(1)
    slots = [rng.randrange(1, 9) for _ in range(100)]
    core = core_with(*slots)
    ids = [core.add_task() for _ in range(sum(slots))]
    assert len(placed(core)) == len(ids)
    for id in rng.sample(ids, len(ids) // 2):
        finish(core, id)
    core.check()
    assert core.idle_slots == len(ids) // 2
    for _ in ids:
        core.add_task()
    assert len(placed(core)) == len(ids) // 2
    assert core.idle_slots == 0


def test_a_dropped_task_makes_room_at_once() -> None:
    core = core_with(1)
    first, second = core.add_task(), core.add_task()
    placed(core)
    core.unwant(first)
    assert [kind for kind, *_ in drained(core)] == [Effect.DROP, Effect.FORGET, Effect.ASSIGN]
    assert core.state(second) == State.ASSIGNED


@pytest.mark.parametrize("n", [1, 2, 7])
def test_idle_slots_are_those_of_open_workers(n: int) -> None:
    core = core_with(n, 3)
    assert core.idle_slots == n + 3
    core.set_open(1, False)
    assert core.idle_slots == n
    core.add_task()
    placed(core)
    assert core.idle_slots == n - 1
    core.remove_worker(0)
    assert core.idle_slots == 0


def test_a_task_that_is_given_back_goes_before_those_that_came_after_it() -> None:
    core = core_with(1)
    ids = [core.add_task() for _ in range(6)]
    for _ in range(3):
        assert placed(core) == [(ids[0], 0)]
        assert core.give_back(ids[0], core.run(ids[0]), 0)
        core.check()
        assert core.ready(9) == ids


def test_the_queue_stays_small_and_sorted_while_tasks_come_and_go() -> None:
    core = core_with(1)
    core.set_open(0, False)
    first = core.add_task()
    middle: list[int] = []
    for i in range(2000):
        middle.append(core.add_task())
        if i % 3:
            core.unwant(middle.pop(-1 - i % len(middle)))  # gaps everywhere but at the ends
        if i % 100 == 0:
            core.check()
    assert core.ready(5000) == [first, *middle]
    core.set_open(0, True)
    assert placed(core) == [(first, 0)]
    core.check()


def test_a_task_that_follows_its_inputs_is_not_asked_back() -> None:
    """It would be placed there again, and asked back again, without an end."""
    core = core_with(1, 1, ahead=3, locality_bytes=1000)
    source = core.add_task()
    ((_, home),) = placed(core)
    finish(core, source, nbytes=1000)
    followers = [core.add_task([source]) for _ in range(3)]
    free = core.add_task()
    assert placed(core) == [*((id, home) for id in followers), (free, 1 - home)]
    assert core.retractable(home, 9) == []


def test_neither_is_one_of_which_two_workers_have_the_inputs() -> None:
    core = core_with(1, 1, 1, ahead=3, locality_bytes=1000)
    source = core.add_task()
    ((_, first),) = placed(core)
    finish(core, source, nbytes=1000)
    second = (first + 1) % 3
    core.replica(source, second, 1000)
    followers = [core.add_task([source]) for _ in range(4)]
    assert [worker for _, worker in placed(core)].count(first) == 2
    assert core.retractable(first, 9) == core.retractable(second, 9) == []
    assert len(followers) == core.n_assigned(first) + core.n_assigned(second)
