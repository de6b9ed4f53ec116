"""Tasks that are sent to a worker before their inputs are there, because it computes them; and called back."""

from __future__ import annotations

import pytest

from fastsched.wire.messages import ErrorKind, InputItem
from tests.machines.helpers.scheduler_world import VALUE, Client, Worker, World


def fast_worker(world: World, client: Client, name: str = "w", micros: int = 1) -> Worker:
    """A worker whose tasks are known to take no time. Others are busy, or it is the first."""
    worker = world.worker(name)
    fid = client.submit(f"warm-{name}")
    worker.finish(f"warm-{name}", micros=micros)
    client.release(fid)
    worker.news()
    client.news()
    return worker


def chain(client: Client, names: str) -> list[int]:
    """Tasks of these one-letter names, each behind the one before."""
    fids: list[int] = []
    with client.world.one_turn():
        for name in names:
            fids.append(client.submit(name, fids[-1:]))
    return fids


def test_a_chain_is_sent_at_once_to_a_fast_worker(world):
    client = world.client()
    worker = fast_worker(world, client)
    chain(client, "abc")
    assert worker.news() == ["run a", "run b", "run c"]
    source = InputItem(*worker.tasks["b"].inputs[0])
    assert (source.id, source.key, source.frames, source.addresses) == (worker.tasks["a"].id, "a", None, ())
    worker.done(finished=[worker.result(key) for key in "abc"])
    assert client.news() == ["finished a", "finished b", "finished c"]


def test_a_chain_that_is_submitted_link_by_link_follows(world):
    client = world.client()
    worker = fast_worker(world, client)
    fid = client.submit("a")
    fid = client.submit("b", [fid])
    client.submit("c", [fid])
    assert worker.news() == ["run a", "run b", "run c"]
    worker.finish("a", "b", "c")
    client.news()


@pytest.mark.parametrize("micros", [None, 50_000])
def test_nothing_is_sent_before_its_inputs_unless_tasks_are_known_to_be_short(world, micros):
    client = world.client()
    worker = world.worker() if micros is None else fast_worker(world, client, micros=micros)
    chain(client, "ab")
    assert worker.news() == ["run a"]


def test_what_nobody_wants_in_between_is_freed_when_the_end_is_there(world):
    client = world.client()
    worker = fast_worker(world, client)
    a, b, _ = chain(client, "abc")
    client.release(a, b)
    worker.news()
    worker.finish("a")
    assert worker.news() == []
    worker.finish("b", "c")
    assert worker.news() == ["free a", "free b"]
    assert client.news() == ["finished c"]


def test_an_error_ends_the_chain_and_drops_what_was_sent(world):
    client = world.client()
    worker = fast_worker(world, client)
    chain(client, "abc")
    worker.news()
    worker.fail("a")
    assert worker.news() == ["drop b", "drop c"]
    assert client.news() == ["erred a TASK", "erred b TASK", "erred c TASK"]
    assert [error.key for error in client.errors.values()] == ["a", "a", "a"]


def test_a_link_that_is_tried_again_is_sent_again_with_what_follows(world):
    client = world.client()
    worker = fast_worker(world, client)
    with world.one_turn():
        a = client.submit("a", retries=1)
        client.submit("b", [a])
    worker.news()
    worker.fail("a")
    assert worker.news() == ["drop b", "run a", "run b"]
    assert (worker.tasks["a"].run, worker.tasks["b"].run) == (2, 2)
    worker.finish("a", "b")
    assert client.news() == ["finished a", "finished b"]


def test_cancelling_a_link_drops_it_and_what_follows(world):
    client = world.client()
    worker = fast_worker(world, client)
    _, b, _ = chain(client, "abc")
    worker.news()
    client.cancel(b)
    assert worker.news() == ["drop b", "drop c"]
    client.news()
    worker.finish("a")
    assert client.news() == ["finished a"]


