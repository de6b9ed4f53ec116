"""Workers that die, values that are lost with them, inputs that cannot be fetched, and clusters without workers."""

from __future__ import annotations

import itertools

import pytest

from fastsched.config import Config
from fastsched.wire.messages import ErrorKind
from tests.machines.helpers.scheduler_world import World

LARGE = {"value": None, "nbytes": 100_000}


def test_tasks_of_a_lost_worker_run_elsewhere(world):
    client, first = world.client(), world.worker("first", nthreads=2)
    client.submit("a")
    client.submit("b")
    second = world.worker("second", nthreads=2)
    first.die(executing=["a"])
    assert first.news() == second.news() == ["run a", "run b"]
    assert second.tasks["a"].run == 2
    second.finish("a", "b")
    assert client.news() == ["finished a", "finished b"]


def test_what_a_lost_worker_still_says_is_not_heard(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    client.submit("a")
    result = first.result("a")
    first.die()
    first.done(finished=[result])
    assert client.news() == []
    second.finish("a")
    assert client.news() == ["finished a"]
    assert (first.news(), second.news()) == (["run a"], ["run a"])


def test_a_task_under_which_too_many_workers_died_ends_as_worker_lost_and_says_how():
    world = World(Config(allowed_failures=3))
    client = world.client()
    fid = client.submit("deadly")
    after = client.submit("after", [fid])
    for attempt in range(1, 5):
        worker = world.worker(f"w{attempt}")
        assert worker.news() == ["run deadly"]
        assert client.news() == []
        worker.die("SIGSEGV", executing=["deadly"])
    assert client.news() == ["erred deadly WORKER_LOST", "erred after WORKER_LOST"]
    text = client.errors[after].text
    for part in ("deadly", "4 workers", "w4", "SIGSEGV", "3 failures"):
        assert part in text
    assert client.errors[fid].worker == "w4"
    assert world.worker("w5").news() == []
    world.end()


def test_only_tasks_that_were_executing_are_blamed():
    world = World(Config(allowed_failures=0))
    client = world.client()
    client.submit("guilty")
    client.submit("queued")
    first = world.worker("first", nthreads=2)
    first.die(executing=["guilty"])
    assert client.news() == ["erred guilty WORKER_LOST"]
    assert world.worker("second").news() == ["run queued"]
    assert first.news() == ["run guilty", "run queued"]
    world.end()


def launched(world, n, wanted_by=None):
    """A worker with a task, and what that has launched at the same worker, which executes it."""
    worker = world.worker(f"w{n}", nthreads=2)
    worker.submit("deadly", parent=worker.tasks["parent"].id)
    if wanted_by is not None:
        wanted_by.want("deadly")
    assert worker.news() == ["run parent", "run deadly"]
    return worker


def test_a_task_that_launches_again_and_again_what_kills_its_worker_is_lost_in_its_place():
    world = World(Config(allowed_failures=3))
    client = world.client()
    fid = client.submit("parent")
    for n in range(1, 5):
        assert client.news() == []
        launched(world, n).die("SIGSEGV", executing=["deadly"])
    assert client.news() == ["erred parent WORKER_LOST"]
    assert "parent had launched deadly, which was executing when 4 workers died" in client.errors[fid].text
    world.end()


def test_a_death_counts_once_for_a_task_that_was_executing_with_what_it_has_launched():
    world = World(Config(allowed_failures=1))
    client = world.client()
    client.submit("parent")
    launched(world, 1).die("SIGSEGV", executing=["parent", "deadly"])
    assert client.news() == []
    assert world.worker("w2").news() == ["run parent"]
    world.end()


def test_a_task_is_not_blamed_for_what_it_has_launched_if_that_lives_on():
    world = World(Config(allowed_failures=0))
    client, other = world.client(), world.client()
    client.submit("parent")
    launched(world, 1, other).die("SIGSEGV", executing=["deadly"])
    assert other.news() == ["erred deadly WORKER_LOST"]
    assert client.news() == []
    assert world.worker("w2").news() == ["run parent"]
    world.end()


def test_a_planned_stop_blames_nobody():
    world = World(Config(allowed_failures=0))
    client = world.client()
    client.submit("a")
    first = world.worker("first")
    first.die(None, executing=[])
    assert client.news() == []
    assert world.worker("second").news() == first.news() == ["run a"]
    world.end()


def test_if_nobody_knows_what_was_executing_the_oldest_that_hold_a_slot_are_blamed():
    world = World(Config(allowed_failures=0))
    client, worker = world.client(), world.worker(nthreads=2)
    client.submit("parent")
    worker.lend(1)
    for key in ("x", "y", "ahead"):
        client.submit(key)
    assert worker.news() == ["run parent", "run x", "run y", "run ahead"]
    worker.die()
    assert client.news() == ["erred x WORKER_LOST", "erred y WORKER_LOST"]
    other = world.worker("other", nthreads=2)
    assert other.news() == ["run parent", "run ahead"]
    world.end()


def test_blame_falls_on_no_task_of_another_worker():
    world = World(Config(allowed_failures=0))
    client = world.client()
    first, second = world.worker("first"), world.worker("second")
    client.submit("a")
    client.submit("b")
    world.lost(second, "SIGKILL", [first.tasks["a"].id, 2**40, 12345 << 32])
    assert client.news() == []
    assert (first.news(), second.news()) == (["run a", "run b"], ["run b"])
    world.end()


def test_a_lost_value_that_is_wanted_is_computed_again(world):
    client, first = world.client(), world.worker("first")
    fid = client.submit("a")
    first.finish("a", **LARGE)
    second = world.worker("second")
    first.die(executing=[])
    assert client.news() == ["finished a", "lost a"]
    assert client.locate(fid) == (None, ())
    second.finish("a", **LARGE)
    assert client.news() == ["finished a"]
    assert (first.news(), second.news()) == (["run a"], ["run a"])


def test_a_lost_chain_is_computed_again_from_its_beginning(world):
    client, first = world.client(), world.worker("first")
    a = client.submit("a")
    b = client.submit("b", [a])
    client.submit("c", [b])
    client.release(a, b)
    for key in "abc":
        first.finish(key, **LARGE)
    assert first.news() == ["run a", "run b", "free a", "run c", "free b"]
    second = world.worker("second")
    first.die(executing=[])
    assert client.news() == ["finished c", "lost c"]
    for key in "abc":
        second.finish(key, **LARGE)
    assert second.news() == ["run a", "run b", "free a", "run c", "free b"]
    assert client.news() == ["finished c"]


def test_a_lost_diamond_computes_each_part_once(world):
    client, first = world.client(), world.worker("first", nthreads=2)
    top = client.submit("top")
    left, right = client.submit("left", [top]), client.submit("right", [top])
    client.submit("bottom", [left, right])
    client.release(top, left, right)
    first.finish("top", **LARGE)
    first.finish("left", **LARGE)
    second = world.worker("second", nthreads=2)
    first.die(executing=[])
    assert second.news() == ["run top"]
    second.finish("top", **LARGE)
    assert second.news() == ["run left", "run right"]
    second.finish("left", "right", **LARGE)
    second.finish("bottom", **LARGE)
    assert sorted(second.news()) == ["free left", "free right", "free top", "run bottom"]
    assert client.news() == ["finished bottom"]
    assert first.news() == ["run top", "run left", "run right"]


def test_a_value_freed_in_the_turn_in_which_its_worker_dies_is_computed_again_when_it_is_needed(world):
    client, first = world.client(), world.worker("first")
    a = client.submit("a")
    first.finish("a")
    b = client.submit("b", [a])
    first.finish("b", **LARGE)
    with world.one_turn():
        client.release(a)
        first.die(executing=[])
    second = world.worker("second")
    second.finish("a")
    second.finish("b")
    assert client.news() == ["finished a", "finished b", "lost b", "finished b"]
    client.release(b)
    assert second.news() == ["run a", "run b", "free a", "free b"]
    assert first.news() == ["run a", "run b"]
    assert world.empty()


def test_an_input_of_a_task_that_ends_with_its_worker_is_freed():
    world = World(Config(allowed_failures=0))
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    worker.finish("a")
    b = client.submit("b", [a])
    client.release(a)
    worker.die(executing=["b"])  # its end frees a, on the worker that is about to be forgotten
    assert world.machine.books.retained == 0
    assert client.news() == ["finished a", "erred b WORKER_LOST"]
    client.release(b)
    worker.news()
    assert world.empty()


def test_a_released_error_is_forgotten_when_its_task_is_computed_again(world):
    client, first = world.client(), world.worker("first")
    a = client.submit("a")
    first.finish("a")
    b = client.submit("b", [a])
    first.finish("b", **LARGE)
    client.cancel(a)
    client.release(a)  # it stays as lineage of b
    first.die(executing=[])
    second = world.worker("second")
    second.finish("a")
    second.finish("b", **LARGE)
    assert client.news() == ["finished a", "finished b", "erred a CANCELLED", "lost b", "finished b"]
    client.release(b)
    first.news()
    second.news()
    assert world.empty()


def test_futures_inside_a_lost_value_stay_as_long_as_somebody_may_have_a_copy(world):
    client, first = world.client(), world.worker("first", nthreads=2)
    parent = client.submit("parent")
    first.submit("child-1")
    first.finish("child-1")
    first.finish("parent", pins=["child-1"])
    first.news()
    first.die(executing=[])
    second = world.worker("second", nthreads=2)
    got = client.want("child-1")
    second.finish("child-1")
    second.submit("child-2")
    second.finish("child-2")
    second.finish("parent", pins=["child-2"])
    assert client.news() == ["finished parent", "lost parent", "finished child-1", "finished parent"]
    client.release(parent, got)
    second.release(*second.keys)
    second.news()
    assert world.empty()


def test_a_copy_that_was_announced_too_late_is_replaced_by_the_result_of_its_new_holder(world):
    client, first = world.client(), world.worker("first")
    a, busy = client.submit("a"), client.submit("busy")
    first.finish("a", **LARGE)
    second = world.worker("second")
    b = client.submit("b", [a])
    first.die(executing=[])
    second.store("a", LARGE["nbytes"])  # crosses with the order to compute it again
    second.finish("a", **LARGE)
    second.finish("b")
    assert "free a" not in second.news()
    client.release(a, busy, b)
    client.news()
    assert second.news() == ["free a", "drop busy", "free b"]
    first.news()
    assert world.empty()


def test_a_value_with_another_holder_is_not_lost(world):
    client, first = world.client(), world.worker("first")
    a = client.submit("a")
    first.finish("a", **LARGE)
    client.submit("busy")
    second = world.worker("second")
    client.submit("b", [a])
    second.store("a", 100_000)
    first.die(executing=[])
    assert client.news() == ["finished a"]
    assert client.locate(a) == (None, ("tcp://second:1",))
    second.finish("b")
    assert second.news() == ["run b", "run busy"]
    assert first.news() == ["run a", "run busy"]
    assert client.news() == ["finished b"]


def test_a_lost_value_that_nobody_wants_is_not_computed(world):
    client, first = world.client(), world.worker("first")
    a = client.submit("a")
    client.submit("b", [a])
    first.finish("a", **LARGE)
    first.finish("b", **LARGE)
    second = world.worker("second")
    first.lend(0)
    client.release(a)
    first.die(executing=[])
    assert second.news() == ["run a"]  # for the sake of b, which is wanted
    assert first.news() == ["run a", "run b", "free a"]
    assert client.news() == ["finished a", "finished b", "lost b"]


def test_a_task_whose_input_is_lost_while_it_is_fetched_is_given_back_and_runs_when_the_input_is_there_again(world):
    client, holder = world.client(), world.worker("holder")
    a = client.submit("a")
    holder.finish("a", **LARGE)
    busy = client.submit("busy")
    other = world.worker("other")
    client.submit("b", [a])
    client.release(busy)
    holder.die(executing=[])
    assert other.news() == ["run b", "run a"]
    other.miss("b", other.tasks["b"].inputs[0][0])
    other.finish("a", **LARGE)
    assert other.news() == ["run b"]
    assert holder.news() == ["run a", "run busy", "drop busy"]
    assert client.news() == ["finished a", "lost a", "finished a"]


def test_a_worker_that_misses_a_value_that_it_was_said_to_hold_is_believed(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    worker.finish("a", **LARGE)
    client.submit("b", [a])
    worker.miss("b", worker.tasks["b"].inputs[0][0])
    assert worker.news() == ["run a", "run b", "free a", "run a"]
    worker.finish("a")
    assert worker.news() == ["run b"]
    assert client.news() == ["finished a", "lost a", "finished a"]


def test_inputs_that_are_missing_again_and_again_are_asked_for_ever_more_slowly_and_then_computed_again(world):
    client, holder = world.client(), world.worker("holder")
    a = client.submit("a")
    holder.finish("a", **LARGE)
    client.submit("busy")
    other = world.worker("other")
    client.submit("b", [a])
    times = []
    while client.news() != ["lost a"]:
        while "b" not in other.tasks:
            world.advance(0.005)
        times.append(world.now)
        other.miss("b", other.tasks["b"].inputs[0][0])
    assert len(times) == 8
    pauses = [later - before for before, later in itertools.pairwise(times)]
    assert pauses == sorted(pauses)
    assert pauses[0] == 0 < pauses[-1]
    holder.finish("busy")
    world.advance(1.0)
    assert "run a" in holder.news() + other.news()
    client.news()
    other.news()


def test_a_task_whose_inputs_can_never_be_fetched_ends(world):
    client, holder, other = world.client(), world.worker("holder"), world.worker("other")
    value = client.scatter("value", (b"x" * 100_000,), workers=["holder"])
    holder.store("value")
    client.submit("busy")
    task = client.submit("b", [value])
    for _ in range(30):
        for worker in (holder, other):
            if "b" in worker.tasks:
                worker.miss("b", worker.tasks["b"].inputs[0][0])
        world.advance(1.0)
        if task in client.errors:
            break
    assert client.errors[task].kind == ErrorKind.DATA_LOST
    assert "value" in client.errors[task].text
    client.news()
    holder.news()
    other.news()


def test_nothing_is_due_when_nothing_rests(world):
    client, worker = world.client(), world.worker()
    assert world.machine.next_deadline() is None
    client.submit("a")
    assert world.machine.next_deadline() is None
    worker.finish("a")
    assert world.machine.next_deadline() is None
    client.news()
    worker.news()


def test_scattered_data_without_a_holder_is_data_lost_and_takes_its_dependents_along(world):
    client, worker = world.client(), world.worker()
    value = client.scatter("value")
    worker.store("value")
    client.submit("a", [value])
    worker.die(executing=[])
    assert client.news() == ["finished value", "lost value", "erred value DATA_LOST", "erred a DATA_LOST"]
    assert "value" in client.errors[value].text
    assert worker.news() == ["put value", "run a"]


def test_a_result_computed_from_scattered_data_that_was_released_cannot_be_computed_again(world):
    client, worker = world.client(), world.worker()
    value = client.scatter("value")
    worker.store("value")
    client.submit("a", [value])
    client.release(value)
    worker.finish("a", **LARGE)
    assert worker.news() == ["put value", "run a", "free value"]
    world.worker("other")
    worker.die(executing=[])
    assert client.news() == ["finished value", "finished a", "lost a", "erred a DATA_LOST"]


def test_a_suspect_worker_gets_no_tasks_and_is_not_named(world):
    client, worker = world.client(), world.worker("w", nthreads=2)
    a = client.submit("a")
    worker.finish("a", **LARGE)
    world.machine.suspect(worker.number, world.now)
    world.settle()
    assert client.locate(a) == (None, ())
    client.submit("b")
    assert worker.news() == ["run a"]
    other = world.worker("other")
    assert other.news() == ["run b"]
    worker.die()
    assert client.news() == ["finished a", "lost a"]
    assert other.news() == ["run a"]


def test_a_worker_that_does_not_read_gets_no_tasks_until_it_does(world):
    client, worker = world.client(), world.worker(nthreads=2)
    for full, expected in ((True, []), (False, ["run a"])):
        world.machine.congested(worker.number, full, world.now)
        world.settle()
        if full:
            client.submit("a")
        assert worker.news() == expected


def test_without_hope_for_a_worker_all_that_waits_ends_and_a_worker_brings_hope_back(world):
    client = world.client()
    a = client.submit("a")
    client.submit("b", [a])
    client.scatter("value")
    world.machine.give_up("3 workers died at start", world.now)
    world.settle()
    assert client.news() == ["erred a NO_WORKERS", "erred b NO_WORKERS", "erred value NO_WORKERS"]
    assert client.errors[a].text == "3 workers died at start"
    client.submit("c")
    client.scatter("more")
    assert client.news() == ["erred c NO_WORKERS", "erred more NO_WORKERS"]
    worker = world.worker()
    assert worker.news() == []
    client.submit("d")
    assert worker.news() == ["run d"]


def test_giving_up_takes_effect_when_the_last_worker_is_gone(world):
    client, worker = world.client(), world.worker()
    client.submit("a")
    world.machine.give_up("no more", world.now)
    world.settle()
    assert client.news() == []
    assert worker.news() == ["run a"]
    worker.die()
    assert client.news() == ["erred a NO_WORKERS"]


@pytest.mark.parametrize("executing", [None, []])
def test_a_worker_without_tasks_may_leave(world, executing):
    worker = world.worker()
    worker.die(executing=executing)
    world.lost(worker)
    assert world.machine.books.core.n_workers == 0
