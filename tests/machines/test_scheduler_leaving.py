"""A client that is gone with very many futures: they are released in portions, and others are served in between."""

from __future__ import annotations

import itertools

import pytest

from fastsched.scheduler import futures
from fastsched.scheduler.futures import RELEASE_SECONDS, RELEASED_AT_ONCE

MANY = 3 * RELEASED_AT_ONCE


@pytest.fixture
def crowd(world):
    """A client with that many tasks, of which one runs and one waits there; another wants the first and the last."""
    greedy, other, worker = world.client("greedy"), world.client("other"), world.worker()
    greedy.submit_items([greedy.item(f"t{n}") for n in range(MANY)])
    other.want("t0")
    other.want(f"t{MANY - 1}")
    assert worker.news() == ["run t0", "run t1"]
    return greedy, other, worker


def portion(world) -> None:
    """Until the next portion has been released."""
    world.advance(max(0.0, world.machine.next_deadline() - world.now))


def forget_news(*peers) -> None:
    for peer in peers:
        peer.news()


def test_its_futures_are_released_in_portions(world, crowd):
    greedy, other, worker = crowd
    world.lost(greedy)
    left = [world.machine.books.core.n_tasks]
    while world.machine.books.leaving:
        portion(world)
        left.append(world.machine.books.core.n_tasks)
    assert left[0] == MANY
    assert left[-1] == 2
    assert max(before - after for before, after in itertools.pairwise(left)) <= RELEASED_AT_ONCE
    worker.finish("t0", f"t{MANY - 1}")
    assert other.news() == ["finished t0", f"finished t{MANY - 1}"]
    forget_news(worker)


def test_messages_do_not_put_off_the_next_portion(world, crowd):
    greedy, other, worker = crowd
    world.lost(greedy)
    portion(world)
    due = world.machine.next_deadline()
    world.now += RELEASE_SECONDS / 2
    other.submit("a")
    assert world.machine.next_deadline() == due
    forget_news(worker)


def test_others_are_served_between_two_portions(world, crowd):
    greedy, other, worker = crowd
    world.lost(greedy)
    portion(world)
    other.submit("a", priority=1)
    while "a" not in worker.tasks:  # some were there before it
        worker.finish(next(iter(worker.tasks)))
    worker.finish("a")
    assert other.news() == ["finished t0", "finished a"]
    assert world.machine.books.leaving
    world.advance(1.0)
    assert not world.machine.books.leaving
    assert world.machine.books.core.n_tasks == 3
    forget_news(worker)


def test_nobody_is_told_of_what_runs_for_a_client_that_is_gone(world, crowd):
    greedy, other, worker = crowd
    world.lost(greedy)
    worker.finish("t0")
    assert other.news() == ["finished t0"]
    assert greedy.news() == []
    worker.die()
    world.advance(1.0)
    assert world.machine.books.core.n_tasks == 2
    forget_news(worker, other)


def test_several_may_leave_at_once(world, monkeypatch):
    monkeypatch.setattr(futures, "RELEASED_AT_ONCE", 2)
    clients = [world.client(f"c{n}") for n in range(3)]
    for client in clients:
        client.submit_items([client.item(f"{client.name}-{n}") for n in range(7)])
        client.want("c0-1")
    for client in clients:
        world.lost(client)
    assert len(world.machine.books.leaving) == 3
    world.advance(1.0)
    assert world.empty()


def test_a_client_with_few_futures_is_gone_at_once(world):
    client = world.client()
    client.submit_items([client.item(f"t{n}") for n in range(RELEASED_AT_ONCE)])
    world.lost(client)
    assert not world.machine.books.leaving
    assert world.empty()
