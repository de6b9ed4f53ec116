"""Need, memory, failure and lineage: what passes along the edges of a graph."""

from __future__ import annotations

from array import array

import pytest

from fastsched._core import EXTERNAL, Effect, SchedulerCore, State
from tests.core.helpers import core_with, drained, finish, in_memory, kinds, placed, states

WAITING, READY, ASSIGNED, MEMORY = State.WAITING, State.READY, State.ASSIGNED, State.MEMORY
RELEASED, ERRED = State.RELEASED, State.ERRED


def test_a_chain_runs_link_by_link() -> None:
    core = core_with(1)
    a = core.add_task(wants=0)
    b = core.add_task([a], wants=0)
    c = core.add_task([b])
    for task in (a, b, c):
        assert placed(core) == [(task, 0)]
        finish(core, task)
    assert drained(core)[0] == (Effect.MEMORY, c, 0, 0)
    assert core.tasks() == [a, b, c]


def test_an_inner_value_is_freed_when_its_last_dependent_finishes_and_kept_as_lineage() -> None:
    core = core_with(1)
    a = core.add_task(wants=0)
    b = core.add_task([a])
    placed(core)
    finish(core, a)
    placed(core)
    finish(core, b)
    assert (Effect.FREE, a, 0, 0) in drained(core)
    assert states(core, a, b) == [RELEASED, MEMORY]


def test_lineage_is_forgotten_with_the_last_dependent() -> None:
    core = core_with(1)
    a = core.add_task(wants=0)
    b = core.add_task([a])
    core.unwant(b)
    assert [effect[:2] for effect in drained(core)] == [(Effect.FORGET, b), (Effect.FORGET, a)]
    assert core.n_tasks == 0


def test_a_task_without_wants_lives_until_the_end_of_the_turn_and_not_longer() -> None:
    core = SchedulerCore()
    kept, lost = core.add_task(wants=0), core.add_task(wants=0)
    user = core.add_task([kept])
    assert core.known(lost)
    assert drained(core) == [(Effect.FORGET, lost, 0, 0)]
    assert core.tasks() == [kept, user]


def test_released_lineage_is_computed_again_when_it_is_wanted() -> None:
    core = core_with(1)
    a = core.add_task(wants=0)
    b = core.add_task([a])
    placed(core)
    finish(core, a)
    placed(core)
    finish(core, b)
    placed(core)
    core.want(a)
    assert placed(core) == [(a, 0)]
    assert core.run(a) == 2


def test_a_dependency_given_twice_counts_once_for_memory() -> None:
    core = core_with(1)
    a = core.add_task()
    b = core.add_task([a, a])
    assert core.unmet(b) == 2
    placed(core)
    finish(core, a)
    assert placed(core) == [(b, 0)]


def test_dependencies_keep_their_order() -> None:
    core = SchedulerCore()
    inputs = [core.add_task() for _ in range(5)]
    assert core.dependencies(core.add_task(inputs)) == inputs
    assert core.dependencies(core.add_task(array("q", inputs))) == inputs


# ---- failure -------------------------------------------------------------------------------------------------------


def test_a_failure_passes_to_whoever_waits_for_it_and_names_its_root() -> None:
    core = core_with(1)
    a = core.add_task()
    b = core.add_task([a])
    c = core.add_task([b])
    bystander = core.add_task()
    placed(core)
    assert core.fail(a, 1, 0)
    effects = drained(core)
    assert effects[:3] == [(Effect.ERRED, task, a, 0) for task in (a, b, c)]
    assert [core.cause(task) for task in (a, b, c)] == [a, a, a]
    assert core.state(bystander) == ASSIGNED


def test_a_task_added_to_a_failed_input_errs_at_once() -> None:
    core = core_with(1)
    a = core.add_task()
    assert core.err(a)
    b = core.add_task([a])
    assert (Effect.ERRED, b, a, 0) in drained(core)


def test_a_failure_lets_go_of_the_other_inputs() -> None:
    core = core_with(1)
    good = in_memory(core, 0)
    bad = core.add_task()
    both = core.add_task([good, bad])
    core.unwant(good)
    drained(core)
    assert core.err(bad)
    assert (Effect.FREE, good, 0, 0) in drained(core)
    assert core.state(both) == ERRED


