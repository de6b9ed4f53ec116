"""Patient turns: what a worker cannot begin yet waits for more, and nothing else does."""

from __future__ import annotations

import pytest

from fastsched.scheduler.machine import MOST_LEFT
from tests.machines.helpers.scheduler_world import World


@pytest.fixture
def fast(world: World) -> tuple:
    """A client and a worker that is known for short tasks, without one."""
    client, worker = world.client(), world.worker()
    client.submit("first")
    worker.finish("first", micros=1)
    client.news()
    worker.news()
    return client, worker


def test_a_task_for_a_free_slot_leaves_at_once(world, fast):
    client, worker = fast
    with world.patience():
        client.submit("a")
        assert worker.news() == ["run a"]


def test_tasks_behind_a_running_one_leave_together(world, fast):
    client, worker = fast
    with world.patience():
        for key in "abcd":
            client.submit(key)
        assert worker.news() == ["run a"]
        assert world.machine.has_left()
    assert not world.machine.has_left()
    assert worker.news() == ["run b", "run c", "run d"]


def test_what_stays_is_taken_along_by_what_must_not_wait(world, fast):
    client, worker = fast
    with world.patience():
        client.submit("a")
        fid = client.submit("b")
        assert worker.news() == ["run a"]
        client.cancel(fid)
        assert worker.news() == ["run b", "drop b"]
    client.news()


def test_many_do_not_stay(world, fast):
    client, worker = fast
    with world.patience():
        client.submit("a")
        worker.news()
        for index in range(MOST_LEFT):
            client.submit(f"t{index}")
        assert worker.news() == []
        client.submit("last")
        assert len(worker.news()) == MOST_LEFT + 1


def test_what_may_be_freed_stays(world, fast):
    client, worker = fast
    fid = client.submit("a")
    worker.finish("a")
    worker.news()
    client.news()
    with world.patience():
        client.release(fid)
        assert worker.news() == []
    assert worker.news() == ["free a"]


def test_news_of_a_client_does_not_stay(world, fast):
    client, worker = fast
    client.submit("a")
    with world.patience():
        worker.finish("a")
        assert client.news() == ["finished a"]
    worker.news()


def test_what_stays_for_a_worker_that_is_lost_runs_elsewhere(world, fast):
    client, worker = fast
    with world.patience():
        client.submit("a")
        client.submit("b")
        assert worker.news() == ["run a"]
        world.lost(worker, None, ())
        other = world.worker("other")
    while other.tasks:
        other.finish(next(iter(other.tasks)))
    other.news()
    assert {"finished a", "finished b"} <= set(client.news())
