"""Tasks that a worker has kept to itself and publishes: running, finished, failed, or only how they were made."""

from __future__ import annotations

import pytest

from fastsched._core import State
from fastsched.config import Config
from fastsched.wire.messages import ErrorKind, Locate, Publish, Pulse, Stage
from tests.machines.helpers.scheduler_world import FN, VALUE, Worker, World

LINEAGE, RUNNING, FINISHED, FAILED = Stage
LARGE = {"value": None, "nbytes": 100_000}


def publish(worker: Worker, key: str, stage: Stage, dependencies=(), **kwargs) -> int:
    """Publish one task; returns its fid."""
    item = worker.local(key, stage, dependencies, **kwargs)
    worker.publish(item)
    return item.fid


# -- finished ----------------------------------------------------------------------------------------------------------


def test_a_finished_task_is_in_memory_at_its_worker_and_never_runs(world):
    client, worker = world.client(), world.worker()
    fid = publish(worker, "a", FINISHED)
    assert worker.news() == ["adopt a"]
    assert worker.adopted[fid][1] == 0
    future = client.want("a")
    assert client.news() == ["finished a"]
    assert client.values[future] == VALUE
    worker.release(fid)
    assert worker.news() == []
    client.release(future)
    assert worker.news() == ["free a"]
    assert world.empty()


def test_a_large_value_is_fetched_from_its_worker(world):
    client, worker = world.client(), world.worker("w")
    publish(worker, "a", FINISHED, **LARGE)
    future = client.want("a")
    assert client.news() == ["finished a"]
    assert client.locate(future) == (None, ("tcp://w:1",))
    assert worker.news() == ["adopt a"]


def test_a_small_value_over_the_limit_stays_with_its_worker():
    world = World(Config(inline_bytes=4))
    client, worker = world.client(), world.worker("w")
    publish(worker, "a", FINISHED)
    future = client.want("a")
    assert client.values[future] is None
    assert world.machine.books.retained == 0
    client.news(), worker.news()
    world.end()


def test_a_published_value_is_an_input_of_other_tasks(world):
    worker = world.worker(nthreads=2)
    other = world.worker("other", nthreads=2)
    fid = publish(worker, "a", FINISHED)
    other_fid = other.want("a")
    worker.submit("b", [fid])
    other.submit("c", [other_fid])
    assert other.news() == ["finished a"]
    assert worker.news() == ["adopt a", "run b", "run c"]
    (source,) = worker.tasks["b"].inputs
    assert source == (worker.adopted[fid][0], "a", 5, None, ())


def test_the_id_is_told_before_it_is_named(world):
    worker = world.worker(nthreads=2)
    with world.one_turn():
        fid = publish(worker, "a", FINISHED)
        running = publish(worker, "b", RUNNING)
        worker.submit("c", [fid])
        worker.release(fid, running)
    assert worker.news() == ["adopt a", "adopt b", "drop b", "run c"]
    worker.finish("c")
    assert worker.news() == ["free a", "finished c"]


def test_a_value_freed_in_its_own_turn_is_adopted_first(world):
    worker = world.worker()
    with world.one_turn():
        worker.release(publish(worker, "a", FINISHED))
    assert worker.news() == ["adopt a", "free a"]
    assert world.empty()


def test_futures_inside_the_value_live_as_long_as_it_does(world):
    worker = world.worker()
    inner = worker.local("inner", FINISHED)
    outer = worker.local("outer", FINISHED, value_pins=["inner", "unknown"])
    worker.publish(inner, outer)
    worker.release(inner.fid)
    assert worker.news() == ["adopt inner", "adopt outer"]
    worker.release(outer.fid)
    assert sorted(worker.news()) == ["free inner", "free outer"]
    assert world.empty()


# -- lineage -----------------------------------------------------------------------------------------------------------


def test_lineage_is_not_computed_because_of_what_was_made_from_it(world):
    client, worker = world.client(), world.worker(nthreads=4)
    a = worker.local("a", LINEAGE)
    b = worker.local("b", LINEAGE, [a.fid])
    c = worker.local("c", FINISHED, [b.fid, a.fid])
    worker.publish(a, b, c)
    assert worker.news() == ["adopt c"]
    client.want("c")
    assert client.news() == ["finished c"]
    assert world.machine.books.core.count(State.RELEASED) == 2
    worker.release(c.fid)


