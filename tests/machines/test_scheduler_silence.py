"""Workers that fall silent: their work moves, nobody is blamed, and what they report when they are back counts once."""

from __future__ import annotations

import pytest

from fastsched.config import Config
from tests.machines.helpers.scheduler_world import Worker, World

LARGE = {"value": None, "nbytes": 100_000}
SILENCE = Config().silence_seconds
BEAT = Config().pulse_seconds


def pair(world: World, nthreads: int = 1) -> tuple[Worker, Worker]:
    return world.worker("first", nthreads, beats=True), world.worker("second", nthreads, beats=True)


def hush(world: World, *workers: Worker, seconds: float = SILENCE + BEAT) -> None:
    """These say nothing for so long."""
    for worker in workers:
        worker.beats = False
    world.advance(seconds)


def wake(world: World, worker: Worker, seconds: float = BEAT) -> None:
    """It is heard again, and has time to settle."""
    worker.beats = True
    worker.beat()
    world.advance(seconds)


def test_what_runs_on_a_silent_worker_runs_a_second_time_where_a_slot_is_idle(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    assert (first.news(), second.news()) == (["run a"], [])
    hush(world, first, seconds=SILENCE - 0.1)
    assert second.news() == []
    world.advance(0.1)
    assert second.news() == ["run a"]
    second.finish("a")
    assert client.news() == ["finished a"]
    wake(world, first)
    assert first.news() == ["drop a"]


def test_a_worker_that_beats_may_run_a_task_for_as_long_as_it_likes(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    world.advance(100 * SILENCE)
    assert (first.news(), second.news()) == (["run a"], [])
    first.finish("a")
    assert client.news() == ["finished a"]


def test_what_waits_there_goes_to_others_at_once_and_what_runs_stays_while_no_slot_is_idle(world):
    client, (first, second) = world.client(), pair(world)
    for key in "abcd":
        client.submit(key)
    assert (first.news(), second.news()) == (["run a", "run c"], ["run b", "run d"])
    hush(world, first)
    assert second.news() == []  # it has as many as it may have
    second.finish("b")
    second.finish("d")
    assert second.news() == ["run c"]
    second.finish("c")
    world.advance(BEAT)
    assert second.news() == ["run a"]
    second.finish("a")
    assert client.news() == ["finished b", "finished d", "finished c", "finished a"]
    wake(world, first)
    assert first.news() == ["drop c", "drop a"]


def test_the_first_result_counts_and_the_other_attempt_is_dropped(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    hush(world, first)
    assert second.news() == ["run a"]
    first.finish("a")
    assert client.news() == ["finished a"]
    assert (first.news(), second.news()) == (["run a"], ["drop a"])
    assert world.machine.books.core.holders(world.machine.books.keys["a"].id) == [0]


def test_an_error_of_a_worker_that_was_silent_counts_too(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a", retries=1)
    hush(world, first)
    assert second.news() == ["run a"]
    first.fail("a")
    assert second.news() == ["drop a", "run a"]
    second.finish("a")
    assert client.news() == ["finished a"]
    assert first.news() == ["run a"]


def test_a_result_that_comes_after_the_other_attempts_is_dropped(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    hush(world, first)
    second.finish("a")
    first.finish("a")
    assert client.news() == ["finished a"]
    world.advance(BEAT)
    assert (first.news(), second.news()) == (["run a", "free a"], ["run a"])


def test_a_worker_that_is_back_for_a_moment_gets_tasks_again_and_not_before(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    hush(world, first)
    second.finish("a")
    first.beats = True
    first.beat()
    second.beats = False
    client.submit("b")
    client.submit("c")
    assert (first.news(), second.news()) == (["run a"], ["run a", "run b"])
    world.advance(0.5)
    assert first.news() == ["drop a", "run c"]
    first.finish("c")
    second.finish("b")
    assert client.news() == ["finished a", "finished c", "finished b"]


def test_if_all_are_silent_nothing_moves_and_what_they_report_counts(world):
    client, (first, second) = world.client(), pair(world)
    for key in "abcd":
        client.submit(key)
    assert (first.news(), second.news()) == (["run a", "run c"], ["run b", "run d"])
    hush(world, first, second, seconds=20 * SILENCE)
    assert (first.news(), second.news()) == ([], [])
    first.finish("a", "c")
    second.finish("b", "d")
    wake(world, first)
    wake(world, second)
    client.submit("e")
    assert first.news() == ["run e"]
    first.finish("e")
    assert client.news() == [f"finished {key}" for key in "acbde"]
    assert second.news() == []


def test_of_two_silent_workers_the_first_that_is_back_gets_the_work_of_the_other(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    client.submit("b")
    hush(world, first, second)
    first.finish("a")
    wake(world, first)
    assert (first.news(), second.news()) == (["run a", "run b"], ["run b"])
    first.finish("b")
    wake(world, second)
    assert client.news() == ["finished a", "finished b"]
    assert second.news() == ["drop b"]


def test_work_of_a_silent_worker_moves_to_one_that_comes(world):
    client, first = world.client(), world.worker("first", beats=True)
    client.submit("a")
    hush(world, first, seconds=10 * SILENCE)
    second = world.worker("second", beats=True)
    world.advance(BEAT)
    assert second.news() == ["run a"]
    second.finish("a")
    assert client.news() == ["finished a"]
    first.die(executing=[])
    assert first.news() == ["run a"]


def test_nobody_is_blamed_for_silence_and_a_task_that_was_moved_not_for_the_death_that_follows():
    world = World(Config(allowed_failures=0))
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    hush(world, first)
    first.die("SIGKILL", executing=["a"])
    assert client.news() == []
    second.finish("a")
    assert client.news() == ["finished a"]
    assert (first.news(), second.news()) == (["run a"], ["run a"])
    world.end()


def test_a_worker_that_was_silent_for_too_long_is_put_out_and_what_ran_there_is_blamed():
    world = World(Config(allowed_failures=0, worker_ttl=30.0))
    client, first = world.client(), world.worker("first", beats=True)
    fid = client.submit("a")
    hush(world, first, seconds=29.9)
    assert client.news() == [] and not world.put_out
    world.advance(1.0)
    assert client.news() == ["erred a WORKER_LOST"]
    assert "was not heard for 30 s" in client.errors[fid].text
    assert world.put_out.pop() == "first"
    first.finish("a")
    assert client.news() == []
    assert first.news() == ["run a"]
    world.end()


def test_time_by_which_the_scheduler_itself_was_late_is_nobodys_silence(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    hush(world, first, second, seconds=0.5)
    world.now += 100.0  # it was stopped
    world.machine.tick(world.now)
    world.settle()
    assert second.news() == []
    first.beats = second.beats = True
    world.advance(10 * SILENCE)
    assert second.news() == []
    first.finish("a")
    assert client.news() == ["finished a"]
    assert first.news() == ["run a"]


def test_a_scheduler_that_was_late_still_notices_silence_afterwards(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    hush(world, first, seconds=0.5)
    world.now += 100.0
    second.beat()
    world.machine.tick(world.now)
    world.settle()
    world.advance(SILENCE)
    assert second.news() == ["run a"]
    second.finish("a")
    assert client.news() == ["finished a"]
    assert first.news() == ["run a"]


def test_silence_counts_from_when_something_is_expected(world):
    client, (first, second) = world.client(), pair(world)
    hush(world, first, second, seconds=100.0)
    assert world.machine.next_deadline() is None  # an idle cluster sleeps
    client.submit("a")
    world.advance(SILENCE - 0.1)
    second.beats = True
    second.beat()
    world.advance(BEAT)
    assert (first.news(), second.news()) == (["run a"], ["run a"])
    second.finish("a")
    assert client.news() == ["finished a"]


def test_a_worker_that_was_told_something_before_its_first_beat_arrived_is_expected_to_be_heard(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second", beats=True)
    client.submit("a")
    first.beat()
    world.advance(SILENCE + BEAT)
    assert (first.news(), second.news()) == (["run a"], ["run a"])
    second.finish("a")
    assert client.news() == ["finished a"]


def test_a_first_beat_of_a_worker_that_has_nothing_wakes_nobody(world):
    world.client()
    world.worker("first").beat()
    assert world.machine.next_deadline() is None


def test_a_worker_that_holds_values_is_expected_to_be_heard_and_one_that_holds_nothing_is_not(world):
    client, worker = world.client(), world.worker("first", beats=True)
    fid = client.submit("a")
    worker.finish("a")
    world.advance(2 * BEAT)
    assert world.machine.next_deadline() is not None
    client.release(fid)
    world.advance(2 * BEAT)
    assert world.machine.next_deadline() is None
    assert (client.news(), worker.news()) == (["finished a"], ["run a", "free a"])


def test_a_value_that_only_a_silent_worker_has_is_computed_again_if_a_task_needs_it(world):
    client, (first, second) = world.client(), pair(world)
    a = client.submit("a")
    first.finish("a", **LARGE)
    client.submit("b", [a])
    client.submit("x")
    assert (first.news(), second.news()) == (["run a", "run b"], ["run x"])
    hush(world, first)
    assert second.news() == []  # it runs something else
    second.finish("x")
    world.advance(BEAT)
    assert client.news() == ["finished a", "finished x", "lost a"]
    assert second.news() == ["run a"]
    second.finish("a", **LARGE)
    second.finish("b")
    wake(world, first)
    assert first.news() == ["free a", "drop b"]
    assert client.news() == ["finished a", "finished b"]
    assert second.news() == ["run b"]


def test_who_waits_for_a_value_of_a_silent_worker_waits_no_longer(world):
    client, (first, second) = world.client(), pair(world)
    a = client.submit("a")
    first.finish("a", **LARGE)
    client.submit("x")
    assert first.news() == ["run a", "run x"]
    client.submit("b", [a])
    assert second.news() == ["run b"]
    assert second.tasks["b"].inputs[0][4] == ("tcp://first:1",)
    hush(world, first)
    assert second.news() == ["drop b", "run a"]
    second.finish("a", **LARGE)
    assert second.news() == ["run b"]
    second.finish("b")
    world.advance(BEAT)
    assert second.news() == ["run x"]
    second.finish("x")
    wake(world, first)
    assert first.news() == ["free a", "drop x"]
    assert client.news() == ["finished a", "lost a", "finished a", "finished b", "finished x"]


def test_values_of_silent_workers_are_sought_elsewhere_first(world):
    client, (first, second) = world.client(), pair(world)
    a = client.submit("a")
    first.finish("a", **LARGE)
    assert client.locate(a) == (None, ("tcp://first:1",))
    hush(world, first)
    assert client.locate(a) == (None, ("tcp://first:1",))  # it may come back
    assert client.news() == ["finished a"]
    assert (first.news(), second.news()) == (["run a"], [])


def test_a_value_that_is_at_hand_needs_not_be_computed_again(world):
    client, (first, second) = world.client(), pair(world)
    a = client.submit("a")
    first.finish("a")
    client.submit("b", [a])
    hush(world, first)
    assert second.news() == ["run b"]
    second.finish("b")
    wake(world, first)
    assert first.news() == ["run a", "run b", "drop b"]
    assert client.news() == ["finished a", "finished b"]


def test_a_worker_without_a_pulse_is_not_expected_to_be_heard(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    client.submit("a")
    world.advance(1000.0)
    first.finish("a")
    assert client.news() == ["finished a"]
    assert (first.news(), second.news()) == (["run a"], [])


def test_bytes_in_the_midst_of_a_message_are_a_sign_of_life(world):
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    first.beats = False
    for _ in range(10):
        world.advance(SILENCE / 2)
        world.machine.heard(first.number, world.now)
    assert second.news() == []
    first.finish("a")
    assert client.news() == ["finished a"]
    assert first.news() == ["run a"]


@pytest.mark.parametrize("field", ["silence_seconds", "worker_ttl"])
def test_zero_means_never(field):
    world = World(Config(**{field: 0.0}))
    client, (first, second) = world.client(), pair(world)
    client.submit("a")
    hush(world, first, seconds=1000.0)
    moved = field == "worker_ttl"
    assert second.news() == (["run a"] if moved else [])
    assert not world.put_out
    (second if moved else first).finish("a")
    assert client.news() == ["finished a"]
    assert first.news() == ["run a"]
    world.end()
