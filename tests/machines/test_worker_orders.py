"""The worker's machine: the scheduler changes its mind, and sends attempts anew."""

import pytest

from fastsched.wire.messages import (
    MissingItem,
)
from tests.machines.helpers.worker_bench import HERE, Bench, inline, remote, task_id

A, B = "unix:///a", "unix:///b"


# -- the scheduler changes its mind ------------------------------------------------------------------------------------


def test_a_queued_task_is_given_back_when_it_is_retracted():
    bench = Bench()
    bench.run(1)
    bench.run(2, inline(3))
    bench.retract(2)
    assert bench.take_done().returned == ((task_id(2), 1),)
    bench.finish(bench.take_job())
    assert bench.started == []
    bench.free(1)
    bench.take_done()
    assert bench.is_empty()


def test_a_task_that_waits_for_inputs_is_given_back_when_it_is_retracted():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.retract(2)
    assert bench.take_done().returned == ((task_id(2), 1),)


@pytest.mark.parametrize("when", ["running", "seceded", "finished"])
def test_a_task_that_has_started_is_kept_when_it_is_retracted(when):
    bench = Bench()
    bench.run(1)
    job = bench.take_job()
    if when == "seceded":
        bench.secede(job)
    if when == "finished":
        bench.finish(job)
    bench.take_done()
    bench.retract(1)
    assert bench.take_done().returned == ()
    if when != "finished":
        bench.finish(job)
        assert len(bench.take_done().finished) == 1


def test_a_queued_task_is_forgotten_when_it_is_dropped():
    bench = Bench()
    bench.run(1)
    bench.run(2)
    bench.drop(2)
    bench.finish(bench.take_job())
    bench.free(1)
    bench.take_done()
    assert bench.is_empty()


@pytest.mark.parametrize("end", ["finish", "fail"])
def test_a_running_task_keeps_its_slot_when_it_is_dropped_and_of_its_end_only_the_slot_is_told(end):
    bench = Bench()
    bench.run(1)
    job = bench.take_job()
    bench.drop(1)
    assert bench.take_done().lent == -1  # so that nothing is sent here that somebody else could run at once
    bench.run(2)
    assert bench.started == []
    getattr(bench, end)(job)
    done = bench.take_done()
    assert (done.finished, done.erred, done.lent) == ((), (), 0)
    assert bench.take_started() == ["key-2"]
    assert not bench.has(1)


@pytest.mark.parametrize("end", ["finish", "fail"])
def test_a_seceded_task_is_not_reported_as_lent_once_it_is_dropped(end):
    bench = Bench()
    bench.run(1)
    job = bench.take_job()
    bench.secede(job)
    assert bench.take_done().lent == 1
    bench.drop(1)
    assert [done.lent for done in bench.done] == [0]
    bench.done.clear()
    getattr(bench, end)(job)
    assert bench.is_empty()


def test_a_dropped_task_can_rejoin():
    bench = Bench()
    bench.run(1)
    job = bench.take_job()
    bench.secede(job)
    bench.drop(1)
    assert bench.rejoin(job)
    bench.finish(job)
    bench.done.clear()
    assert bench.is_empty()


def test_a_finished_task_is_not_freed_when_it_is_dropped_for_the_news_of_it_will_be_answered_by_a_free():
    """Were it freed by either, that Free could meet what was fetched in between, and announced as a copy."""
    bench = Bench()
    bench.run(1)
    bench.finish(bench.take_job())
    bench.take_done()
    bench.drop(1)
    bench.run(2, remote(1))
    assert bench.take_started() == ["key-2"]
    assert bench.fetches == []
    bench.free(1)
    assert bench.take_done().replicas == ()


def test_orders_about_other_attempts_are_stale():
    bench = Bench()
    bench.run(1, attempt=2)
    bench.run(2, attempt=2)
    for order in (bench.retract, bench.drop):
        order(2, attempt=1)
        order(2, attempt=3)
        order(7)
    assert bench.machine.stale == 6
    assert bench.done == []
    bench.finish(bench.take_job())
    assert bench.take_started() == ["key-2"]


def test_a_free_of_what_is_not_here_changes_nothing():
    bench = Bench()
    bench.run(1)
    bench.run(3, remote(2, A))
    bench.free(1, 2, 3, 99)
    assert bench.machine.stale == 4
    bench.fetched(A, (2, b"two"))
    assert bench.take_done().replicas == ((task_id(2), 3),)
    bench.finish(bench.take_job())
    assert bench.take_started() == ["key-3"]


# -- attempts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", [1, 2])
def test_an_attempt_that_is_not_newer_is_ignored(attempt):
    bench = Bench()
    bench.run(1, attempt=2)
    bench.run(1, attempt=attempt)
    bench.finish(bench.take_job())
    assert [item.run for item in bench.take_done().finished] == [2]
    assert bench.started == []