def test_lineage_that_nobody_needs_does_not_err_with_its_input() -> None:
    core = core_with(1)
    a = core.add_task()
    b = core.add_task([a], wants=0)
    c = core.add_task([b])
    core.err(c)  # now nothing needs b
    drained(core)
    assert core.err(a)
    drained(core)
    assert states(core, a, b, c) == [ERRED, RELEASED, ERRED]


def test_an_assigned_dependent_of_a_failed_input_goes_on_and_errs_when_it_comes_back() -> None:
    core = core_with(2)
    a = in_memory(core, 0)
    b = core.add_task([a])
    placed(core)
    core.drop_replica(a, 0)
    assert core.err(a)
    assert core.state(b) == ASSIGNED
    assert core.give_back(b, 1, 0)
    assert (Effect.ERRED, b, a, 0) in drained(core)


def test_an_erred_task_that_is_let_go_and_wanted_again_runs_again() -> None:
    core = core_with(1)
    a = core.add_task()
    keeper = core.add_task([a])
    placed(core)
    core.fail(a, 1, 0)
    core.unwant(a)
    drained(core)
    assert states(core, a, keeper) == [RELEASED, ERRED]
    core.want(a)
    assert placed(core) == [(a, 0)]
    assert core.cause(a) == 0


@pytest.mark.parametrize("verb", ["retry", "give_back"])
def test_a_run_that_comes_back_is_placed_again_under_a_new_run(verb: str) -> None:
    core = core_with(1)
    a = core.add_task()
    drained(core)
    assert getattr(core, verb)(a, 1, 0)
    assert drained(core) == [(Effect.ASSIGN, a, 0, 2)]


def test_err_on_a_running_task_drops_it_first() -> None:
    core = core_with(1)
    a = core.add_task()
    placed(core)
    assert core.err(a)
    assert drained(core) == [(Effect.DROP, a, 0, 1), (Effect.ERRED, a, a, 0)]
    assert core.idle_slots == 1


def test_err_on_a_value_frees_every_replica() -> None:
    core = core_with(1, 1)
    a = in_memory(core, 0)
    core.replica(a, 1, 8)
    drained(core)
    assert core.err(a)
    effects = drained(core)
    assert sorted(effects[:2]) == [(Effect.FREE, a, 0, 0), (Effect.FREE, a, 1, 0)]
    assert effects[2:] == [(Effect.ERRED, a, a, 0)]


# ---- loss ----------------------------------------------------------------------------------------------------------


def test_a_lost_value_is_computed_again_with_the_lineage_that_it_needs() -> None:
    core = core_with(1, 1)
    a = core.add_task(wants=0)
    b = core.add_task([a])
    for task in (a, b):
        placed(core)
        core.finish(task, 1, core.worker(task), 8)
    drained(core)
    (holder,) = core.holders(b)
    core.remove_worker(holder)
    effects = drained(core)
    assert effects[0] == (Effect.LOST, b, 0, 0)
    assert effects[-1][:2] == (Effect.ASSIGN, a)
    assert states(core, a, b) == [ASSIGNED, WAITING]


def test_losing_one_of_two_replicas_loses_nothing() -> None:
    core = core_with(1, 1)
    a = in_memory(core, 0)
    core.replica(a, 1, 8)
    drained(core)
    core.remove_worker(0)
    assert drained(core) == []
    assert core.holders(a) == [1]


def test_a_ready_task_waits_again_when_an_input_is_lost() -> None:
    core = core_with(1)
    a = in_memory(core, 0)
    core.set_open(0, False)
    b = core.add_task([a])
    assert core.state(b) == READY
    assert core.drop_replica(a, 0)
    assert states(core, a, b) == [READY, WAITING]


def test_tasks_of_a_lost_worker_run_elsewhere_and_it_is_told_nothing_more() -> None:
    core = core_with(1)
    a, b = core.add_task(), in_memory(core, 0)
    placed(core)
    core.unwant(b)  # would tell worker 0 to free it
    core.remove_worker(0)
    core.add_worker(1)
    effects = drained(core)
    assert (Effect.ASSIGN, a, 1, 2) in effects
    assert Effect.FREE not in {kind for kind, *_ in effects}


