"""Questions about the cluster, functions on workers, and who is let in."""

from __future__ import annotations

import pytest

from fastsched.wire.messages import Register, Role, Verb


def test_info_tells_of_the_scheduler_and_its_workers(world):
    client = world.client()
    world.worker("w1", nthreads=3)
    ok, info = client.answers[client.call(Verb.INFO)]
    assert ok
    assert info["name"] == "world"
    assert info["version"] == "1"
    assert info["clients"] == 1
    assert info["workers"]["w1"]["nthreads"] == 3
    assert info["workers"]["w1"]["address"] == "tcp://w1:1"
    assert info["tasks"]["memory"] == 0


def test_nthreads_are_told_by_name(world):
    client = world.client()
    world.worker("w1", nthreads=3)
    world.worker("w2", nthreads=1)
    assert client.answers[client.call(Verb.NTHREADS)] == (True, {"w1": 3, "w2": 1})


def test_a_function_runs_on_all_workers_and_the_answer_is_complete(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    request = client.call(Verb.RUN, frames=(b"function",))
    first.ran((b"1",))
    assert client.answers == {}
    second.ran((b"error",), ok=False)
    ok, results = client.answers[request]
    assert ok
    assert {name: tuple(result) for name, result in results.items()} == {
        "first": (True, (b"1",)),
        "second": (False, (b"error",)),
    }


def test_a_function_runs_on_the_workers_that_were_named(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    request = client.call(Verb.RUN, "second", frames=(b"function",))
    assert first.requests == []
    second.ran()
    assert request in client.answers


def test_a_worker_that_is_gone_when_it_is_named_was_lost_before_it_answered(world):
    """The client has looked who is there, a moment ago."""
    client, worker = world.client(), world.worker("first")
    request = client.call(Verb.RUN, "first", "second", frames=(b"function",))
    worker.ran((b"1",))
    lost = (False, "worker second was lost before it answered")
    assert client.answers[request] == (True, {"first": (True, (b"1",)), "second": lost})
    assert client.answers[client.call(Verb.RUN, "second", frames=(b"function",))] == (True, {"second": lost})


def test_a_function_without_workers_has_no_results(world):
    client = world.client()
    assert client.answers[client.call(Verb.RUN, frames=(b"function",))] == (True, {})


def test_a_call_to_run_without_a_function_is_refused(world):
    client = world.client()
    assert client.answers[client.call(Verb.RUN)][0] is False


def test_a_worker_that_dies_before_it_answers_is_named_in_the_answer(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    request = client.call(Verb.RUN, frames=(b"function",))
    first.ran()
    second.die()
    ok, results = client.answers[request]
    assert ok
    assert results["second"][0] is False
    assert "second" in results["second"][1]


def test_an_answer_for_a_client_that_left_is_dropped(world):
    client, worker = world.client(), world.worker()
    client.call(Verb.RUN, frames=(b"function",))
    world.lost(client)
    worker.ran()
    assert client.answers == {}


def test_wait_for_workers_answers_when_enough_are_there(world):
    client = world.client()
    request = client.call(Verb.WAIT_FOR_WORKERS, 2)
    world.worker("first")
    assert client.answers == {}
    world.worker("second")
    assert client.answers == {request: (True, 2)}
    assert client.answers[client.call(Verb.WAIT_FOR_WORKERS, 1)] == (True, 2)


def test_wait_for_workers_of_a_client_that_left_is_forgotten(world):
    client = world.client()
    client.call(Verb.WAIT_FOR_WORKERS, 1)
    world.lost(client)
    world.worker()
    assert client.answers == {}


@pytest.mark.parametrize("args", [(), ("two",), (1, 2)])
def test_wait_for_workers_wants_a_number(world, args):
    client = world.client()
    assert client.answers[client.call(Verb.WAIT_FOR_WORKERS, *args)][0] is False


def test_shutdown_stops_everything(world):
    client = world.client("boss")
    assert client.answers[client.call(Verb.SHUTDOWN)] == (True, None)
    assert world.stopped == ["boss asked for it"]


def test_nameless_peers_get_names(world):
    client, worker = world.client(""), world.worker("")
    assert client.name == "client-1"
    assert worker.name == "worker-2"


def test_a_second_worker_of_the_same_name_is_not_let_in(world):
    client, worker = world.client(), world.worker("w")
    other = world.join(Role.WORKER, Register("w", "1", 0, 1, "", 0, ""))
    assert world.put_out == ["w"]
    assert "'w'" in other.reason
    world.put_out.clear()
    client.submit("a")
    assert worker.news() == ["run a"]


def test_a_name_is_free_again_when_its_worker_has_left(world):
    world.worker("w").die()
    client, worker = world.client(), world.worker("w")
    client.submit("a")
    assert worker.news() == ["run a"]


def test_a_worker_without_a_thread_is_not_let_in(world):
    peer = world.join(Role.WORKER, Register("w", "1", 0, 0, "", 0, ""))
    assert world.put_out == ["w"]
    assert "'w'" in peer.reason
    world.put_out.clear()


def test_a_scheduler_is_not_let_in(world):
    world.join(Role.SCHEDULER, Register("s", "1", 0, 0, "", 0, ""))
    assert world.put_out == ["s"]
    world.put_out.clear()


@pytest.mark.parametrize("role", [Role.CLIENT, Role.WORKER])
def test_another_version_is_not_let_in_and_both_are_named(world, role):
    peer = world.join(role, Register("old", "0.9", 0, 1, "", 0, ""))
    assert world.put_out == ["old"]
    assert "fastsched 1" in peer.reason
    assert "0.9" in peer.reason
    world.put_out.clear()
