"""Values: scattered, small ones that travel inside messages, large ones that are located; and their budgets."""

from __future__ import annotations

import pytest

from fastsched.config import Config
from fastsched.wire.messages import Buffer, ErrorKind
from tests.machines.helpers.scheduler_world import World


def test_a_scattered_value_is_finished_when_a_worker_has_it(world):
    client, worker = world.client(), world.worker()
    fid = client.scatter("value", (b"xyz",))
    assert worker.news() == ["put value"]
    assert client.news() == []
    worker.store("value", 3)
    assert client.news() == ["finished value"]
    assert client.values[fid] == (b"xyz",)
    client.release(fid)
    assert worker.news() == ["free value"]
    assert world.empty()


def test_a_large_scattered_value_stays_on_its_worker_only(world):
    client, worker = world.client(), world.worker()
    fid = client.scatter("value", (b"head", Buffer(bytes(100_000))))
    worker.store("value", 100_004)
    assert worker.news() == ["put value"]
    assert client.news() == ["finished value"]
    assert client.values[fid] is None
    assert client.locate(fid) == (None, ("tcp://w:1",))
    assert world.machine.books.retained == 0


def test_scattered_values_go_round(world):
    client, workers = world.client(), [world.worker(str(n)) for n in range(3)]
    for index in range(6):
        client.scatter(f"v{index}")
    assert [len(worker.news()) for worker in workers] == [2, 2, 2]


def test_a_scattered_value_goes_to_the_workers_that_were_named(world):
    client, workers = world.client(), [world.worker(name) for name in "xyz"]
    for index in range(4):
        client.scatter(f"v{index}", workers=["y", "z"])
    assert [len(worker.news()) for worker in workers] == [0, 2, 2]


def test_a_scattered_value_for_an_unknown_worker_fails_and_names_it(world):
    client, worker = world.client(), world.worker("there")
    fid = client.scatter("value", workers=["nowhere"])
    assert client.news() == ["erred value NO_WORKERS"]
    assert "nowhere" in client.errors[fid].text
    assert "there" in client.errors[fid].text
    client.release(fid)
    assert worker.news() == []
    assert world.empty()