def test_a_dependent_that_runs_elsewhere_goes_on_when_its_input_is_lost() -> None:
    core = core_with(0, 1)
    a = in_memory(core, 0)
    b = core.add_task([a])
    assert placed(core) == [(b, 1)]
    core.remove_worker(0)
    drained(core)
    assert core.state(b) == ASSIGNED
    assert core.finish(b, 1, 1, 8)


def test_a_worker_handle_is_not_used_again_before_the_drain() -> None:
    core = core_with(1)
    core.remove_worker(0)
    assert core.add_worker(1) == 1
    drained(core)
    assert core.add_worker(1) == 0


def test_a_restricted_task_errs_when_its_worker_goes_and_its_lineage_when_it_is_needed() -> None:
    core = core_with(1, 1)
    ready = core.add_task(only=0)
    waiting = core.add_task([core.add_task()], only=0)
    released = core.add_task(only=0)
    core.err(core.add_task([released]))
    core.unwant(released)
    core.remove_worker(0)
    assert states(core, ready, waiting, released) == [ERRED, ERRED, RELEASED]
    assert core.cause(ready) == ready
    core.want(released)
    assert core.cause(released) == released
    drained(core)


def test_a_restricted_task_does_not_follow_the_handle_to_a_new_worker() -> None:
    core = core_with(1, 1)
    value = core.add_task(only=0)
    placed(core)
    finish(core, value)
    core.replica(value, 1, 8)
    core.remove_worker(0)
    drained(core)
    assert core.add_worker(1) == 0
    core.drop_replica(value, 1)
    assert core.state(value) == ERRED


# ---- external rows, hand-over --------------------------------------------------------------------------------------


def test_an_external_row_is_fetched_when_it_becomes_needed_and_not_before() -> None:
    core = core_with(1)
    data = core.add_external(wants=0)
    user = core.add_task([data])
    assert kinds(core, data) == [Effect.FETCH]
    assert core.flags(data) & EXTERNAL
    assert core.replica(data, 0, 100)
    assert drained(core) == [(Effect.MEMORY, data, 0, 0), (Effect.ASSIGN, user, 0, 1)]
    assert core.nbytes(data) == 100


def test_scattered_data_that_is_lost_errs_and_so_does_who_needs_it() -> None:
    core = core_with(1, 1)
    data = core.add_external()
    core.replica(data, 0, 8)
    user = core.add_task([data, core.add_task()])
    core.remove_worker(0)
    effects = drained(core)
    assert [e for e in effects if e[1] == data][-2:] == [(Effect.LOST, data, 0, 0), (Effect.ERRED, data, data, 0)]
    assert core.cause(user) == data


def test_a_replica_that_nobody_wants_is_refused_and_counted() -> None:
    core = core_with(1)
    data = core.add_external()
    core.unwant(data)
    assert not core.replica(data, 0, 8)
    assert not core.replica(core.add_task(), 0, 8)
    assert core.stale == 2


def test_a_replica_that_is_reported_twice_is_held_once() -> None:
    core = core_with(1)
    a = in_memory(core, 0)
    assert core.replica(a, 0, 8)
    assert core.holders(a) == [0]
    drained(core)
    assert core.drop_replica(a, 0)
    assert core.state(a) == READY


def test_a_replica_from_a_worker_that_is_gone_is_refused() -> None:
    core = core_with(1, 1)
    a = in_memory(core, 0)
    core.remove_worker(1)
    assert not core.replica(a, 1, 8)
    assert core.holders(a) == [0]


def test_a_task_that_is_handed_over_lets_go_of_its_inputs_and_is_not_run_here() -> None:
    core = core_with(1)
    a = in_memory(core, 0)
    b = core.add_task([a])
    core.unwant(a)
    assert core.hand_over(b)
    assert [kind for kind, id, *_ in drained(core) if id == a][-1] == Effect.FREE
    assert states(core, a, b) == [RELEASED, WAITING]
    assert core.replica(b, 0, 8)
    assert kinds(core, b) == [Effect.MEMORY]


