"""The worker's machine: values that it shall hold though no task here needs them."""

from __future__ import annotations

from fastsched.worker.jobs import Fetch
from tests.machines.helpers.worker_bench import HERE, Bench, inline, remote, task_id

A, B = "unix:///a", "unix:///b"


def test_a_copy_is_fetched_announced_and_held_until_it_is_freed():
    bench = Bench()
    bench.replicate(remote(1, A))
    assert bench.fetches.pop() == Fetch(A, (task_id(1),))
    bench.fetched(A, (1, b"one"))
    assert bench.take_done().replicas == ((task_id(1), 3),)
    assert bench.has(1)
    bench.free(1)
    assert bench.is_empty()


def test_a_small_copy_comes_along():
    bench = Bench()
    bench.replicate(inline(1, b"one"))
    assert bench.take_done().replicas == ((task_id(1), 3),)
    assert bench.has(1)
    bench.free(1)
    assert bench.is_empty()


def test_a_copy_that_cannot_be_had_is_given_up_without_a_word():
    bench = Bench()
    bench.replicate(remote(1, A, B), remote(2, HERE))
    first = bench.fetches.pop().address
    bench.fetched(first, (1, None))
    bench.unreachable(bench.fetches.pop().address, 1)
    assert bench.is_empty()
    bench.replicate(remote(1, A))  # and may be asked for again
    assert bench.fetches.pop() == Fetch(A, (task_id(1),))
    bench.fetched(A, (1, b"one"))
    assert bench.take_done().replicas == ((task_id(1), 3),)


def test_what_is_asked_for_twice_is_fetched_once():
    bench = Bench()
    bench.replicate(remote(1, A))
    bench.replicate(remote(1, A))
    assert bench.fetches == [Fetch(A, (task_id(1),))]
    bench.fetched(A, (1, b"one"))
    assert bench.take_done().replicas == ((task_id(1), 3),)
    bench.fetches.clear()
    bench.free(1)
    assert bench.is_empty()


def test_what_is_here_is_announced_at_once():
    bench = Bench()
    bench.put(1, b"one")
    bench.take_done()
    bench.replicate(remote(1, A))
    assert bench.fetches == []
    assert bench.take_done().replicas == ((task_id(1), 3),)
    bench.free(1)
    assert bench.is_empty()


def test_the_input_of_a_task_that_is_on_its_way_becomes_a_copy():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.replicate(remote(1, A, B))
    assert bench.fetches == [Fetch(A, (task_id(1),))]
    bench.fetched(A, (1, None))
    assert bench.fetches[1:] == [Fetch(B, (task_id(1),))]  # another address helps both
    bench.fetched(B, (1, b"one"))
    assert bench.take_done().replicas == ((task_id(1), 3),)
    bench.fetches.clear()
    bench.fail(bench.take_job())
    bench.take_done()
    assert bench.has(1)
    bench.free(1)
    assert bench.is_empty()


def test_when_it_cannot_be_had_the_task_that_waits_for_it_is_given_back_too():
    bench = Bench()
    bench.replicate(remote(1, A))
    bench.run(2, remote(1, A))
    bench.fetched(A, (1, None))
    assert [item.id for item in bench.take_done().missing] == [task_id(2)]
    bench.fetches.clear()
    assert bench.is_empty()


def test_a_value_that_is_computed_here_is_not_fetched():
    bench = Bench()
    bench.run(1)
    stale = bench.machine.stale
    bench.replicate(remote(1, A))
    assert bench.machine.stale == stale + 1
    assert bench.fetches == []
    bench.finish(bench.take_job(), b"one")
    bench.take_done()
    bench.free(1)
    assert bench.is_empty()


def test_a_copy_on_its_way_gives_way_to_the_order_to_compute_it():
    bench = Bench()
    bench.replicate(remote(1, A))
    bench.fetches.clear()
    bench.run(1, attempt=2)
    job = bench.take_job()
    bench.fetched(A, (1, b"old"))
    bench.finish(job, b"new")
    assert bench.take_done().replicas == ()
    assert bench.machine.frames_of(task_id(1)) == (b"new",)
    bench.free(1)
    assert bench.is_empty()