def test_a_broadcast_value_goes_to_all(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    fid = client.scatter("value", (b"x" * 100_000,), broadcast=True)
    first.store("value")
    assert client.news() == ["finished value"]
    second.store("value")
    frames, addresses = client.locate(fid)
    assert frames is None
    assert sorted(addresses) == ["tcp://first:1", "tcp://second:1"]
    client.release(fid)
    assert first.news() == second.news() == ["put value", "free value"]


def test_a_value_scattered_again_is_known(world):
    client, other, worker = world.client(), world.client("other"), world.worker()
    client.scatter("value")
    other.scatter("value")
    assert worker.news() == ["put value"]
    worker.store("value")
    client.scatter("value")
    assert client.news() == ["finished value", "finished value"]
    assert other.news() == ["finished value"]


def test_a_known_value_is_brought_to_those_who_lack_it_by_a_broadcast(world):
    client, first = world.client(), world.worker("first")
    client.scatter("value")
    first.store("value")
    second = world.worker("second")
    client.scatter("value", broadcast=True)
    assert first.news() == second.news() == ["put value"]
    assert client.news() == ["finished value", "finished value"]


def test_a_lost_value_can_be_scattered_again(world):
    client, first = world.client(), world.worker("first")
    client.scatter("value")
    first.store("value")
    first.die(executing=[])
    assert client.news() == ["finished value", "lost value", "erred value DATA_LOST"]
    second = world.worker("second")
    client.scatter("value")
    second.store("value")
    assert (first.news(), second.news()) == (["put value"], ["put value"])
    assert client.news() == ["finished value"]


def test_a_released_value_that_is_only_lineage_is_scattered_anew(world):
    client, worker = world.client(), world.worker()
    value = client.scatter("value")
    worker.store("value")
    client.submit("a", [value])
    worker.finish("a")
    client.release(value)
    client.scatter("value")
    worker.store("value")
    assert worker.news() == ["put value", "run a", "free value", "put value"]
    assert client.news() == ["finished value", "finished a", "finished value"]


def test_a_value_waits_for_the_first_worker(world):
    client = world.client()
    fid = client.scatter("value")
    client.submit("a", [fid])
    worker = world.worker()
    assert worker.news() == ["put value"]
    worker.store("value")
    assert worker.news() == ["run a"]
    assert client.news() == ["finished value"]


def test_a_value_under_way_to_a_worker_that_dies_goes_to_another_or_waits(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    client.scatter("value", workers=["first"])
    first.die()
    assert second.news() == ["put value"]
    second.die()
    third = world.worker("third")
    third.store("value")
    assert (first.news(), third.news()) == (["put value"], ["put value"])
    assert client.news() == ["finished value"]


def test_a_value_released_under_way_is_freed_on_arrival(world):
    client, worker = world.client(), world.worker()
    fid = client.scatter("value")
    client.release(fid)
    worker.store("value")
    assert worker.news() == ["put value", "free value"]
    assert world.empty()


def test_a_value_waiting_for_a_worker_can_be_released(world):
    client = world.client()
    client.release(client.scatter("value"))
    assert world.empty()
    assert world.worker().news() == []


def test_futures_inside_a_scattered_value_are_pinned(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    worker.finish("a")
    value = client.scatter("value", pins=[a])
    client.release(a)
    worker.store("value")
    assert worker.news() == ["run a", "put value"]
    client.release(value)
    assert worker.news() == ["free value", "free a"]
    assert client.news() == ["finished a", "finished value"]
    assert world.empty()


def test_a_scattered_value_can_be_cancelled(world):
    client, worker = world.client(), world.worker()
    fid = client.scatter("value")
    client.cancel(fid)
    assert world.machine.books.retained == 0
    worker.store("value")
    assert client.news() == ["erred value CANCELLED"]
    assert worker.news() == ["put value", "free value"]
    client.release(fid)
    assert world.empty()


def test_locate_gives_a_small_value_itself(world):
    client, other, worker = world.client(), world.client("other"), world.worker()
    client.submit("a")
    worker.finish("a", value=(b"A",))
    fid = other.want("a")
    assert other.locate(fid) == ((b"A",), ())
    for peer in (client, other, worker):
        peer.news()


def test_locate_of_a_task_that_is_not_finished_names_nobody(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    assert client.locate(fid) == (None, ())
    worker.fail("a")
    assert client.locate(fid) == (None, ())
    client.news()
    worker.news()


def test_values_beyond_the_budget_of_a_client_do_not_travel_until_it_releases_some():
    world = World(Config(inline_budget=10))
    client, worker = world.client(), world.worker(nthreads=4)
    fids = [client.submit(key) for key in "abc"]
    for key in "abc":
        worker.finish(key, value=(b"12345",))
    assert [client.values[fid] is None for fid in fids] == [False, False, True]
    assert client.locate(fids[2]) == ((b"12345",), ())
    client.release(fids[0])
    again = client.submit("c")
    assert client.values[again] == (b"12345",)
    client.news()
    worker.news()
    world.end()


def test_values_beyond_the_budget_of_the_scheduler_travel_once_and_stay_on_the_worker():
    world = World(Config(retain_budget=10))
    client, worker = world.client(), world.worker(nthreads=4)
    fids = [client.submit(key) for key in "abc"]
    for key in "abc":
        worker.finish(key, value=(b"12345",))
    assert [client.values[fid] for fid in fids] == [(b"12345",)] * 3
    assert world.machine.books.retained == 10
    assert client.locate(fids[2]) == (None, ("tcp://w:1",))
    client.release(fids[0])
    assert world.machine.books.retained == 5
    client.news()
    worker.news()
    world.end()


def test_a_value_beyond_the_budget_may_be_released_in_the_turn_in_which_it_comes():
    world = World(Config(retain_budget=3))
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    with world.one_turn():
        worker.finish("a", value=(b"12345",))
        client.release(fid)
    assert worker.news() == ["run a", "free a"]
    assert world.empty()


def test_a_value_that_was_lost_and_computed_again_counts_once_against_the_budget_of_its_client():
    world = World(Config(inline_budget=9))
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    fid = client.submit("a")
    first.finish("a", value=(b"12345",))
    first.die(executing=[])
    second.finish("a", value=(b"12345",))
    assert client.values[fid] == (b"12345",)
    assert client.news() == ["finished a", "lost a", "finished a"]
    assert first.news() == second.news() == ["run a"]


def test_a_few_holders_of_a_value_are_enough_to_name():
    world = World()
    client, workers = world.client(), [world.worker(str(n)) for n in range(6)]
    fid = client.scatter("value", (b"x" * 100_000,), broadcast=True)
    for worker in workers:
        worker.store("value")
        worker.news()
    _, addresses = client.locate(fid)
    assert len(set(addresses)) == 4
    client.news()


def test_scattered_values_count_against_the_budget_of_the_scheduler_once_they_arrived():
    world = World(Config(retain_budget=10))
    client, worker = world.client(), world.worker()
    for key in "abc":
        client.scatter(key, (b"12345",))
        worker.store(key)
    assert world.machine.books.retained == 10
    client.news()
    worker.news()
    world.end()


def test_a_value_that_comes_inline_though_it_is_large_is_not_kept():
    world = World(Config(inline_bytes=4))
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    worker.finish("a", value=(b"12345",))
    assert client.values[fid] is None
    assert world.machine.books.retained == 0
    client.news()
    worker.news()
    world.end()


@pytest.mark.parametrize("kind", [ErrorKind.TASK, ErrorKind.CANCELLED])
def test_an_error_is_no_value(world, kind):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    worker.fail("a", kind)
    assert fid not in client.values
    client.news()
    worker.news()
