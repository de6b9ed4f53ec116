"""Workers that leave as planned: nothing new for them, their values to others, nobody to blame."""

from __future__ import annotations

from fastsched.config import Config
from fastsched.scheduler.retire import ALONE_SECONDS, END_SECONDS
from fastsched.wire.messages import Retire, Verb
from tests.machines.helpers.scheduler_world import Client, Worker, World

LARGE = {"value": None, "nbytes": 100_000}
PATIENCE = Config().retire_seconds
LOOK = 0.05
END = "end: it retires"


def pair(world: World, nthreads: int = 1) -> tuple[Worker, Worker]:
    return world.worker("first", nthreads, beats=True), world.worker("second", nthreads, beats=True)


def retire(client: Client, *names: str) -> int:
    """The number of the call."""
    return client.call(Verb.RETIRE, *names)


def leave(world: World, worker: Worker) -> None:
    """It does what it was told to."""
    assert worker.name in world.left
    worker.die("exit 0", executing=[])


def test_a_worker_with_nothing_to_do_is_told_to_end_at_once(world):
    client, (first, second) = world.client(), pair(world)
    call = retire(client, "first")
    assert first.news() == [END]
    assert client.answers == {}
    leave(world, first)
    ok, left = client.answers[call]
    assert ok
    assert (list(left), left["first"]["nthreads"]) == (["first"], 1)
    assert second.news() == []


def test_it_gets_no_new_tasks_gives_back_what_waits_and_finishes_what_runs(world):
    client, (first, second) = world.client(), pair(world)
    for key in "abc":
        client.submit(key)
    assert (first.news(), second.news()) == (["run a", "run c"], ["run b"])
    retire(client, "first")
    assert first.news() == ["retract a", "retract c"]  # it says nothing of those that it has begun
    first.give_back("c")
    assert second.news() == ["run c"]
    client.submit("d")
    second.finish("b")
    second.finish("c")
    assert second.news() == ["run d"]
    second.finish("d")
    assert first.news() == []
    first.finish("a")
    assert client.news() == ["finished b", "finished c", "finished d", "finished a"]
    world.advance(LOOK)
    assert second.news() == ["put a"]  # its value is small, and at hand
    second.store("a")
    world.advance(LOOK)
    assert first.news() == [END]
    leave(world, first)