def test_a_lost_value_is_computed_again_from_its_lineage(world):
    client, first = world.client(), world.worker("first", nthreads=4)
    top = first.local("top", LINEAGE)
    left, right = first.local("left", LINEAGE, [top.fid]), first.local("right", LINEAGE, [top.fid])
    bottom = first.local("bottom", FINISHED, [left.fid, right.fid], **LARGE)
    first.publish(top, left, right, bottom)
    client.want("bottom")
    second = world.worker("second", nthreads=4)
    first.die(executing=[])
    assert client.news() == ["finished bottom", "lost bottom"]
    assert second.news() == ["run top"]
    second.finish("top", **LARGE)
    second.finish("left", "right", **LARGE)
    second.finish("bottom", **LARGE)
    assert sorted(second.news()) == ["free left", "free right", "free top", "run bottom", "run left", "run right"]
    assert client.news() == ["finished bottom"]
    assert first.news() == ["adopt bottom"]


def test_lineage_goes_with_what_was_made_from_it(world):
    worker = world.worker()
    a = worker.local("a", LINEAGE)
    b = worker.local("b", FINISHED, [a.fid])
    worker.publish(a, b)
    worker.release(b.fid)
    assert worker.news() == ["adopt b", "free b"]
    assert world.empty()


def test_lineage_that_nothing_was_made_from_is_forgotten_when_its_worker_says_something_else(world):
    worker = world.worker()
    worker.publish(worker.local("a", LINEAGE))
    worker.say(Pulse(1))
    assert world.empty()
    assert worker.news() == []


def test_a_publication_may_come_in_several_messages_and_turns(world):
    worker, other = world.worker(), world.worker("other")
    a = worker.local("a", LINEAGE)
    other_a = other.local("a", LINEAGE)
    worker.publish(a)
    other.publish(other_a)
    b = worker.local("b", LINEAGE, [a.fid])
    worker.publish(b)
    other.say(Pulse(1))
    c = worker.local("c", FINISHED, [b.fid])
    worker.publish(c)
    worker.die(executing=[])
    assert (worker.news(), other.news()) == (["adopt c"], [])
    assert world.empty()


def test_what_names_lineage_after_the_publication_is_an_offence(world):
    worker = world.worker()
    a = worker.local("a", LINEAGE)
    b = worker.local("b", FINISHED, [a.fid])
    worker.publish(a, b)
    worker.say(Locate((a.fid,)))
    assert world.put_out == ["w"]
    world.put_out.clear()
    assert worker.news() == ["adopt b"]


def test_the_number_of_lineage_is_free_again(world):
    worker = world.worker()
    a = worker.local("a", LINEAGE)
    worker.publish(a, worker.local("b", FINISHED, [a.fid]))
    worker.say(Pulse(1))
    worker.submit("x", fid=a.fid)
    assert worker.news() == ["adopt b", "run x"]


def test_lineage_that_is_wanted_later_is_computed(world):
    client, worker = world.client(), world.worker(nthreads=2)
    a = worker.local("a", LINEAGE)
    worker.publish(a, worker.local("b", FINISHED, [a.fid]))
    client.want("a")
    assert worker.news() == ["adopt b", "run a"]


def test_pins_of_lineage_stay_alive(world):
    client, worker = world.client(), world.worker()
    pinned = client.submit("pinned")
    worker.finish("pinned")
    mine = worker.want("pinned")
    a = worker.local("a", LINEAGE, pins=[mine])
    b = worker.local("b", FINISHED, [a.fid])
    worker.publish(a, b)
    client.release(pinned)
    worker.release(mine)
    assert client.news() == ["finished pinned"]
    assert worker.news() == ["run pinned", "finished pinned", "adopt b"]
    worker.release(b.fid)
    assert sorted(worker.news()) == ["free b", "free pinned"]
    assert world.empty()


def test_futures_of_lineage_inside_arguments_are_known_and_not_computed_before_they_are_asked_for(world):
    worker = world.worker(nthreads=2)
    p = worker.local("p", LINEAGE)
    q = worker.local("q", LINEAGE, pins=[p.fid])
    c = worker.local("c", FINISHED, pins=[q.fid, p.fid, p.fid])
    worker.publish(p, q, c)
    worker.say(Pulse(1))
    assert worker.news() == ["adopt c"]
    p_again = worker.want("p")
    assert worker.news() == ["run p"]
    worker.finish("p")
    worker.release(p_again)
    assert worker.news() == ["finished p", "free p"]
    worker.release(c.fid)
    assert worker.news() == ["free c"]
    assert world.empty()


# -- running -----------------------------------------------------------------------------------------------------------


