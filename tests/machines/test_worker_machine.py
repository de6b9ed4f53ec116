"""The worker's machine: orders and news in, actions out; no thread, no socket. `check()` runs after each step."""

import pytest

from fastsched.config import Config
from fastsched.wire.messages import (
    Data,
    DatumItem,
    ErredItem,
    ErrorKind,
    FinishedItem,
    FunctionItem,
    GetData,
    MissingItem,
    Pulse,
    Run,
    RunItem,
)
from fastsched.worker.jobs import Fetch, Send
from fastsched.worker.machine import WorkerMachine
from fastsched.worker.store import Value
from tests.machines.helpers.worker_bench import BOOM, FN, HERE, Bench, inline, remote, task_id

A, B = "unix:///a", "unix:///b"


# -- a task from order to report -----------------------------------------------------------------------------------


def test_a_task_runs_is_reported_and_its_value_stays_until_it_is_freed():
    bench = Bench()
    bench.run(1)
    bench.finish(bench.take_job(), b"v", pins=("inc-1",))
    assert bench.take_done().finished == (FinishedItem(task_id(1), 1, "bytes", 1, 7, (b"v",), ("inc-1",)),)
    assert bench.machine.frames_of(task_id(1)) == (b"v",)
    bench.free(1)
    assert bench.is_empty()


def test_a_large_value_is_reported_without_its_frames():
    bench = Bench(inline_bytes=10)
    bench.run_all((1, (), 1, 0, 0), (2, (), 1, 0, 1))
    bench.finish(bench.take_job(), b"x" * 11)
    bench.finish(bench.take_job(), b"x" * 10)
    large, small = bench.take_done().finished
    assert (large.nbytes, large.frames) == (11, None)
    assert (small.nbytes, small.frames) == (10, (b"x" * 10,))


def test_a_failed_task_is_reported_and_forgotten():
    bench = Bench()
    bench.run(1)
    bench.fail(bench.take_job())
    assert bench.take_done().erred == (ErredItem(task_id(1), 1, BOOM),)
    assert bench.is_empty()


def test_no_more_tasks_start_than_there_are_slots():
    bench = Bench(nthreads=2)
    bench.run_all(*[(n, (), 1, 0, n) for n in range(1, 5)])
    first, second = bench.started
    assert bench.take_started() == ["key-1", "key-2"]
    bench.finish(second)
    assert bench.take_started() == ["key-3"]
    bench.fail(first)
    assert bench.take_started() == ["key-4"]


def test_priority_goes_first_then_order_then_arrival():
    bench = Bench()
    bench.run(1)
    bench.run_all((2, (), 1, 0, 9), (3, (), 1, 0, 4), (4, (), 1, 5, 9), (5, (), 1, 0, 4), (6, (), 1, -1, 0))
    order = []
    while bench.started:
        job = bench.take_job()
        order.append(job.key)
        bench.finish(job)
    assert order == ["key-1", "key-4", "key-3", "key-5", "key-2", "key-6"]


def test_a_function_is_used_by_later_messages_too():
    bench = Bench()
    bench.run(1)
    bench.finish(bench.take_job())
    bench.receive(Run((), (RunItem(task_id(2), 1, "key-2", FN, (b"args",), (), 0, 0),)))
    assert bench.take_job().function.frames == (b"pickle of a function",)


def test_an_unknown_function_is_the_tasks_error():
    bench = Bench()
    bench.receive(Run((), (RunItem(task_id(1), 3, "key-1", b"nothing?", (b"args",), (), 0, 0),)))
    ((id, attempt, error),) = bench.take_done().erred
    assert (id, attempt, error.kind, error.worker) == (task_id(1), 3, ErrorKind.SERIALIZATION, "w")
    assert "key-1" in error.text
    assert bench.is_empty()


def test_the_oldest_functions_are_forgotten_but_waiting_jobs_keep_theirs():
    bench = Bench(functions=2)
    bench.run(1)
    bench.run(2)
    others = tuple(FunctionItem(bytes([n]) * 8, (b"other",)) for n in range(3))
    bench.receive(Run(others, ()))
    bench.receive(Run((), (RunItem(task_id(3), 1, "key-3", FN, (b"args",), (), 0, 0),)))
    assert [item.id for item in bench.take_done().erred] == [task_id(3)]
    bench.finish(bench.take_job())
    assert bench.take_job().function.frames == (b"pickle of a function",)


