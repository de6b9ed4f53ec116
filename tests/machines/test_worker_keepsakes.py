"""A worker whose scheduler is gone: what it keeps, what it brings to the next one, and what becomes of that."""

from __future__ import annotations

import pytest

from fastsched.wire.messages import Accept, Bring, Done, ErrorItem, ErrorKind, FinishedItem
from tests.machines.helpers.frames import without_frames
from tests.machines.helpers.worker_bench import Bench, inline, remote, task_id

LOST = ErrorItem(ErrorKind.SCHEDULER_LOST, None, "", "w", 0, "the scheduler is gone")
NEW = 9 << 32 | 5  # an id of the next scheduler


@pytest.fixture
def bench():
    return Bench(nthreads=2)


def part(bench: Bench, *going) -> None:
    """The scheduler is gone."""
    without_frames(bench.machine.part, set(going), 0, LOST)
    bench.step()
    bench.done.clear()


def brought(bench: Bench) -> Bring:
    """What it says to the next one, in one message."""
    (message,) = without_frames(bench.machine.brought)
    return message


def accept(bench: Bench, *items: tuple[str, int, int]) -> None:
    bench.receive(Accept(items))


def test_a_value_is_kept_and_has_a_new_name(bench):
    bench.run(1)
    bench.finish(bench.take_job())
    bench.take_done()
    part(bench)
    assert not bench.has(1)
    assert brought(bench) == Bring((("key-1", "bytes", 5),), (), False)
    accept(bench, ("key-1", NEW, 0))
    assert bench.machine.frames_of(NEW) == (b"value",)
    assert bench.is_silent()


def test_what_is_not_wanted_goes(bench):
    bench.run(1)
    bench.finish(bench.take_job())
    part(bench)
    accept(bench, ("key-1", 0, 0))
    assert bench.is_empty()
    assert brought(bench) == Bring((), (), False)


def test_what_has_not_begun_is_forgotten(bench):
    bench.run_all((1, (), 1, 0, 0), (2, (), 1, 0, 0), (3, (), 1, 0, 0), (4, (remote(7, "tcp://far:1"),), 1, 0, 0))
    jobs = bench.take_started()
    assert jobs == ["key-1", "key-2"]
    part(bench)
    assert brought(bench) == Bring((), ("key-1", "key-2"), False)
    bench.fetches.clear()
    bench.fetched("tcp://far:1", (7, b"too late"))
    assert bench.is_silent()


def test_what_runs_goes_on_under_its_new_name(bench):
    bench.run(1, inline(7))
    job = bench.take_job()
    part(bench)
    assert brought(bench) == Bring((), ("key-1",), False)
    accept(bench, ("key-1", NEW, 3))
    bench.finish(job)
    assert bench.take_done().finished == (FinishedItem(NEW, 3, "bytes", 5, 7, (b"value",), ()),)
    assert bench.machine.frames_of(NEW) == (b"value",)


def test_what_ends_before_anybody_comes_is_brought_as_a_value(bench):
    bench.run(1)
    job = bench.take_job()
    part(bench)
    bench.finish(job)
    assert bench.is_silent()
    assert brought(bench) == Bring((("key-1", "bytes", 5),), (), False)


def test_what_ends_between_bring_and_accept_is_reported(bench):
    bench.run(1)
    job = bench.take_job()
    part(bench)
    assert brought(bench).running == ("key-1",)
    bench.finish(job)
    accept(bench, ("key-1", NEW, 3))
    assert bench.take_done().finished == (FinishedItem(NEW, 3, "bytes", 5, 0, None, ()),)
    assert bench.machine.frames_of(NEW) == (b"value",)


def test_what_fails_before_it_is_accepted_is_tried_again(bench):
    bench.run(1)
    job = bench.take_job()
    part(bench)
    bench.fail(job)
    assert bench.is_silent()
    accept(bench, ("key-1", NEW, 3))
    assert bench.take_done().returned == ((NEW, 3),)


def test_what_fails_after_it_was_accepted_has_failed(bench):
    bench.run(1)
    job = bench.take_job()
    part(bench)
    accept(bench, ("key-1", NEW, 3))
    bench.fail(job)
    (item,) = bench.take_done().erred
    assert item[:2] == (NEW, 3)


def test_an_attempt_that_is_not_wanted_keeps_its_slot_until_its_thread_is_through(bench):
    bench.run(1)
    job = bench.take_job()
    part(bench)
    accept(bench, ("key-1", 0, 0))
    assert bench.take_done() == Done((), (), (), (), (), -1)
    bench.finish(job)
    assert bench.take_done().lent == 0
    assert bench.is_empty()


def test_attempts_that_have_launched_tasks_are_dropped(bench):
    bench.run(1)
    job = bench.take_job()
    part(bench, job)
    assert brought(bench) == Bring((), (), False)
    assert not job.wanted
    bench.finish(job)
    assert bench.machine.n_rows == 0


def test_values_that_hold_futures_are_not_kept(bench):
    bench.run_all((1, (), 1, 0, 0), (2, (), 1, 0, 0))
    one, two = bench.started
    bench.finish(one, pins=("key-9",))
    part(bench)
    bench.finish(two, pins=("key-9",))
    assert brought(bench) == Bring((), (), False)
    accept(bench, ("key-2", NEW, 1))
    assert bench.take_done().returned == ((NEW, 1),)


def test_scattered_values_are_kept_and_copies_of_others_are_not(bench):
    bench.put(1)
    bench.run(2, remote(7, "tcp://far:1"))
    bench.fetched("tcp://far:1", (7, b"a copy"))
    job = bench.take_job()
    part(bench)
    assert brought(bench) == Bring((("key-1", "str", 3),), ("key-2",), False)
    assert [value.frames for value in job.values] == [(b"a copy",)]
    bench.finish(job)
    assert bench.machine.n_rows == 0


def test_orders_of_the_next_scheduler_are_new_ones(bench):
    """Its ids may be those of the old one, if chance will have it so: they mean what it says."""
    bench.run(1)
    job = bench.take_job()
    part(bench)
    bench.run(1)
    other = bench.take_job()
    assert other is not job
    accept(bench, ("key-1", 0, 0))
    bench.done.clear()
    bench.finish(job, b"old")
    bench.finish(other, b"new")
    assert [item[5] for item in bench.take_done().finished] == [(b"new",)]
    assert bench.machine.frames_of(task_id(1)) == (b"new",)


def test_long_lists_are_brought_in_parts():
    bench = Bench(batch_items=2)
    for n in range(1, 6):
        bench.run(n)
        bench.finish(bench.take_job())
    part(bench)
    parts = bench.machine.brought()
    assert [len(part.values) for part in parts] == [2, 2, 1]
    assert [part.more for part in parts] == [True, True, False]


def test_it_can_happen_again(bench):
    bench.run(1)
    bench.finish(bench.take_job())
    part(bench)
    accept(bench, ("key-1", NEW, 0))
    part(bench)
    assert bench.machine.frames_of(NEW) is None
    assert brought(bench) == Bring((("key-1", "bytes", 5),), (), False)