def test_a_running_task_is_its_workers_and_ends_by_an_ordinary_report(world):
    client, worker = world.client(), world.worker()
    other = world.worker("other")
    fid = publish(worker, "a", RUNNING)
    assert worker.adopted[fid][1] == 1
    client.want("a")
    worker.finish("a")
    assert client.news() == ["finished a"]
    assert worker.news() == ["adopt a", "finished a"]
    assert other.news() == []


def test_a_running_task_takes_no_slot(world):
    client, worker = world.client(), world.worker()
    publish(worker, "a", RUNNING)
    client.submit("b")
    assert worker.news() == ["adopt a", "run b"]
    worker.finish("b")
    client.submit("c")
    worker.finish("a")
    assert client.news() == ["finished b"]
    assert worker.news() == ["run c", "finished a"]
    assert world.machine.info()["workers"]["w"]["lent"] == 0


def test_a_running_task_is_not_asked_back(world):
    client, worker = world.client(), world.worker("full", nthreads=1)
    for key in "xyz":
        client.submit(key)
    publish(worker, "a", RUNNING)
    idle = world.worker("idle", nthreads=4)
    assert worker.news() == ["run x", "run y", "adopt a", "retract y"]
    worker.give_back("y")
    assert sorted(idle.news()) == ["run y", "run z"]
    world.advance(1.0)


def test_a_running_task_of_a_lost_worker_runs_elsewhere(world):
    client, first = world.client(), world.worker("first")
    a = first.local("a", FINISHED)
    b = first.local("b", RUNNING, [a.fid])
    first.publish(a, b)
    client.want("b")
    second = world.worker("second")
    first.die(executing=["b"])
    assert second.news() == ["run a"]
    second.finish("a")
    second.finish("b")
    assert sorted(second.news()) == ["free a", "run b"]
    assert client.news() == ["finished b"]
    assert first.news() == ["adopt a", "adopt b"]


def test_a_running_task_under_which_too_many_workers_died_ends():
    world = World(Config(allowed_failures=0))
    client, first = world.client(), world.worker("first")
    publish(first, "a", RUNNING)
    client.want("a")
    first.die(executing=["a"])
    assert client.news() == ["erred a WORKER_LOST"]
    assert first.news() == ["adopt a"]
    world.end()


def test_a_running_task_that_nobody_wants_any_more_is_dropped(world):
    worker = world.worker()
    fid = publish(worker, "a", RUNNING)
    worker.release(fid)
    assert worker.news() == ["adopt a", "drop a"]
    assert world.empty()


def test_a_running_task_is_not_run_twice_though_an_input_is_known_and_not_in_memory(world):
    client, worker = world.client(), world.worker()
    client.submit("x")
    client.submit("a")  # the same call, in the queue
    mine = worker.want("a")
    fid = publish(worker, "b", RUNNING, [mine])
    assert worker.news() == ["run x", "run a", "adopt b"]
    assert worker.adopted[fid][1] == 1
    worker.finish("b")
    assert worker.news() == ["finished b"]


def test_a_running_task_may_try_again(world):
    client, worker = world.client(), world.worker("w")
    publish(worker, "a", RUNNING, retries=1)
    future = client.want("a")
    worker.fail("a")
    assert worker.news() == ["adopt a", "run a"]
    assert worker.tasks["a"].run == 2
    worker.fail("a")
    assert client.news() == ["erred a TASK"]
    assert client.errors[future].worker == "w"
    assert worker.news() == ["erred a TASK"]


def test_priority_and_parent_order_what_must_run_again(world):
    client, first = world.client(), world.worker("first", nthreads=4)
    client.submit("parent")
    parent = first.tasks["parent"].id
    publish(first, "late", RUNNING, priority=-1)
    publish(first, "soon", RUNNING, priority=1)
    for key in ("late", "soon", "parent"):
        client.want(key)
    core, books = world.machine.books.core, world.machine.books
    publish(first, "child", RUNNING, parent=parent)
    assert core.order(books.keys["child"].id) == core.order(parent)
    client.want("child")
    first.die(executing=[])
    second = world.worker("second", nthreads=1)
    news = second.news()
    assert news[:1] == ["run soon"]
    assert first.news() == ["run parent", "adopt late", "adopt soon", "adopt child"]


# -- failed ------------------------------------------------------------------------------------------------------------


def test_a_failed_task_errs_with_its_error_and_what_depends_on_it_with_it(world):
    client, worker = world.client(), world.worker("w")
    a = worker.local("a", LINEAGE)
    b = worker.local("b", FAILED, [a.fid], retries=3)
    worker.publish(a, b)
    future = client.want("b")
    client.submit("c", [future])
    assert client.news() == ["erred b TASK", "erred c TASK"]
    assert client.errors[future].worker == "w"
    assert sorted(worker.news()) == ["attach b", "erred b TASK"]
    worker.release(b.fid)


