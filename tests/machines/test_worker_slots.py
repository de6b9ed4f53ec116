"""The worker's machine: slots are lent, given back and reported."""

import pytest

from tests.machines.helpers.worker_bench import Bench

A, B = "unix:///a", "unix:///b"


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
