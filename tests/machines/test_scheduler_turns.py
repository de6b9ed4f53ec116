"""Keys whose last future is released in the turn in which somebody comes for them, or in which the task ends."""

from __future__ import annotations


def test_a_task_that_is_released_and_submitted_in_one_turn_runs_again(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    worker.finish("a")
    with world.one_turn():
        client.release(fid)
        client.submit("a")
    worker.finish("a")
    assert worker.news() == ["run a", "free a", "run a"]
    assert client.news() == ["finished a", "finished a"]


def test_a_task_that_is_released_and_wanted_in_one_turn_is_unknown(world):
    client, worker = world.client(), world.worker()
    fid = client.submit("a")
    worker.finish("a")
    with world.one_turn():
        client.release(fid)
        client.want("a")
    worker.answer()
    assert worker.news() == ["run a", "free a", "seek a"]
    assert client.news() == ["finished a", "erred a CANCELLED"]


def test_a_value_that_is_released_and_scattered_in_one_turn_is_put_again(world):
    client, worker = world.client(), world.worker()
    fid = client.scatter("value")
    worker.store("value")
    with world.one_turn():
        client.release(fid)
        client.scatter("value")
    worker.store("value")
    assert sorted(worker.news()) == ["free value", "put value", "put value"]
    assert client.news() == ["finished value", "finished value"]


def test_a_future_of_an_unknown_key_may_be_released_in_the_turn_in_which_it_comes(world):
    client = world.client()
    with world.one_turn():
        client.release(client.want("nobody's"))
    assert world.empty()


def test_a_task_may_be_released_in_the_turn_in_which_it_ends(world):
    client, worker = world.client(), world.worker(nthreads=2)
    good, bad = client.submit("good"), client.submit("bad")
    with world.one_turn():
        worker.finish("good")
        worker.fail("bad")
        client.release(good, bad)
    assert worker.news() == ["run good", "run bad", "free good"]
    assert world.empty()