def test_a_newer_attempt_replaces_one_in_the_queue():
    bench = Bench()
    bench.run(9)
    bench.run(1, inline(5))
    bench.run(1, inline(6), attempt=2)
    bench.finish(bench.take_job())
    job = bench.take_job()
    assert job.attempt == 2
    bench.finish(job)
    assert [(item.id, item.run) for item in bench.take_done().finished] == [(task_id(9), 1), (task_id(1), 2)]


def test_a_newer_attempt_may_need_the_same_inputs():
    bench = Bench()
    bench.run(9)
    bench.run(1, inline(5, b"old"), remote(6, A))
    bench.run(1, inline(5, b"new"), remote(6, A), attempt=2)
    assert len(bench.fetches) == 1
    bench.fetched(A, (6, b"six"))
    bench.finish(bench.take_job())
    assert [value.frames[0] for value in bench.take_job().values] == [b"new", b"six"]


def test_a_newer_attempt_waits_for_the_slot_of_the_older_one_which_is_not_reported():
    bench = Bench()
    bench.run(1)
    old = bench.take_job()
    bench.run(1, attempt=2)
    assert bench.started == []
    assert bench.take_done().lent == -1
    bench.finish(old, b"old")
    done = bench.take_done()
    assert (done.finished, done.lent) == ((), 0)
    assert not bench.has(1)
    bench.finish(bench.take_job(), b"new")
    assert [(item.run, item.frames) for item in bench.take_done().finished] == [(2, (b"new",))]
    assert bench.machine.frames_of(task_id(1)) == (b"new",)


def test_both_attempts_may_run_at_the_same_time_and_end_in_any_order():
    bench = Bench(nthreads=2)
    bench.run(1)
    bench.run(1, attempt=2)
    old, new = bench.started
    bench.finish(new, b"new")
    bench.finish(old, b"old")
    assert [item.run for item in bench.take_done().finished] == [2]
    assert bench.machine.frames_of(task_id(1)) == (b"new",)


def test_a_value_that_was_freed_and_is_asked_for_again_while_it_is_still_here_is_reported_at_once():
    bench = Bench()
    bench.run(1)
    bench.finish(bench.take_job(), b"one")
    bench.run(2, remote(1, HERE))
    consumer = bench.take_job()
    bench.free(1)
    bench.take_done()
    bench.run(1, attempt=2)
    assert [(item.run, item.frames) for item in bench.take_done().finished] == [(2, (b"one",))]
    bench.finish(consumer)
    assert bench.has(1)


def test_an_input_that_is_to_be_computed_here_gives_back_who_waits_for_it_elsewhere():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.run(1, attempt=4)
    assert bench.take_done().missing == (MissingItem(task_id(2), 1, (task_id(1),)),)
    bench.fetched(A, (1, b"late"))
    bench.finish(bench.take_job(), b"one")
    assert bench.machine.frames_of(task_id(1)) == (b"one",)


def test_an_inline_input_that_is_to_be_computed_here_stays_with_who_has_it():
    bench = Bench()
    bench.run(9)
    bench.run(2, inline(1, b"inline"))
    bench.run(1, attempt=2, priority=1)
    bench.finish(bench.take_job())
    bench.finish(bench.take_job(), b"computed")
    job = bench.take_job()
    assert (job.key, job.values[0].frames) == ("key-2", (b"inline",))
    bench.finish(job)
    assert bench.machine.frames_of(task_id(1)) == (b"computed",)


# -- the end of the worker -----------------------------------------------------------------------------------------


def test_a_worker_that_leaves_gives_back_all_that_has_no_outcome():
    bench = Bench(nthreads=3)
    bench.run_all(*[(n, (), 1, 0, n) for n in (1, 2, 3, 4)])
    bench.run(5, remote(6, A))
    ended, running, seceded = bench.started
    bench.finish(ended)
    bench.secede(seceded)
    bench.take_done()
    bench.machine.leave()
    bench.step()
    done = bench.take_done()
    assert sorted(id for id, _ in done.returned) == [task_id(n) for n in (2, 3, 4, 5)]
    assert done.lent == -2  # two of its threads still hold slots for what it gave back
    bench.finish(running)
    bench.fail(seceded)
    assert [(done.finished, done.erred) for done in bench.done] == [((), ())] * len(bench.done)
    assert bench.has(1)


def test_a_worker_that_leaves_does_not_give_back_what_had_its_outcome_and_was_freed():
    bench = Bench()
    bench.run(1)
    bench.finish(bench.take_job())
    bench.run(2, remote(1))
    bench.finish(bench.take_job())
    bench.free(1)
    bench.take_done()
    bench.machine.leave()
    bench.step()
    assert bench.done == []


def test_a_worker_that_leaves_does_not_give_back_what_nobody_wants():
    bench = Bench()
    bench.run(1)
    bench.drop(1)
    bench.take_done()
    bench.machine.leave()
    bench.step()
    assert bench.done == []
