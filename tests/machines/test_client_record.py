"""What threads and the I/O thread share: watching, leaving, counting down."""

import math
from collections import deque
from datetime import timedelta

import pytest

from fastsched._wait import Waiter
from fastsched.client.record import Arrival, CountDown, FutureRecord, Status
from fastsched.timing import seconds


class Witness:
    """Counts how often it is told."""

    def __init__(self, then=None):
        self.told = 0
        self.then = then

    def notify(self, record):
        self.told += 1
        if self.then is not None:
            self.then()


@pytest.fixture
def record():
    return FutureRecord(1, "inc-1")


def finish(record):
    record.status = Status.FINISHED
    record.settle(lambda observer, record: observer.notify(record))


def test_observers_are_told_in_the_order_in_which_they_came(record):
    order = []
    watching = [Witness(lambda name=name: order.append(name)) for name in "abc"]
    for witness in watching:
        record.watch(witness)
    finish(record)
    assert order == ["a", "b", "c"]


def test_who_comes_too_late_is_told_at_once(record):
    finish(record)
    late = Witness()
    record.watch(late)
    assert late.told == 1


def test_an_observer_may_leave_while_others_are_told(record):
    last = Witness()
    watching = [Witness(lambda: record.unwatch(watching[0])), Witness(lambda: record.unwatch(last)), Witness()]
    for witness in [*watching, last]:
        record.watch(witness)
    finish(record)
    assert [witness.told for witness in watching] == [1, 1, 1]
    assert not record.observers


def test_an_observer_that_left_is_not_told(record):
    gone = Witness()
    record.watch(gone)
    record.unwatch(gone)
    record.unwatch(gone)
    finish(record)
    assert gone.told == 0


def test_a_wait_that_was_given_up_leaves_nothing_behind(record):
    other = FutureRecord(2, "inc-2")
    count = CountDown([record, other])
    assert not count.over
    count.leave([record, other])
    assert not record.observers
    assert not other.observers


def test_a_countdown_is_over_with_the_last_record(record):
    other = FutureRecord(2, "inc-2")
    count = CountDown([record, other])
    finish(record)
    assert not count.over
    finish(other)
    assert count.over


def test_what_waits_is_told_in_place_and_all_others_later(record):
    later = []
    count = CountDown([record])
    ended, waiter = deque(), Waiter()
    arrival = Arrival(ended, [waiter])
    witness = Witness()
    for observer in (count, arrival, witness):
        record.watch(observer)
    record.status = Status.FINISHED
    record.settle(lambda observer, record: later.append((observer, record)))
    assert later == [(witness, record)]
    assert witness.told == 0
    assert count.over
    assert waiter.over
    assert list(ended) == [arrival]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (2, 2.0),
        ("500 ms", 0.5),
        (timedelta(minutes=1), 60.0),
        (math.inf, None),
        (1e10, None),
        (timedelta.max, None),
    ],
)
def test_durations_as_people_give_them(value, expected):
    assert seconds(value) == expected


@pytest.mark.parametrize("value", [math.nan, "soon", "5 parsecs"])
def test_what_is_no_duration_is_refused(value):
    with pytest.raises(ValueError, match="timeout"):
        seconds(value)


@pytest.mark.parametrize("value", [True, [1], b"1 s"])
def test_what_is_not_even_like_a_duration_is_refused(value):
    with pytest.raises(TypeError, match="timeout"):
        seconds(value)