def test_a_function_that_is_sent_again_is_young_again():
    bench = Bench(functions=2)
    first, second, third = (FunctionItem(bytes([n]) * 8, (b"f",)) for n in range(3))
    bench.receive(Run((first, second), ()))
    bench.receive(Run((first, third), ()))
    bench.receive(Run((), (RunItem(task_id(1), 1, "key-1", first.fn, (b"args",), (), 0, 0),)))
    assert bench.take_started() == ["key-1"]


def test_news_is_cut_into_batches():
    bench = Bench(batch_items=3)
    bench.run_all(*[(n, (), 1, 0, n) for n in range(1, 9)])
    machine = bench.machine
    while bench.started:
        job = bench.started.pop()
        machine.failed(job, BOOM) if job.id % 2 else machine.finished(job, Value((b"v",)), 0, ())
        bench.started += [action.job for action in machine.starts()]
    messages = [action.message for action in machine.drain()]
    assert [(len(done.finished), len(done.erred)) for done in messages] == [(3, 3), (1, 1)]


# -- inputs --------------------------------------------------------------------------------------------------------


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


def test_a_task_that_waits_for_one_that_runs_here_is_given_back():
    """The scheduler sends a task only when its inputs are in memory: it has forgotten something, or is about to."""
    bench = Bench()
    bench.run(1)
    bench.run(2, remote(1, HERE))
    assert bench.take_done().missing == (MissingItem(task_id(2), 1, (task_id(1),)),)


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


# -- the scheduler changes its mind --------------------------------------------------------------------------------


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
def test_a_running_task_keeps_its_slot_when_it_is_dropped_and_nobody_hears_of_its_end(end):
    bench = Bench()
    bench.run(1)
    job = bench.take_job()
    bench.drop(1)
    bench.run(2)
    assert bench.started == []
    getattr(bench, end)(job)
    assert bench.done == []
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


def test_a_finished_task_is_freed_when_it_is_dropped():
    bench = Bench()
    bench.run(1)
    bench.finish(bench.take_job())
    bench.take_done()
    bench.drop(1)
    assert bench.is_empty()


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


# -- attempts ------------------------------------------------------------------------------------------------------


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


def test_a_newer_attempt_waits_for_the_slot_of_the_older_one_which_is_not_reported():
    bench = Bench()
    bench.run(1)
    old = bench.take_job()
    bench.run(1, attempt=2)
    assert bench.started == []
    bench.finish(old, b"old")
    assert bench.done == []
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


# -- slots ---------------------------------------------------------------------------------------------------------


def test_a_seceded_task_lends_its_only_slot_and_says_so():
    bench = Bench()
    bench.run(1)
    bench.run(2)
    parent = bench.take_job()
    assert bench.secede(parent)
    assert bench.take_started() == ["key-2"]
    assert bench.take_done().lent == 1
    assert not bench.secede(parent)
    assert bench.done == []


def test_a_task_gets_its_slot_back_at_once_if_nobody_took_it_and_nothing_is_said():
    bench = Bench()
    bench.run(1)
    parent = bench.take_job()
    machine = bench.machine
    assert machine.secede(parent)
    assert machine.rejoin(parent)
    assert machine.rejoin(parent)
    assert bench.is_silent()


def test_a_rejoiner_waits_for_a_slot_and_goes_before_ready_tasks():
    bench = Bench()
    bench.run_all((1, (), 1, 0, 1), (2, (), 1, 0, 2), (3, (), 1, 0, 3))
    parent = bench.take_job()
    bench.secede(parent)
    child = bench.take_job()
    assert not bench.rejoin(parent)
    assert bench.done[-1].lent == 1
    bench.finish(child)
    assert bench.resumed == [parent]
    assert bench.started == []
    assert bench.take_done().lent == 0
    bench.finish(parent)
    assert bench.take_started() == ["key-3"]


