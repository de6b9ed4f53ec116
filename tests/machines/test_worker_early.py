"""The worker's machine: tasks that come before their inputs, because those are computed here."""

import pytest

from fastsched.wire.messages import InputItem, MissingItem
from tests.machines.helpers.worker_bench import Bench, inline, remote, task_id

A = "unix:///a"


def here(n: int) -> InputItem:
    """An input that is, or will be, at this worker."""
    return InputItem(task_id(n), f"key-{n}", 0, None, ())


def chain(bench: Bench, length: int) -> None:
    bench.run_all((1, (), 1, 0, 0), *((n, (here(n - 1),), 1, 0, 0) for n in range(2, length + 1)))


def finished(bench: Bench) -> list[int]:
    return [item.id - task_id(0) for item in bench.take_done().finished]


def test_a_chain_runs_without_a_word_of_the_scheduler():
    bench = Bench(nthreads=2)
    chain(bench, 4)
    for n in range(1, 5):
        job = bench.take_job()
        assert job.key == f"key-{n}"
        assert [value.frames for value in job.values] == [(b"%d" % (n - 1),)] * (n > 1)
        bench.finish(job, b"%d" % n)
    assert finished(bench) == [1, 2, 3, 4]


def test_a_task_that_comes_while_its_input_runs_waits_for_it():
    bench = Bench(nthreads=2)
    bench.run(1)
    job = bench.take_job()
    bench.run(2, here(1), inline(5))
    assert bench.take_started() == []
    bench.finish(job)
    assert bench.take_started() == ["key-2"]


def test_a_task_that_comes_when_its_input_is_through_starts():
    bench = Bench()
    bench.run(1)
    bench.finish(bench.take_job())
    bench.run(2, here(1))
    assert bench.take_started() == ["key-2"]


def test_a_value_that_is_freed_stays_for_those_that_came_because_of_it():
    bench = Bench()
    chain(bench, 2)
    bench.run(3)
    bench.finish(bench.take_job())
    bench.free(1)
    bench.finish(bench.take_job())
    assert bench.has(2)
    assert not bench.has(1)


def test_a_task_whose_input_comes_from_elsewhere_too_waits_for_both():
    bench = Bench()
    bench.run(1)
    bench.run(2, here(1), remote(7, A))
    bench.finish(bench.take_job())
    assert bench.take_started() == []
    bench.fetched(A, (7, b"seven"))
    assert bench.take_started() == ["key-2"]


def test_a_task_whose_input_was_never_heard_of_is_given_back():
    bench = Bench()
    bench.run(2, here(1))
    assert bench.take_done().missing == (MissingItem(task_id(2), 1, (task_id(1),)),)
    assert bench.is_empty()


def test_an_error_is_reported_once_and_what_came_because_of_it_is_forgotten():
    bench = Bench()
    chain(bench, 3)
    bench.fail(bench.take_job())
    done = bench.take_done()
    assert [item.id for item in done.erred] == [task_id(1)]
    assert (done.missing, done.returned) == ((), ())
    assert bench.is_empty()
    bench.drop(2)
    bench.drop(3)
    assert bench.is_empty()


def test_an_input_that_is_asked_back_takes_those_that_came_because_of_it_along():
    bench = Bench()
    bench.run(9)
    chain(bench, 3)
    bench.retract(1)
    assert bench.take_done().returned == ((task_id(1), 1),)
    bench.finish(bench.take_job())
    assert bench.take_started() == []
    assert bench.machine.n_rows == 1


def test_a_link_that_is_dropped_takes_along_what_comes_after_but_not_what_comes_before():
    bench = Bench()
    chain(bench, 4)
    bench.drop(3)
    bench.drop(4)
    bench.finish(bench.take_job())
    bench.finish(bench.take_job())
    assert finished(bench) == [1, 2]
    assert bench.started == []


def test_a_running_input_that_is_dropped_with_what_follows_leaves_nothing():
    bench = Bench()
    chain(bench, 3)
    job = bench.take_job()
    for n in (1, 2, 3):
        bench.drop(n)
    bench.finish(job)
    assert bench.started == []
    bench.take_done()
    assert bench.is_empty()


def test_an_input_whose_own_inputs_are_missing_is_given_back_alone():
    bench = Bench()
    bench.run_all((2, (remote(1, A),), 1, 0, 0), (3, (here(2),), 1, 0, 0), (4, (here(3),), 1, 0, 0))
    bench.unreachable(A, 1)
    assert bench.take_done().missing == (MissingItem(task_id(2), 1, (task_id(1),)),)
    assert bench.machine.n_rows == 0


def test_a_chain_that_is_sent_again_runs_again():
    bench = Bench()
    chain(bench, 2)
    bench.fail(bench.take_job())
    bench.drop(2)
    bench.run_all((1, (), 2, 0, 0), (2, (here(1),), 2, 0, 0))
    bench.finish(bench.take_job())
    bench.finish(bench.take_job())
    assert [(item.id, item.run) for item in bench.take_done().finished] == [(task_id(1), 2), (task_id(2), 2)]


def test_a_newer_attempt_of_an_input_makes_way_for_itself():
    bench = Bench()
    bench.run(9)
    chain(bench, 2)
    bench.run_all((1, (), 2, 0, 0), (2, (here(1),), 2, 0, 0))
    for key in ("key-9", "key-1", "key-2"):
        job = bench.take_job()
        assert job.key == key
        bench.finish(job)
    assert bench.started == []


def test_a_more_urgent_task_goes_before_the_next_link():
    bench = Bench()
    chain(bench, 2)
    bench.run(5, priority=1)
    bench.finish(bench.take_job())
    assert bench.take_started() == ["key-5"]


def test_a_worker_that_leaves_gives_back_what_waits_for_its_own_tasks():
    bench = Bench()
    chain(bench, 3)
    bench.machine.leave()
    bench.step()
    assert {id for id, _ in bench.take_done().returned} == {task_id(1), task_id(2), task_id(3)}


@pytest.mark.parametrize("dropped", [False, True])
def test_nothing_is_left_of_a_chain(dropped):
    bench = Bench()
    chain(bench, 3)
    for n in (1, 2, 3):
        bench.finish(bench.take_job())
        if dropped:  # the order and the news cross
            bench.drop(n)
        bench.free(n)
    bench.take_done()
    assert bench.is_empty()
