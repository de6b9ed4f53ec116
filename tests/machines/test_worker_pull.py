"""Idle slots elsewhere: what a worker hands over for them, and in which order."""

import pytest

from fastsched.wire.messages import Grant, Submit, Surplus
from fastsched.worker.children import GRANT_MICROS, TRAVEL_MICROS
from fastsched.worker.nest import HANDFUL
from fastsched.worker.store import Value
from tests.machines.helpers.worker_bench import FN
from tests.machines.test_worker_nest import NestBench


@pytest.fixture
def bench():
    return NestBench()


def children(bench, n, micros=10 * TRAVEL_MICROS, first=1):
    """So many children that wait to begin, of a function that takes so long."""
    for fid in range(first, first + n):
        bench.submit(fid, f"child-{fid}")
    bench.nest.function(FN).micros = micros


def grant(bench, slots=1):
    """What is handed over for idle slots, in order."""
    bench.told()
    bench.machine.receive(0, Grant(slots), 0.0)
    bench.machine.check()
    return [item.key for message in bench.told() if isinstance(message, Submit) for item in message.tasks]


def test_the_oldest_go_first(bench):
    children(bench, 6, micros=GRANT_MICROS / 2)
    bench.claim(1)
    assert grant(bench) == ["child-2", "child-3"]


def test_half_of_what_waits_goes_if_it_is_short(bench):
    children(bench, 9)
    assert grant(bench) == [f"child-{n}" for n in range(1, 5)]
    assert grant(bench) == ["child-5", "child-6"]


def test_more_slots_are_granted_a_larger_part(bench):
    children(bench, 9)
    assert len(grant(bench, slots=2)) == 6


def test_work_for_a_while_goes_if_it_is_long(bench):
    children(bench, 1000)
    assert len(grant(bench)) == GRANT_MICROS / (10 * TRAVEL_MICROS)


def test_each_slot_gets_at_least_one(bench):
    children(bench, 2)
    assert grant(bench, slots=2) == ["child-1", "child-2"]


def test_what_is_too_fine_stays(bench):
    children(bench, 100, micros=TRAVEL_MICROS / 2)
    assert grant(bench) == []


def test_no_child_is_handed_over_twice(bench):
    children(bench, 4)
    gone = [grant(bench, slots=4) for _ in range(3)]
    assert gone == [["child-1", "child-2", "child-3", "child-4"], [], []]
    bench.order(2, "child-1")  # it came back
    assert grant(bench, slots=4) == []


def test_a_child_of_a_large_input_stays_where_that_is(bench):
    bench.submit(1, "large")
    bench.end(bench.claim(1), Value((bytes(10_000_000),), "bytes"))
    bench.submit(2, "of-the-large-one", [1])
    children(bench, 2, first=3)
    assert grant(bench, slots=3) == ["child-3", "child-4"]
    assert bench.claim(2).key == "of-the-large-one"


def test_a_child_of_a_large_input_goes_if_it_takes_longer_than_to_send_that(bench):
    bench.submit(1, "large")
    bench.end(bench.claim(1), Value((bytes(1_000_000),), "bytes"))
    bench.submit(2, "of-the-large-one", [1])
    bench.nest.function(FN).micros = 5000.0
    assert grant(bench) == ["of-the-large-one"]


def test_a_surplus_is_told_once_until_it_is_granted(bench):
    def surplus():
        bench.brood.progress += 1  # the thread makes steps
        bench.nest.tick()
        bench.machine.check()
        return [message.tasks for message in bench.told() if isinstance(message, Surplus)]

    children(bench, HANDFUL + 3)
    assert [surplus(), surplus()] == [[HANDFUL + 3], []]
    bench.machine.receive(0, Grant(1), 0.0)
    left = HANDFUL + 3 - (HANDFUL + 3) // 2
    assert surplus() == [left]
