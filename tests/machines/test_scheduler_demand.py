"""Workers that keep more tasks than they can run, and idle slots elsewhere."""

from __future__ import annotations

from fastsched.wire.messages import Pulse


def test_idle_slots_are_granted_to_a_worker_with_a_surplus(world):
    rich = world.worker("rich")
    world.worker("idle", nthreads=2)
    world.client().submit("parent")
    assert rich.news() == ["run parent"]
    rich.offer(10)
    assert rich.grants == [2]


def test_nothing_is_granted_while_no_slot_is_idle(world):
    client, rich = world.client(), world.worker("rich")
    client.submit("parent")
    rich.offer(10)
    assert rich.grants == []
    world.worker("idle", nthreads=3)
    assert rich.grants == [3]
    assert rich.news() == ["run parent"]


def test_nothing_is_granted_while_tasks_are_ready(world):
    client, rich = world.client(), world.worker("rich")
    other = world.worker("other", nthreads=2)
    world.machine.congested(other.number, True, world.now)
    for key in ("parent", "ahead", "waits"):
        client.submit(key)
    assert rich.news() == ["run parent", "run ahead"]
    rich.offer(10)
    rich.finish("parent", micros=1_000_000)
    assert rich.grants == []
    assert client.news() == ["finished parent"]


def test_who_has_most_is_granted_first_and_the_rest_goes_to_the_next(world):
    client = world.client()
    few, many, none = world.worker("few"), world.worker("many"), world.worker("none")
    for key in "abc":
        client.submit(key)
    few.offer(3)
    many.offer(7)
    world.worker("idle", nthreads=9)
    assert (few.grants, many.grants, none.grants) == ([2], [7], [])
    assert few.news() + many.news() + none.news() == ["run a", "run b", "run c"]


def test_of_equals_the_first_worker_is_granted(world):
    client = world.client()
    workers = [world.worker(name) for name in "abc"]
    for worker in workers:
        client.submit(f"task {worker.name}")
        assert worker.news() == [f"run task {worker.name}"]
    for worker in reversed(workers):
        worker.offer(5)
    world.worker("idle")
    assert [worker.grants for worker in workers] == [[1], [], []]


def test_what_is_granted_is_not_granted_again_until_it_lapses(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    client.submit("a")
    client.submit("b")
    first.offer(5)
    second.offer(4)
    world.worker("idle")
    client.say(Pulse(1))
    assert (first.grants, second.grants) == ([1], [])
    world.advance(0.001)
    assert second.grants == []
    world.advance(0.002)
    assert second.grants == [1]
    world.advance(1.0)
    assert (first.grants, second.grants) == ([1], [1])
    assert first.news() + second.news() == ["run a", "run b"]


def test_a_worker_whose_surplus_was_taken_is_asked_again_when_it_says_so(world):
    client, rich = world.client(), world.worker("rich")
    idle = world.worker("idle", nthreads=2)
    client.submit("parent")
    rich.offer(5)
    rich.submit("child")
    assert rich.grants == [2]
    rich.offer(4)
    assert rich.grants == [2, 1]
    rich.offer(0)
    idle.finish("child")
    assert rich.grants == [2, 1]
    assert rich.news() == ["run parent", "finished child"]
    assert idle.news() == ["run child"]


def test_slots_that_stay_idle_though_their_task_was_submitted_are_granted_to_the_next(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    client.submit("a")
    client.submit("b")
    idle = world.worker("idle", nthreads=2)
    first.offer(5)
    assert first.grants == [2]
    second.offer(5)
    assert second.grants == []
    first.submit("child")
    assert second.grants == [1]
    assert idle.news() == ["run child"]
    assert first.news() + second.news() == ["run a", "run b"]


def test_a_surplus_goes_with_its_worker(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    client.submit("a")
    client.submit("b")
    first.offer(5)
    second.offer(5)
    world.machine.suspect(first.number, world.now)
    idle = world.worker("idle", nthreads=2)
    assert (first.grants, second.grants) == ([], [2])
    first.die(executing=[])
    second.offer(5)
    assert second.grants == [2, 1]
    second.die(executing=[])
    assert idle.news() == ["run a", "run b"]
    assert first.news() + second.news() == ["run a", "run b"]
    third = world.worker("third")
    assert third.grants == []


def test_a_slot_for_which_a_task_was_asked_back_is_not_granted_until_that_lapses(world):
    client, crowded = world.client(), world.worker("crowded")
    client.submit("runs")
    client.submit("waits")
    rich = world.worker("rich")
    rich.offer(5)
    assert crowded.news() == ["run runs", "run waits", "retract waits"]
    assert rich.grants == []
    world.advance(0.003)
    assert rich.grants == [1]


def test_a_slot_that_is_still_idle_when_what_was_asked_back_has_come_is_granted(world):
    client, crowded = world.client(), world.worker("crowded")
    client.submit("runs")
    client.submit("waits")
    rich = world.worker("rich", nthreads=2)
    rich.offer(5)
    assert crowded.news() == ["run runs", "run waits", "retract waits"]
    assert rich.grants == [1]
    crowded.give_back("waits")
    assert rich.news() == ["run waits"]