def test_a_task_that_is_taken_back_is_computed_here_with_its_inputs() -> None:
    core = core_with(1)
    a = core.add_task(wants=0)
    b = core.add_task([a])
    assert core.hand_over(b)
    assert placed(core) == []
    assert core.take_back(b)
    assert placed(core) == [(a, 0)]


def test_only_one_of_claim_placement_and_hand_over_gets_a_task() -> None:
    core = core_with(1)
    claimed, handed, running = (core.add_task() for _ in range(3))
    assert core.claim(claimed, 0) == 1
    assert not core.hand_over(claimed)
    assert core.hand_over(handed)
    assert core.claim(handed, 0) == 0
    finish(core, claimed)
    assert placed(core) == [(running, 0)]
    assert core.claim(running, 0) == 0
    assert not core.hand_over(running)


# ---- batches -------------------------------------------------------------------------------------------------------


def submit(core: SchedulerCore, deps: list[list[int]], **more: array[int]) -> list[int]:
    indptr, flat = array("q", [0]), array("q")
    for inputs in deps:
        flat.extend(inputs)
        indptr.append(len(flat))
    return list(core.submit_many(more.get("priorities"), indptr, flat, more.get("wants"), more.get("orders")))


def test_a_batch_may_depend_on_itself_and_on_what_was_there() -> None:
    core = core_with(4)
    old = core.add_task()
    a, b, c = submit(core, [[old], [-1], [-1, -2, old]])
    assert [core.dependencies(task) for task in (a, b, c)] == [[old], [a], [a, b, old]]
    core.check()


def test_a_batch_takes_priorities_wants_and_orders() -> None:
    core = SchedulerCore()
    numbers = array("q", [3, 0, 2])
    ids = submit(core, [[], [], [-2]], priorities=numbers, wants=numbers, orders=array("q", [7, 8, -1]))
    assert [core.priority(id) for id in ids] == [3, 0, 2]
    assert [core.wants(id) for id in ids] == [3, 0, 2]
    assert [core.order(id) for id in ids] == [7, 8, 2]


@pytest.mark.parametrize(
    ("indptr", "deps", "error"),
    [
        ([1, 1], [], ValueError),
        ([0, 2], [-1, -1], ValueError),
        ([0, 2, 1], [], ValueError),
        ([0, 1], [], ValueError),
        ([], [], ValueError),
        ([0, 0, 1], [-2], ValueError),
        ([0, 1], [99], KeyError),
    ],
)
def test_a_bad_batch_changes_nothing(indptr: list[int], deps: list[int], error: type[Exception]) -> None:
    core = core_with(1)
    with pytest.raises(error):
        core.submit_many(None, array("q", indptr), array("q", deps))
    assert core.n_tasks == 0
    assert drained(core) == []


def test_a_batch_of_the_wrong_lengths_changes_nothing() -> None:
    core = core_with(1)
    one, two = array("q", [0]), array("q", [0, 0])
    for columns in ({"priorities": two}, {"wants": two}, {"orders": two}):
        with pytest.raises(ValueError, match="1 entries"):
            submit(core, [[]], **columns)
    with pytest.raises(ValueError, match="wants must be"):
        submit(core, [[]], wants=array("q", [-1]))
    with pytest.raises(ValueError, match="1 runs"):
        core.finish_many(one, two, 0, one)
    assert core.n_tasks == 0


def test_finish_many_counts_what_it_accepted() -> None:
    core = core_with(3)
    ids = submit(core, [[], [], []])
    placed(core)
    runs, sizes = array("q", [1, 2, 1]), array("q", [5, 5, 5])
    assert core.finish_many(array("q", ids), runs, 0, sizes) == 2
    assert core.stale == 1
    assert states(core, *ids) == [MEMORY, ASSIGNED, MEMORY]


def test_effects_as_an_array_are_the_effects_as_a_list() -> None:
    cores = [core_with(2), core_with(2)]
    for core in cores:
        core.add_task([core.add_task()])
    assert [tuple(row) for row in cores[0].drain_array().tolist()] == cores[1].drain()
    assert cores[0].drain_array().shape == (0, 4)
