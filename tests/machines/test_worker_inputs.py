"""The worker's machine: inputs that come along, that are here, that are to be fetched, that are nowhere."""

import pytest

from fastsched.config import Config
from fastsched.wire.messages import (
    FunctionItem,
    MissingItem,
    Run,
    RunItem,
)
from fastsched.worker.jobs import Fetch
from fastsched.worker.machine import WorkerMachine
from tests.machines.helpers.worker_bench import FN, HERE, Bench, inline, remote, task_id

A, B = "unix:///a", "unix:///b"


def test_an_inline_input_is_used_at_once_and_forgotten_with_its_task():
    bench = Bench()
    bench.run(2, inline(1, b"one"))
    job = bench.take_job()
    assert [value.frames for value in job.values] == [(b"one",)]
    bench.finish(job)
    assert bench.take_done().replicas == ()
    assert not bench.has(1)
    bench.free(2)
    assert bench.is_empty()


def test_inputs_arrive_in_the_order_of_the_dependencies():
    bench = Bench()
    bench.run(9, inline(2, b"two"), inline(1, b"one"), inline(3, b"three"))
    assert [value.frames[0] for value in bench.take_job().values] == [b"two", b"one", b"three"]


def test_a_result_that_is_here_is_used_without_being_sent():
    bench = Bench()
    bench.run(1)
    bench.finish(bench.take_job(), b"one")
    bench.run(2, remote(1, HERE))
    job = bench.take_job()
    assert job.values[0].frames == (b"one",)
    assert bench.fetches == []


def test_a_value_that_tasks_here_need_outlives_its_free():
    bench = Bench()
    bench.run(1)
    bench.finish(bench.take_job(), b"one")
    bench.run_all((2, (remote(1, HERE),), 1, 0, 2), (3, (remote(1, HERE),), 1, 0, 3))
    bench.free(1)
    bench.finish(bench.take_job())
    job = bench.take_job()
    assert job.values[0].frames == (b"one",)
    bench.finish(job)
    assert not bench.has(1)


def test_a_missing_input_is_fetched_and_announced():
    bench = Bench()
    bench.run(2, remote(1, A))
    assert bench.started == []
    assert bench.fetches == [Fetch(A, (task_id(1),))]
    bench.fetched(A, (1, b"one"))
    assert bench.take_job().values[0].frames == (b"one",)
    assert bench.take_done().replicas == ((task_id(1), 3),)
    assert bench.has(1)


def test_a_fetched_value_stays_after_its_task_until_it_is_freed():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.fetched(A, (1, b"one"))
    bench.fail(bench.take_job())
    assert bench.has(1)
    bench.take_done()
    bench.fetches.clear()
    bench.free(1)
    assert bench.is_empty()


def test_tasks_that_share_an_input_fetch_it_once():
    bench = Bench(nthreads=2)
    bench.run(2, remote(1, A))
    bench.run(3, remote(1, A))
    assert len(bench.fetches) == 1
    bench.fetched(A, (1, b"one"))
    assert bench.take_started() == ["key-2", "key-3"]


def test_inputs_of_one_worker_are_asked_for_together():
    bench = Bench()
    bench.run(9, remote(1, A), remote(2, B), remote(3, A))
    assert {fetch.address: set(fetch.ids) for fetch in bench.fetches} == {A: {task_id(1), task_id(3)}, B: {task_id(2)}}
    assert len(bench.fetches) == 2


def test_large_inputs_are_asked_for_in_portions():
    bench = Bench()
    bench.run(9, *[remote(n, A, nbytes=40 << 20) for n in (1, 2)], remote(3, A, nbytes=1 << 20))
    assert {fetch.address for fetch in bench.fetches} == {A}
    assert sorted(id for fetch in bench.fetches for id in fetch.ids) == [task_id(1), task_id(2), task_id(3)]
    assert not any({task_id(1), task_id(2)} <= set(fetch.ids) for fetch in bench.fetches)


