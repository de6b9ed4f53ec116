"""The worker's machine: tasks from order to report, and values. No thread, no socket; `check()` after each step."""

import pytest

from fastsched.wire.messages import (
    Data,
    DatumItem,
    ErredItem,
    ErrorKind,
    FinishedItem,
    FunctionItem,
    GetData,
    Pulse,
    Run,
    RunItem,
)
from fastsched.worker.jobs import Send
from fastsched.worker.machine import SCHEDULER
from fastsched.worker.store import Value
from tests.machines.helpers.worker_bench import BOOM, FN, HERE, Bench, remote, task_id

A, B = "unix:///a", "unix:///b"


# -- a task from order to report ---------------------------------------------------------------------------------------


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


def test_who_took_no_starts_is_not_given_later_ones():
    bench = Bench()
    taken = bench.machine.starts()
    item = RunItem(task_id(1), 1, "key-1", FN, (b"args",), (), 0, 0)
    bench.machine.receive(SCHEDULER, Run((FunctionItem(FN, (b"function",)),), (item,)), 0.0)
    assert taken == []
    assert [start.job.key for start in bench.machine.starts()] == ["key-1"]


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


# -- values ------------------------------------------------------------------------------------------------------------


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
