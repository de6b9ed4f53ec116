"""Rows that move on before the turn ends: what is told of them is their last outcome, once to each future.

A task whose last future is released while another task names it as an input stays known, and is the same task again for
whoever submits its key. So within one turn it can end twice, or end and be computed again.
"""

from __future__ import annotations

from fastsched.wire.messages import ErrorKind


def test_a_task_whose_input_errs_it_twice_in_one_turn_is_told_once(world):
    client = world.client()
    with world.one_turn():
        a = client.want("a")  # nobody knows it
        b = client.submit("b", [a])
        client.submit("c", [b])
        client.release(b)
        client.submit("b", [a])
    assert client.news() == ["erred a CANCELLED", "erred b CANCELLED", "erred c CANCELLED"]


def test_a_hopeless_task_that_is_submitted_again_and_cancelled_in_one_turn_is_told_once(world):
    client = world.client()
    world.machine.give_up("no more", world.now)
    with world.one_turn():
        a = client.submit("a")
        client.submit("b", [a])
        client.release(a)
        client.cancel(client.submit("a"))
    assert client.news() == ["erred a CANCELLED", "erred b CANCELLED"]


def test_a_task_that_was_cancelled_is_told_so_although_it_had_erred_in_the_same_turn(world):
    client = world.client()
    world.machine.give_up("no more", world.now)
    with world.one_turn():
        a = client.submit("a")
        b = client.submit("b", [a])
        client.submit("c", [b])
        client.release(a, b)
        b = client.submit("b")
        client.cancel(b)
    assert client.errors[b].text == "b was cancelled"
    assert client.news() == ["erred c NO_WORKERS", "erred b CANCELLED"]


def test_a_task_that_erred_and_is_kept_again_in_one_turn_runs(world):
    client = world.client()
    world.machine.give_up("no more", world.now)
    with world.one_turn():
        a = client.submit("a")
        client.submit("b", [a])
        client.release(a)
        worker = world.worker()
        a = client.submit("a")
        client.keep(a)
        client.release(a)
    assert client.news() == ["erred b NO_WORKERS"]
    assert worker.news() == ["run a"]
    worker.finish("a")
    assert worker.news() == ["free a"]


def test_a_task_that_finished_and_is_kept_again_in_one_turn_runs_again(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    client.cancel(client.submit("b", [a]))
    with world.one_turn():
        worker.finish("a")
        client.release(a)
        a = client.submit("a")
        client.keep(a)
        client.release(a)
    assert client.news() == ["erred b CANCELLED"]
    assert worker.news() == ["run a", "free a", "run a"]
    worker.finish("a")
    assert worker.news() == ["free a"]


def test_whoever_comes_in_the_turn_in_which_a_scattered_value_is_lost_is_told_its_error(world):
    client, worker = world.client(), world.worker()
    s = client.scatter("s")
    worker.store("s")
    client.submit("b", [s])
    (held,) = worker.held
    with world.one_turn():
        worker.miss("b", held)
        late = client.want("s")
    assert client.errors[late].kind == ErrorKind.DATA_LOST
    assert client.news() == [
        "finished s",
        *["lost s", "lost s"],
        *["erred s DATA_LOST", "erred s DATA_LOST"],
        "erred b DATA_LOST",
    ]
    assert worker.news() == ["put s", "run b", "free s"]


def test_a_task_is_told_why_it_ended_although_its_input_was_released_in_the_same_turn(world):
    client, worker = world.client(), world.worker()
    s = client.scatter("s")
    worker.store("s")
    b = client.submit("b", [s])
    (held,) = worker.held
    with world.one_turn():
        worker.miss("b", held)
        client.release(s)
    assert client.errors[b].key == "s"
    assert client.news() == ["finished s", "erred b DATA_LOST"]
    assert worker.news() == ["put s", "run b", "free s"]


def test_whoever_submits_a_freed_task_in_the_turn_in_which_its_input_is_cancelled_is_told_its_error(world):
    client, worker = world.client(), world.worker()
    a = client.submit("a")
    worker.finish("a")
    b = client.submit("b", [a])
    worker.finish("b")
    client.submit("c", [b])
    worker.finish("c")
    with world.one_turn():
        client.cancel(a)
        client.release(b)
        client.submit("b", [a])
    assert client.news() == ["finished a", "finished b", "finished c", "erred a CANCELLED", "erred b CANCELLED"]
    assert worker.news() == ["run a", "run b", "run c", "free a", "free b"]


def test_a_scattered_value_that_comes_twice_in_one_turn_is_told_once_and_keeps_its_pins(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    pinned = client.submit("pinned")
    first.finish("pinned")
    s = client.scatter("s", broadcast=True, pins=[pinned])
    client.release(pinned)
    client.cancel(client.submit("b", [s]))
    with world.one_turn():
        first.store("s")
        client.release(s)
        s = client.want("s")
        second.store("s")
    assert client.news() == ["finished pinned", "erred b CANCELLED", "finished s"]
    assert first.news() == ["run pinned", "put s", "free s"]
    client.release(s)
    assert first.news() == ["free pinned"]
    assert second.news() == ["put s", "free s"]


def test_an_error_that_only_a_running_task_kept_is_no_outcome_when_the_task_runs_again(world):
    client, worker = world.client(), world.worker(nthreads=3)
    a = client.submit("a")
    worker.finish("a")
    (held,) = worker.held
    b = client.submit("b", [a])
    c = client.submit("c", [a])
    worker.miss("c", held)
    worker.fail("a")
    client.release(a, c)
    worker.finish("b")
    worker.die(executing=[])
    client.submit("a")
    other = world.worker("other")
    other.finish("a")
    other.finish("b")
    assert client.outcomes[b] == "finished"
    assert worker.news() == ["run a", "run b", "run c", "free a", "run a"]
    assert other.news() == ["run a", "run b"]
    assert client.news() == [
        *["finished a", "lost a", "erred a TASK", "erred c TASK"],
        *["finished b", "lost b", "finished a", "finished b"],
    ]