def test_after_eight_rejoins_in_a_row_one_ready_task_goes():
    bench = Bench()
    parents = []
    for n in range(1, 21):
        bench.run(n)
        parents.append(bench.take_job())
        bench.secede(parents[-1])
    bench.run(50)
    running = bench.take_job()
    bench.run(51)
    for parent in parents:
        assert not bench.rejoin(parent)
    turns = []
    for _ in range(11):
        bench.finish(running)
        if bench.resumed:
            running = bench.resumed.pop()
            turns.append("rejoin")
        else:
            running = bench.take_job()
            turns.append("ready")
    assert turns == ["rejoin"] * 8 + ["ready"] + ["rejoin"] * 2


def test_a_task_may_end_without_rejoining():
    bench = Bench()
    bench.run(1)
    job = bench.take_job()
    bench.secede(job)
    bench.finish(job)
    done = bench.take_done()
    assert (len(done.finished), done.lent) == (1, 0)
    bench.run(2)
    assert bench.take_started() == ["key-2"]


def test_one_slot_runs_a_chain_of_parents_of_any_depth():
    bench = Bench()
    depth = 200
    parents = []
    for n in range(1, depth + 1):
        bench.run(n)
        parents.append(bench.take_job())
        bench.secede(parents[-1])
    assert bench.done[-1].lent == depth
    for parent in reversed(parents):
        assert bench.rejoin(parent)
        bench.finish(parent)
    done = bench.take_done()
    assert (len(done.finished), done.lent) == (depth, 0)


def test_an_end_that_was_reported_before_is_a_bug_of_the_caller():
    bench = Bench()
    bench.run(1)
    job = bench.take_job()
    bench.finish(job)
    with pytest.raises(AssertionError, match="did not run"):
        bench.finish(job)
    with pytest.raises(AssertionError, match="did not run"):
        bench.fail(job)
    bench.machine.check()


# -- values --------------------------------------------------------------------------------------------------------


def test_a_value_that_is_put_here_is_held_and_acknowledged():
    bench = Bench()
    bench.put(1, b"data")
    assert bench.take_done().replicas == ((task_id(1), 4),)
    bench.run(2, remote(1, HERE))
    job = bench.take_job()
    assert job.values[0].frames == (b"data",)
    bench.finish(job)
    assert bench.has(1)
    bench.free(1, 2)
    bench.take_done()
    assert bench.is_empty()


def test_a_value_that_is_put_twice_is_acknowledged_twice_and_held_once():
    bench = Bench()
    bench.put(1, b"data")
    bench.put(1, b"other")
    assert bench.take_done().replicas == ((task_id(1), 4), (task_id(1), 4))
    bench.free(1)
    assert bench.is_empty()


def test_a_value_that_is_put_ends_the_wait_for_it():
    bench = Bench()
    bench.run(2, remote(1, A))
    bench.put(1, b"data")
    assert bench.take_job().values[0].frames == (b"data",)
    bench.fetched(A, (1, b"late"))
    assert bench.take_done().replicas == ((task_id(1), 4),)


def test_a_value_is_not_put_over_a_task_that_runs_here():
    bench = Bench()
    bench.run(1)
    bench.put(1)
    assert bench.done == []
    bench.finish(bench.take_job(), b"own")
    bench.put(1)
    assert bench.take_done().replicas == ((task_id(1), 3),)
    assert bench.machine.frames_of(task_id(1)) == (b"own",)


def test_whoever_asks_gets_the_values_that_are_here():
    bench = Bench()
    bench.put(1, b"data")
    bench.run(2)
    bench.receive(GetData(5, (task_id(1), task_id(2), task_id(3))), peer=7)
    none = tuple(DatumItem(task_id(n), None) for n in (2, 3))
    assert bench.sent == [Send(7, Data(5, (DatumItem(task_id(1), (b"data",)), *none)))]


@pytest.mark.parametrize(("peer", "message"), [(7, Run((), ())), (0, Pulse(1))])
def test_messages_that_are_not_for_a_machine_are_refused(peer, message):
    bench = Bench()
    with pytest.raises(TypeError, match=type(message).__name__):
        bench.machine.receive(peer, message, 0.0)
    bench.machine.check()


def test_nothing_waits_for_a_time():
    machine = Bench().machine
    machine.tick(1e9)
    assert machine.next_deadline() is None
    assert machine.drain() == []


def test_bytes_are_counted():
    bench = Bench()
    for n in range(1, 4):
        bench.put(n, b"x" * n)
    assert bench.machine.nbytes == 6
    bench.free(2)
    assert bench.machine.nbytes == 4
