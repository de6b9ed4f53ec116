"""How many tasks a worker is sent ahead of its slots, and when tasks are asked back."""

from __future__ import annotations

from fastsched.config import Config
from tests.machines.helpers.scheduler_world import World


def keys(worker) -> list[str]:
    return [line.split()[1] for line in worker.news()]


def submit(client, n, name="t"):
    with client.world.one_turn():
        return [client.submit(f"{name}{index}") for index in range(n)]


def test_while_run_times_are_unknown_a_task_per_slot_is_sent_ahead(world):
    client, worker = world.client(), world.worker(nthreads=2)
    submit(client, 10)
    assert len(worker.tasks) == 2 * (1 + world.config.prefill_unknown) == 4
    worker.news()


def test_short_tasks_are_sent_ahead_by_their_measured_run_time(world):
    client, worker = world.client(), world.worker()
    submit(client, 100)
    worker.finish("t0", micros=1000)
    assert len(worker.tasks) == 1 + round(world.config.prefill_seconds / 0.001) == 6
    client.news()
    worker.news()


def test_tasks_that_take_no_time_are_sent_ahead_up_to_the_bound(world):
    client, worker = world.client(), world.worker(nthreads=2)
    submit(client, 300)
    worker.finish("t0", micros=0)
    assert len(worker.tasks) == 2 * (1 + world.config.prefill_most)
    client.news()
    worker.news()


def test_long_tasks_are_not_sent_ahead(world):
    client, worker = world.client(), world.worker(nthreads=2)
    submit(client, 10)
    worker.finish("t0", "t1", "t2", "t3", micros=100_000)
    assert len(worker.tasks) == 2
    client.news()
    worker.news()


def test_the_limit_follows_when_tasks_become_longer(world):
    client, worker = world.client(), world.worker()
    submit(client, 1000)
    worker.finish("t0", micros=10)
    (record,) = world.machine.books.workers.values()
    assert record.limit == 1 + world.config.prefill_most
    limits = []
    for _ in range(30):
        worker.finish(next(iter(worker.tasks)), micros=20_000)
        limits.append(record.limit)
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == 1
    client.news()
    worker.news()


def test_an_idle_worker_gets_what_another_has_not_started(world):
    client, first = world.client(), world.worker("first")
    submit(client, 2)
    assert keys(first) == ["t0", "t1"]
    second = world.worker("second")
    assert first.news() == ["retract t1"]
    first.give_back("t1")
    assert second.news() == ["run t1"]
    assert first.news() == []


def test_what_is_asked_back_is_shared_out_by_slots():
    world = World(Config(prefill_unknown=11))
    client, first = world.client(), world.worker("first")
    submit(client, 12)
    assert len(keys(first)) == 12
    second = world.worker("second", nthreads=2)
    asked = keys(first)
    assert len(asked) == 8  # of 11 that have not started, two thirds
    assert "t0" not in asked
    first.give_back(*asked)
    assert sorted(keys(second)) == sorted(asked)
    world.end()


def test_a_worker_that_gives_nothing_back_is_asked_again_ever_more_rarely(world):
    client, first = world.client(), world.worker("first")
    submit(client, 2)
    world.worker("second")
    first.news()
    counts = []
    for _ in range(4):
        world.advance(1.0)
        counts.append(len(first.news()))
    assert 3 <= counts[0] <= 10
    assert counts[-1] <= 1
    first.finish("t0")
    first.finish("t1")
    assert world.machine.next_deadline() is None
    client.news()


def test_short_tasks_stay_where_they_are_unless_the_worker_falls_silent(world):
    client, first = world.client(), world.worker("first")
    submit(client, 8)
    first.finish("t0", micros=10)
    second = world.worker("second")
    assert not any(line.startswith("retract") for line in first.news())
    world.advance(0.0015)
    assert first.news() == []
    world.advance(0.001)
    assert any(line.startswith("retract") for line in first.news())
    client.news()
    second.news()


def test_nothing_is_asked_back_while_tasks_are_ready(world):
    client, first = world.client(), world.worker("first")
    submit(client, 8)
    first.news()
    second = world.worker("second")
    assert len(keys(second)) == 2
    assert first.news() == []


def test_a_task_that_stays_with_its_large_inputs_is_not_asked_back():
    world = World(Config(locality_bytes=100))
    client, first = world.client(), world.worker("first")
    big = client.submit("big")
    first.finish("big", nbytes=1000, micros=1000)
    client.submit("long", [big])
    client.submit("next", [big])
    world.worker("second")
    world.advance(5.0)
    assert first.news() == ["run big", "run long", "run next"]
    client.news()


def test_tasks_do_not_go_to_and_fro(world):
    client, first, second = world.client(), world.worker("first"), world.worker("second")
    submit(client, 3)
    for _ in range(5):
        world.advance(0.1)
        for worker in (first, second):
            for line in worker.news():
                verb, key = line.split()
                if verb == "retract":
                    worker.give_back(key)
    assert {len(first.tasks), len(second.tasks)} == {1, 2}
    assert max(item.run for worker in (first, second) for item in worker.tasks.values()) <= 2


def test_lent_slots_are_filled(world):
    client, worker = world.client(), world.worker()
    submit(client, 4)
    worker.lend(2)
    assert keys(worker) == ["t0", "t1", "t2", "t3"]


def test_a_worker_whose_slot_is_held_by_a_dropped_attempt_is_not_taken_for_idle(world):
    """Its thread runs on for nobody; what was sent there meanwhile is asked back for the worker that is idle."""
    client, busy = world.client(), world.worker("busy")
    fid = client.submit("long")
    client.cancel(fid)
    client.news()
    assert busy.news() == ["run long", "drop long"]
    client.submit("early")
    assert busy.news() == ["run early"]
    busy.lend(-1)
    idle = world.worker("idle")
    world.settle()
    assert busy.news() == ["retract early"]
    busy.give_back("early")
    assert idle.news() == ["run early"]
    idle.finish("early")
    assert client.news() == ["finished early"]
    client.submit("late")
    assert (busy.news(), idle.news()) == ([], ["run late"])