def test_a_cancelled_tasks_key_is_free(world):
    client, worker = world.client(), world.worker()
    publish(worker, "a", FAILED, error=ErrorKind.CANCELLED)
    assert sorted(worker.news()) == ["attach a", "erred a CANCELLED"]
    client.submit("a")
    assert worker.news() == ["run a"]


# -- keys that are known -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", [RUNNING, FINISHED, FAILED])
def test_a_key_that_is_computed_elsewhere_is_that_task(world, stage):
    client, other, worker = world.client(), world.worker("other"), world.worker("w")
    client.submit("a")
    assert other.news() == ["run a"]
    publish(worker, "a", stage)
    assert worker.news() == ["attach a"]
    other.finish("a")
    assert client.news() == ["finished a"]
    assert worker.news() == ["finished a"]


@pytest.mark.parametrize("stage", [RUNNING, FINISHED, FAILED])
def test_a_key_that_is_in_memory_is_that_value(world, stage):
    client, other, worker = world.client(), world.worker("other"), world.worker("w")
    client.submit("a")
    other.finish("a")
    publish(worker, "a", stage)
    assert sorted(worker.news()) == ["attach a", "finished a"]
    assert client.news() == ["finished a"]
    assert other.news() == ["run a"]


def test_the_first_published_value_wins(world):
    first, second = world.worker("first"), world.worker("second")
    mine, other = publish(first, "a", FINISHED), publish(second, "a", FINISHED)
    assert first.news() == ["adopt a"]
    assert sorted(second.news()) == ["attach a", "finished a"]
    first.release(mine)
    second.release(other)
    assert first.news() == ["free a"]
    assert second.news() == []
    assert world.empty()


def test_a_value_that_waits_to_be_computed_is_taken(world):
    client, worker = world.client(), world.worker()
    client.submit("x")
    a = client.submit("a")
    client.submit("b", [a])
    assert worker.news() == ["run x", "run a"]
    for key in "uv":
        client.submit(key)
    with world.one_turn():
        waiting = client.submit("waiting", [client.submit("input")])
        publish(worker, "waiting", FINISHED)
    assert "adopt waiting" in worker.news()
    assert client.news() == ["finished waiting"]
    assert client.values[waiting] == VALUE


def test_a_task_that_waits_to_be_computed_is_run_by_who_has_begun(world):
    client, worker = world.client(), world.worker()
    with world.one_turn():
        client.submit("waiting", [client.submit("input")])
        publish(worker, "waiting", RUNNING)
    assert worker.news() == ["adopt waiting", "run input"]
    worker.finish("waiting")
    assert client.news() == ["finished waiting"]
    assert worker.news() == ["finished waiting"]


def test_lineage_may_come_to_memory_later(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    a = first.local("a", LINEAGE)
    first.publish(a, first.local("b", FINISHED, [a.fid]))
    mine = publish(second, "a", FINISHED)
    client.want("a")
    assert client.news() == ["finished a"]
    assert sorted(second.news()) == ["adopt a", "finished a"]
    assert second.adopted[mine][1] == 0
    assert first.news() == ["adopt b"]


def test_a_value_that_was_freed_is_computed_again_and_not_adopted_twice(world):
    worker = world.worker()
    a = worker.local("a", FINISHED)
    b = worker.local("b", FINISHED, [a.fid])
    worker.publish(a, b)
    worker.release(a.fid)
    assert worker.news() == ["adopt a", "adopt b", "free a"]
    publish(worker, "a", FINISHED)
    assert worker.news() == ["attach a", "run a"]


def test_a_task_that_was_sent_out_before_is_not_adopted(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    client.submit("a")
    assert first.news() == ["run a"]
    with world.one_turn():
        first.give_back("a")
        publish(second, "a", RUNNING)
    assert second.news() == ["attach a"]
    assert first.news() == ["run a"]
    first.finish("a")
    assert client.news() == second.news() == ["finished a"]


def test_functions_come_along_and_are_forgotten_with_their_tasks(world):
    worker = world.worker()
    fid = publish(worker, "a", FINISHED, fn=b"another!")
    books = world.machine.books
    assert set(books.functions) == {b"another!"}
    worker.release(fid)
    worker.die(executing=[])
    assert worker.news() == ["adopt a", "free a"]
    assert not books.functions


def test_a_publication_without_tasks_says_nothing(world):
    worker = world.worker()
    worker.say(Publish((), ()))
    assert worker.news() == []
    assert FN not in worker.functions