def test_an_input_is_looked_for_at_all_addresses_before_it_is_missing():
    bench = Bench()
    bench.run(2, remote(1, A, B, HERE))
    first = bench.fetches.pop().address
    bench.fetched(first, (1, None))
    second = bench.fetches.pop().address
    assert {first, second} == {A, B}
    bench.unreachable(second, 1)
    assert bench.take_done().missing == (MissingItem(task_id(2), 1, (task_id(1),)),)
    assert bench.is_empty()


def test_a_second_task_may_know_another_address():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.run(3, remote(1, A, B))
    bench.unreachable(A, 1)
    assert [fetch.address for fetch in bench.fetches] == [A, B]
    bench.fetched(B, (1, b"one"))
    assert bench.take_started() == ["key-2"]


def test_a_holder_that_was_asked_is_not_asked_again_for_a_second_task():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.run(3, remote(1, A))
    bench.unreachable(A, 1)
    assert len(bench.fetches) == 1
    assert len(bench.take_done().missing) == 2


def test_not_every_worker_asks_the_same_holder_first():
    first = set()
    for seed in range(20):
        machine = WorkerMachine(Config(), 1, "w", HERE, seed)
        item = RunItem(task_id(2), 1, "key-2", FN, (b"args",), (remote(1, A, B),), 0, 0)
        machine.receive(0, Run((FunctionItem(FN, (b"f",)),), (item,)), 0.0)
        first |= {action.address for action in machine.drain() if isinstance(action, Fetch)}
    assert first == {A, B}


@pytest.mark.parametrize("item", [remote(1), remote(1, HERE)])
def test_a_task_whose_input_is_nowhere_is_given_back_at_once(item):
    bench = Bench()
    bench.run(2, inline(3), item)
    assert bench.take_done().missing == (MissingItem(task_id(2), 1, (task_id(1),)),)
    assert bench.is_empty()


def test_a_missing_input_gives_back_all_who_wait_for_it_and_nobody_else():
    bench = Bench()
    bench.run_all((2, (remote(1, A),), 1, 0, 0), (3, (remote(1, A), inline(5)), 1, 0, 0), (4, (inline(5),), 1, 0, 0))
    bench.unreachable(A, 1)
    assert {item.id for item in bench.take_done().missing} == {task_id(2), task_id(3)}
    assert bench.take_started() == ["key-4"]


def test_a_task_with_two_missing_inputs_is_given_back_once():
    bench = Bench()
    bench.run(3, remote(1, A), remote(2, A))
    bench.unreachable(A, 1, 2)
    assert bench.take_done().missing == (MissingItem(task_id(3), 1, (task_id(1),)),)
    bench.fetches.clear()
    assert bench.is_empty()


def test_a_value_that_comes_with_a_later_task_ends_the_wait():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.run(3, inline(1, b"one"))
    assert bench.take_started() == ["key-2"]
    bench.fetched(A, (1, b"one"))
    assert bench.take_done().replicas == ()


def test_an_answer_that_nobody_waits_for_is_thrown_away():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.retract(2)
    bench.take_done()
    bench.fetched(A, (1, b"one"))
    bench.fetches.clear()
    assert bench.is_empty()


def test_an_input_that_is_needed_again_from_elsewhere_does_not_wait_for_an_answer_that_may_never_come():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.drop(2)
    bench.run(2, remote(1, B), attempt=2)
    assert [fetch.address for fetch in bench.fetches] == [A, B]
    bench.fetched(A, (1, None))
    bench.fetched(B, (1, b"one"))
    assert bench.take_started() == ["key-2"]


def test_an_input_that_is_needed_again_uses_the_answer_under_way():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.retract(2)
    bench.run(3, remote(1, A))
    assert len(bench.fetches) == 1
    bench.fetched(A, (1, b"one"))
    assert bench.take_started() == ["key-3"]


def test_answers_that_were_not_asked_for_change_nothing():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.fetched(B, (1, b"other"), (7, b"seven"))
    assert bench.started == []
    assert bench.machine.stale == 2
    bench.fetched(A, (1, b"one"))
    assert bench.take_job().values[0].frames == (b"one",)