def test_values_that_only_it_holds_are_fetched_by_others(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    client.submit("b")
    first.finish("a", **LARGE)
    second.finish("b", **LARGE)
    retire(client, "first")
    assert (first.news(), second.news()) == (["run a"], ["run b", "fetch from tcp://first:1: a"])
    world.advance(LOOK)
    assert (first.news(), second.news()) == ([], [])  # it is under way
    second.store("a", 100_000)
    world.advance(LOOK)
    assert first.news() == [END]
    leave(world, first)
    assert client.news() == ["finished a", "finished b"]  # and nothing is lost
    assert client.locate(1) == (None, ("tcp://second:1",))


def test_a_value_that_does_not_arrive_is_asked_for_again(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    first.finish("a", **LARGE)
    retire(client, "first")
    assert second.news() == ["fetch from tcp://first:1: a"]
    world.advance(1.2)
    assert second.news() == ["fetch from tcp://first:1: a"]
    second.store("a", 100_000)
    world.advance(LOOK)
    assert first.news() == ["run a", END]
    assert client.news() == ["finished a"]


def test_if_who_fetches_it_is_lost_another_one_does(world):
    client, (first, second) = world.client(), pair(world)
    third = world.worker("third", beats=True)
    client.submit("a")
    first.finish("a", **LARGE)
    retire(client, "first")
    assert third.news() + second.news() == ["fetch from tcp://first:1: a"]
    taker, other = (second, third) if second.put else (third, second)
    taker.die()
    world.advance(LOOK)
    assert other.news() == ["fetch from tcp://first:1: a"]
    other.store("a", 100_000)
    world.advance(LOOK)
    assert first.news() == ["run a", END]
    assert client.news() == ["finished a"]


def test_a_scattered_value_moves_too(world):
    client, (first, second) = world.client(), pair(world)
    client.scatter("x", (b"x" * 100_000,), workers=["first"])
    first.store("x", 100_000)
    retire(client, "first")
    assert (first.news(), second.news()) == (["put x"], ["fetch from tcp://first:1: x"])
    second.store("x", 100_000)
    world.advance(LOOK)
    assert first.news() == [END]
    leave(world, first)
    assert client.news() == ["finished x"]


def test_new_scattered_values_go_to_others(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    retire(client, "first")
    assert first.news() == ["run a", "retract a"]
    for n in range(4):
        client.scatter(f"x{n}")
        second.store(f"x{n}")
    assert second.news() == [f"put x{n}" for n in range(4)]
    assert client.news() == [f"finished x{n}" for n in range(4)]
    assert first.news() == []


def test_many_values_travel_in_portions(world):
    client, (first, second) = world.client(), pair(world)
    with world.one_turn():
        for n in range(3):
            client.submit(f"a{n}")
    world.advance(0)
    for worker in (first, second):
        for key in list(worker.tasks):
            worker.finish(key, value=None, nbytes=40 << 20)
    mine = [key for key in client.keys.values() if key in first.held.values()]
    first.news(), second.news()
    retire(client, "first")
    asked = second.news()
    assert len(asked) == min(2, len(mine))  # two of 40 MiB are more than a portion
    for key in list(second.put.values()):
        second.store(key, 40 << 20)
    world.advance(LOOK)
    for key in list(second.put.values()):
        second.store(key, 40 << 20)
    world.advance(LOOK)
    assert sorted(second.held.values()) == ["a0", "a1", "a2"]
    assert first.news() == [END]
    second.news(), client.news()


def test_tasks_that_run_for_too_long_are_given_up_without_blame(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    retire(client, "first")
    assert first.news() == ["run a", "retract a"]
    world.advance(PATIENCE - 0.1)
    assert first.news() == []
    world.advance(0.2)
    assert (first.news(), second.news()) == (["drop a", END], ["run a"])
    leave(world, first)
    second.finish("a")
    assert client.news() == ["finished a"]


def test_nobody_is_blamed_for_a_worker_that_is_killed_while_it_retires(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    retire(client, "first")
    first.die("SIGKILL", executing=["a"])
    assert second.news() == ["run a"]
    assert world.machine.books.keys["a"].failures == 0
    second.finish("a")
    assert (first.news(), client.news()) == (["run a", "retract a"], ["finished a"])


def test_values_that_nobody_takes_are_given_up_in_the_end(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    first.finish("a", **LARGE)
    retire(client, "first")
    world.advance(PATIENCE - 0.1)
    assert first.news() == ["run a"]
    world.advance(0.2)
    assert first.news() == [END]
    second.news()
    leave(world, first)
    assert second.news() == ["run a"]
    second.finish("a", **LARGE)
    assert client.news() == ["finished a", "lost a", "finished a"]


def test_the_last_worker_waits_only_a_moment_for_others_to_take_its_values(world):
    client, first = world.client(), world.worker("first")
    client.submit("a")
    client.submit("b")
    first.finish("a", **LARGE)
    world.machine.retire(["first", "nobody"], world.now)
    world.settle()
    assert first.news() == ["run a", "run b", "retract b"]
    first.finish("b")
    world.advance(ALONE_SECONDS - 2 * LOOK)
    assert first.news() == []
    world.advance(3 * LOOK)
    assert first.news() == [END]
    assert client.news() == ["finished a", "finished b"]


def test_a_worker_that_comes_just_then_takes_its_values(world):
    client, first = world.client(), world.worker("first")
    client.submit("a")
    first.finish("a", **LARGE)
    world.machine.retire(["first"], world.now)
    world.settle()
    world.advance(ALONE_SECONDS / 2)
    second = world.worker("second")
    world.advance(ALONE_SECONDS)
    assert set(second.news()) == {"fetch from tcp://first:1: a"}  # again and again
    second.store("a", 100_000)
    world.advance(LOOK)
    assert first.news() == ["run a", END]
    assert client.news() == ["finished a"]


def test_a_client_cannot_retire_all_workers(world):
    client, (first, second) = world.client(), pair(world)
    ok, text = client.answers[retire(client, "first", "second")]
    assert not ok
    assert "no worker would be left" in text
    retire(client, "first")
    ok, text = client.answers[retire(client, "second")]
    assert not ok
    ok, text = client.answers[retire(client, "third")]
    assert not ok
    assert "no worker has the name 'third' (there are: first, second)" in text
    assert (first.news(), second.news()) == ([END], [])


def test_a_task_cannot_retire_its_own_worker(world):
    first, second = pair(world)
    ok, text = first.answers[first.call(Verb.RETIRE, "second", "first")]
    assert not ok
    assert "no worker would be left" in text
    ok, text = first.answers[first.call(Verb.RETIRE, "first")]
    assert not ok
    assert "its own worker" in text
    call = first.call(Verb.RETIRE, "second")
    assert second.news() == [END]
    leave(world, second)
    assert first.answers[call][0]


def test_whoever_starts_processes_hears_at_once_that_a_worker_leaves(world):
    """Though it may crash before it is told to end: it is not to be replaced."""
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    retire(client, "first")
    assert world.left == ["first"]
    first.die("SIGSEGV", executing=["a"])
    assert (first.news(), second.news()) == (["run a", "retract a"], ["run a"])
    second.finish("a")
    assert client.news() == ["finished a"]


def test_a_worker_may_ask_to_be_seen_off(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    first.say(Retire(("first",)))
    first.say(Retire(("first",)))
    assert first.news() == ["run a", "retract a"]
    first.finish("a")
    world.advance(LOOK)
    second.store("a")
    world.advance(LOOK)
    assert (first.news(), second.news()) == ([END], ["put a"])
    assert client.news() == ["finished a"]
    client.say(Retire(("second",)))
    assert world.put_out == ["c"]
    world.put_out.clear()
    assert (first.news(), second.news()) == (["free a"], ["free a"])


def test_to_ask_twice_is_answered_twice(world):
    client, (first, _) = world.client(), pair(world)
    client.submit("a")
    calls = [retire(client, "first"), retire(client, "first")]
    first.finish("a")
    world.advance(LOOK)
    world.peers[3].store("a")
    world.advance(LOOK)
    assert first.news() == ["run a", "retract a", END]
    leave(world, first)
    assert all(client.answers[call][0] for call in calls)
    assert world.peers[3].news() == ["put a"]
    assert client.news() == ["finished a"]


def test_a_client_that_does_not_wait_for_the_answer_is_forgotten(world):
    client, (first, _) = world.client(), pair(world)
    client.submit("a")
    retire(client, "first")
    world.lost(client)
    world.advance(LOOK)
    assert first.news() == ["run a", "retract a", "drop a", END]
    leave(world, first)
    assert client.news() == []


def test_a_worker_that_does_not_end_is_put_out(world):
    client, (first, _) = world.client(), pair(world)
    call = retire(client, "first")
    world.advance(END_SECONDS)
    assert world.put_out == ["first"]
    assert client.answers[call][0]
    world.put_out.clear()
    assert first.news() == [END]


def test_a_value_that_nobody_needs_any_more_is_not_waited_for(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    retire(client, "first")
    client.submit("b")
    assert second.news() == ["run b"]
    first.finish("a", **LARGE)
    world.advance(LOOK)
    assert second.news() == ["fetch from tcp://first:1: a"]
    client.release(1)
    world.advance(LOOK)
    assert first.news() == ["run a", "retract a", "free a", END]  # nobody needs it: it is not waited for
    second.store("a", 100_000)
    assert second.news() == ["free a"]
    second.finish("b")
    assert client.news() == ["finished a", "finished b"]