def test_the_value_of_a_link_that_was_dropped_meanwhile_is_freed(world):
    client = world.client()
    worker = fast_worker(world, client)
    _, b = chain(client, "ab")
    finished = [worker.result("a"), worker.result("b")]
    client.cancel(b)
    assert worker.news() == ["run a", "run b", "drop b"]
    worker.done(finished=finished)
    assert worker.news() == ["free b"]
    assert client.news() == ["erred b CANCELLED", "finished a"]


def test_a_chain_that_is_asked_back_goes_to_the_idle_worker_as_a_whole(world):
    client = world.client()
    worker = fast_worker(world, client)
    client.submit("busy")
    chain(client, "abc")
    assert worker.news() == ["run busy", "run a", "run b", "run c"]
    other = fast_worker(world, client, "other")
    world.advance(0.003)
    assert worker.news() == ["retract a"]
    worker.give_back("a")
    assert worker.news() == ["drop b", "drop c"]
    assert other.news() == ["run a", "run b", "run c"]
    other.finish("a", "b", "c")
    worker.finish("busy")
    client.news()


def test_a_link_that_cannot_start_waits_for_its_input(world):
    client = world.client()
    worker = fast_worker(world, client)
    chain(client, "abc")
    worker.news()
    worker.miss("b", worker.tasks["a"].id)
    assert worker.news() == ["drop c"]
    worker.finish("a")
    assert worker.news() == ["run b", "run c"]
    worker.finish("b", "c")
    client.news()


def test_a_chain_of_a_dead_worker_goes_on_elsewhere(world):
    client = world.client()
    worker = fast_worker(world, client)
    chain(client, "ab")
    other = fast_worker(world, client, "other")
    worker.die(executing=["b"])  # it was further than it had said
    assert worker.news() == ["run a", "run b"]
    assert other.news() == ["run a", "run b"]
    assert [failures(world, other, key) for key in "ab"] == [0, 1]
    other.finish("a", "b")
    assert client.news() == ["finished a", "finished b"]


def failures(world: World, worker: Worker, key: str) -> int:
    """How many workers died under a task, by the scheduler's books."""
    return world.machine.books.record(worker.tasks[key].id).failures


def test_a_link_under_which_too_many_workers_died_ends_though_its_input_is_not_reported(world):
    client = world.client()
    chain(client, "ab")
    for n in range(world.config.allowed_failures + 1):
        worker = world.worker(f"w{n}")
        assert worker.news() == ["run a"]
        short = client.submit(f"short-{n}")
        worker.finish(f"short-{n}", micros=1)
        client.release(short)
        assert worker.news() == [f"run short-{n}", "run b", f"free short-{n}"]
        assert client.news() == [f"finished short-{n}"]
        worker.die(executing=["b"])
    assert client.news() == ["erred b WORKER_LOST"]


def test_links_whose_inputs_came_are_asked_back_like_any_others(world):
    client = world.client()
    worker = fast_worker(world, client)
    for name in ("one", "two"):
        client.submit(f"{name}-2", [client.submit(f"{name}-1")])
    worker.news()
    other = fast_worker(world, client, "other")
    worker.finish("one-1", "two-1", micros=100)
    world.advance(0.1)
    assert "retract two-2" in worker.news()
    worker.give_back("two-2")
    assert other.news() == ["run two-2"]
    other.finish("two-2")
    worker.finish("one-2")
    client.news()


def test_errors_of_links_name_the_first_one(world):
    client = world.client()
    worker = fast_worker(world, client)
    chain(client, "abcd")
    worker.done(finished=[worker.result("a")])
    worker.fail("b", ErrorKind.SERIALIZATION)
    assert worker.news() == ["run a", "run b", "run c", "run d", "drop c", "drop d"]
    assert client.news() == ["finished a", *(f"erred {key} SERIALIZATION" for key in "bcd")]
    assert client.values[next(fid for fid, key in client.keys.items() if key == "a")] == VALUE
