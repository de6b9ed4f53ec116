"""Equal calls on one worker: what is here, or under way, does not run a second time."""

from fastsched.wire.messages import Cancel, Free, Release, ResultItem, Submit
from fastsched.worker.children import MOMENT, MOST_WARM, WARM_BYTES
from fastsched.worker.store import Value
from tests.machines.helpers.worker_bench import task_id
from tests.machines.test_worker_nest import VALUE, NestBench


def carried_out(bench, n, key, pins=()):
    """An order for this key, through to its end."""
    bench.order(n, key)
    bench.machine.secede(bench.parent)  # one slot
    job = next(start.job for start in bench.machine.starts() if start.job.key == key)
    bench.machine.finished(job, VALUE, 7, pins)
    bench.machine.check()
    bench.told()


def submitted(bench):
    return [item.key for message in bench.told() if isinstance(message, Submit) for item in message.tasks]


def test_the_value_of_an_order_serves_the_children_with_its_key():
    bench = NestBench()
    carried_out(bench, 2, "a")
    bench.submit(1, "a")
    assert bench.nest.ends() == ([ResultItem(1, "bytes", VALUE.nbytes, VALUE.frames)], [])
    assert bench.claim(1) is None
    assert submitted(bench) == []


def test_what_a_child_took_from_an_order_stays_when_the_order_s_value_goes():
    bench = NestBench()
    carried_out(bench, 2, "a")
    bench.submit(1, "a")
    bench.machine.receive(0, Free((task_id(2),)), 0.0)
    bench.submit(2, "b", [1])
    assert bench.claim(2).values[0].frames == VALUE.frames


def test_the_value_of_an_order_serves_nobody_once_it_is_gone():
    bench = NestBench()
    carried_out(bench, 2, "a")
    bench.machine.receive(0, Free((task_id(2),)), 0.0)
    bench.submit(1, "a")
    assert bench.claim(1).key == "a"


def test_a_value_with_futures_inside_serves_nobody_who_could_not_keep_them():
    bench = NestBench()
    carried_out(bench, 2, "a", ("inner",))
    bench.submit(1, "a")
    assert bench.nest.ends() == ([], [])
    assert bench.claim(1).key == "a"


def test_a_child_with_inputs_goes_to_the_scheduler_for_the_value_of_an_order():
    bench = NestBench()
    carried_out(bench, 2, "sum")
    bench.submit(1, "a")
    bench.submit(2, "sum", [1])
    assert submitted(bench) == ["a", "sum"]


def test_those_that_must_not_wait_for_their_thread_leave_in_the_order_in_which_they_are_awaited():
    bench = NestBench()
    bench.submit(1, "a")
    bench.submit(2, "b")
    bench.submit(3, "c")
    bench.nest.hand_over([1, 2, 3])
    assert submitted(bench) == ["a", "b", "c"]


# -- a moment longer ---------------------------------------------------------------------------------------------------


def done(bench, fid, key, value=VALUE):
    """A child that has run, and whose future is gone."""
    bench.submit(fid, key)
    bench.end(bench.claim(fid), value)
    bench.take(Release((fid,)))
    bench.nest.ends()


def moments(bench, n):
    for _ in range(n * MOMENT):
        bench.nest.tick()
        bench.machine.check()


def test_a_value_serves_equal_calls_a_moment_longer_than_its_future_lives():
    bench = NestBench()
    done(bench, 1, "a")
    bench.submit(2, "a")
    assert bench.nest.ends() == ([ResultItem(2, "bytes", VALUE.nbytes, VALUE.frames)], [])
    assert bench.claim(2) is None


def test_after_that_moment_nothing_is_left_of_it():
    bench = NestBench()
    done(bench, 1, "a")
    assert bench.nest.ages()
    moments(bench, 2)
    assert not bench.nest.ages()
    assert bench.nest.n_children == 0
    bench.submit(2, "a")
    assert bench.claim(2).key == "a"


def test_who_comes_within_that_moment_keeps_it():
    bench = NestBench()
    done(bench, 1, "a")
    bench.submit(2, "a")
    moments(bench, 2)
    bench.submit(3, "a")
    assert [item[0] for item in bench.nest.ends()[0]] == [2, 3]


def test_only_so_many_are_kept_for_a_moment():
    bench = NestBench()
    for n in range(3 * MOST_WARM):
        done(bench, n + 1, f"child-{n}")
    assert bench.nest.n_children == MOST_WARM


def test_large_values_are_not_kept_for_a_moment():
    bench = NestBench()
    done(bench, 1, "a", Value((bytes(WARM_BYTES + 1),), "bytes"))
    assert bench.nest.n_children == 0


def test_an_order_for_what_is_kept_for_a_moment_is_answered_by_it():
    bench = NestBench()
    done(bench, 1, "a")
    bench.order(2, "a")
    assert bench.outcomes() == {(task_id(2), 1): "bytes"}


def test_what_was_cancelled_serves_nobody():
    bench = NestBench()
    bench.submit(1, "a")
    bench.end(bench.claim(1))
    bench.take(Cancel((1,), ""))
    bench.take(Release((1,)))
    bench.submit(2, "a")
    assert bench.claim(2).key == "a"


def test_a_child_that_failed_is_tried_again_by_the_next_who_wants_it():
    bench = NestBench()
    bench.submit(1, "a")
    bench.raise_(bench.claim(1))
    bench.take(Release((1,)))
    bench.submit(2, "a")
    assert bench.claim(2).key == "a"
