"""A client that outlives its scheduler: what it says to the next one, and what it says meanwhile."""

from __future__ import annotations

import itertools

import pytest

from fastsched.client.machine import Answered, ClientMachine, Fetched, Send
from fastsched.client.record import FutureRecord, Status
from fastsched.config import Config
from fastsched.wire.messages import (
    Bring,
    Call,
    ErrorItem,
    ErrorKind,
    FailedItem,
    Keep,
    Locate,
    Located,
    LocatedItem,
    Release,
    Report,
    ResultItem,
    Scatter,
    ScatterItem,
    Submit,
    TaskItem,
    Verb,
    Want,
)
from tests.machines.helpers.frames import without_frames

FN = (b"pickle of a function",)
LOST = ErrorItem(ErrorKind.SCHEDULER_LOST, None, "", "", 0, "the scheduler is gone")


class Pair:
    """A machine and what came out of it."""

    def __init__(self, **limits):
        self.machine = ClientMachine(Config(**limits), True)
        self.fids = itertools.count(1)

    def submit(self, key, *dependencies, fn=b"f" * 8, pins=()):
        record = FutureRecord(next(self.fids), key)
        inputs = tuple(source.fid for source in dependencies)
        item = TaskItem(record.fid, key, fn, (b"args",), inputs, tuple(pin.fid for pin in pins), 0, 0, 0)
        without_frames(self.machine.submit, record, item, FN)
        return record

    def scatter(self, key, pins=(), workers=()):
        record = FutureRecord(next(self.fids), key)
        item = ScatterItem(record.fid, key, "bytes", (b"data",), tuple(pin.fid for pin in pins))
        self.machine.scatter([record], [item], workers, False)
        return record

    def want(self, key):
        record = FutureRecord(next(self.fids), key)
        self.machine.want(record)
        return record

    def finished(self, record, frames=(b"value",)):
        self.machine.receive(0, Report((ResultItem(record.fid, "bytes", 5, frames),), (), ()), 0.0)

    def failed(self, record, kind=ErrorKind.TASK):
        error = ErrorItem(kind, (b"exception",), record.key, "w", 1, "text")
        self.machine.receive(0, Report((), (FailedItem(record.fid, error),), ()), 0.0)

    def part(self):
        self.sent()
        self.machine.part(0, 0.0, LOST)

    def come_back(self):
        """What is said to the next scheduler, up to the word that this is all."""
        self.machine.come_back(0, 0.0)
        *messages, end = self.sent()
        assert end == Bring((), (), False)
        return messages

    def drain(self):
        actions = self.machine.drain()
        self.machine.check()
        return actions

    def sent(self):
        return [action.message for action in self.drain() if isinstance(action, Send)]


@pytest.fixture
def pair():
    pair = Pair()
    yield pair
    pair.machine.check()


def keys(messages):
    """Of the tasks that are submitted."""
    return [item[1] for message in messages if isinstance(message, Submit) for item in message.tasks]


def test_futures_stay_as_they_are_meanwhile(pair):
    waiting, ready, large = pair.submit("a"), pair.submit("b"), pair.submit("c")
    pair.finished(ready)
    pair.finished(large, None)
    pair.part()
    assert [record.status for record in (waiting, ready, large)] == [Status.PENDING, Status.FINISHED, Status.FINISHED]


def test_everything_is_submitted_again_with_its_function(pair):
    a = pair.submit("a")
    pair.submit("b", a)
    pair.finished(a)
    pair.part()
    (message,) = pair.come_back()
    assert message.functions == ((b"f" * 8, FN),)
    assert keys([message]) == ["a", "b"]


def test_a_value_at_hand_gives_way_to_the_one_that_the_next_scheduler_knows(pair):
    record = pair.submit("a")
    pair.finished(record)
    pair.part()
    pair.come_back()
    assert record.frames == (b"value",)
    pair.finished(record, None)  # made again, perhaps: there may be other futures inside
    assert record.status is Status.FINISHED
    assert record.frames is None


def test_what_others_are_made_from_is_submitted_and_released_again(pair):
    a = pair.submit("a")
    b = pair.submit("b", a)
    pair.machine.release(a.fid)
    pair.part()
    submit, release = pair.come_back()
    assert keys([submit]) == ["a", "b"]
    assert release == Release((a.fid,))
    pair.machine.release(b.fid)
    pair.part()
    assert pair.come_back() == []


def test_chains_are_forgotten_link_by_link(pair):
    links = [pair.submit("0")]
    for n in range(1, 5):
        links.append(pair.submit(str(n), links[-1]))
    for link in links[:-1]:
        pair.machine.release(link.fid)
    pair.machine.release(links[-1].fid)
    pair.part()
    assert pair.come_back() == []


def test_what_is_submitted_meanwhile_leaves_afterwards(pair):
    a = pair.submit("a")
    pair.part()
    pair.submit("b", a)
    assert pair.sent() == []
    assert keys(pair.come_back()) == ["a", "b"]


def test_what_is_released_meanwhile_is_not_mentioned(pair):
    a = pair.submit("a")
    pair.part()
    pair.machine.release(a.fid)
    assert pair.come_back() == []


def test_what_has_failed_is_not_tried_again(pair):
    a = pair.submit("a")
    pair.failed(a)
    pair.part()
    assert pair.come_back() == []
    pair.machine.release(a.fid)
    assert pair.sent() == []


@pytest.mark.parametrize("late", [False, True])
def test_what_needs_it_fails_so_too(pair, late):
    a = pair.submit("a")
    b = None if late else pair.submit("b", a)
    pair.failed(a)
    pair.part()
    assert pair.come_back() == []
    b = b or pair.submit("b", a)
    assert (b.status, b.error) == (Status.ERROR, a.error)
    assert pair.sent() == []
    pair.machine.cancel([a.fid, b.fid], "")
    pair.machine.release(a.fid)
    pair.machine.release(b.fid)
    assert pair.sent() == []


def test_so_does_what_needs_it_by_way_of_something_that_nobody_holds(pair):
    a = pair.submit("a")
    b = pair.submit("b", a)
    c = pair.submit("c", b)
    pair.machine.release(b.fid)
    pair.failed(a)  # the news of the others were lost with the scheduler
    pair.part()
    assert pair.come_back() == []
    assert (c.status, c.error) == (Status.ERROR, a.error)


def test_what_is_merely_given_it_is_submitted_without_it(pair):
    a, b = pair.submit("a"), pair.submit("b")
    before = pair.submit("before", pins=(a, b))
    pair.failed(a)
    pair.part()
    pair.come_back()
    after = pair.submit("after", pins=(b, a))
    value = pair.scatter("value", pins=(a, b))
    submit, scatter = pair.sent()
    assert submit.tasks[0].pins == scatter.items[0].pins == (b.fid,)
    assert {record.status for record in (before, after, value)} == {Status.PENDING}
    pair.part()
    tasks = {item.key: item for message in pair.come_back() if isinstance(message, Submit) for item in message.tasks}
    assert tasks["before"].pins == tasks["after"].pins == (b.fid,)


def test_what_is_cancelled_meanwhile_ends(pair):
    a = pair.submit("a")
    b = pair.submit("b", a)
    pair.part()
    pair.machine.cancel([a.fid], "")
    assert pair.come_back() == []
    assert (a.status, b.status) == (Status.CANCELLED, Status.CANCELLED)


def test_futures_that_came_by_their_key_are_asked_for_again(pair):
    record = pair.want("a")
    pair.part()
    assert pair.come_back() == [Want(((record.fid, "a"),))]


def test_scattered_values_are_scattered_again_until_a_worker_has_them_and_then_asked_for_by_their_key(pair):
    record = pair.scatter("a", workers=("w",))
    for _ in range(2):
        pair.part()
        (scatter,) = pair.come_back()
        assert scatter == Scatter((ScatterItem(record.fid, "a", "bytes", (b"data",), ()),), (), False)
    pair.finished(record, None)
    pair.part()
    assert pair.come_back() == [Want(((record.fid, "a"),))]


def test_what_is_scattered_meanwhile_is_sent_afterwards(pair):
    pair.part()
    a = pair.scatter("a")
    pair.submit("b", a)
    scatter, submit = pair.come_back()
    assert isinstance(scatter, Scatter)
    assert keys([submit]) == ["b"]


@pytest.mark.parametrize("away", [False, True])
def test_scattered_values_that_hold_futures_are_scattered_again_with_them(pair, away):
    a = pair.submit("a")
    if away:
        pair.part()
    value = pair.scatter("value", pins=(a,))
    pair.machine.release(a.fid)
    for _ in range(2):
        if not away:
            pair.part()
        submit, scatter, release = pair.come_back()
        assert keys([submit]) == ["a"]
        assert scatter.items == (ScatterItem(value.fid, "value", "bytes", (b"data",), (a.fid,)),)
        assert release == Release((a.fid,))
        away = False
    pair.machine.release(value.fid)
    pair.part()
    assert pair.come_back() == []


def test_what_is_to_be_kept_is_kept_again(pair):
    a = pair.submit("a")
    pair.machine.keep([a.fid])
    pair.part()
    b = pair.submit("b")
    pair.machine.keep([b.fid])
    _, keep = pair.come_back()
    assert isinstance(keep, Keep)
    assert set(keep.fids) == {a.fid, b.fid}


def test_calls_that_are_under_way_fail_and_those_made_meanwhile_wait(pair):
    pair.machine.call(1, Verb.INFO)
    pair.part()
    assert Answered(1, False, LOST.text) in pair.drain()
    pair.machine.call(2, Verb.INFO)
    assert pair.drain() == []
    pair.machine.call(3, Verb.NTHREADS)
    pair.machine.abandon_call(3)
    assert pair.come_back() == [Call(2, Verb.INFO, (), None)]


@pytest.mark.parametrize("begun", ["before", "meanwhile"])
def test_values_are_located_again(pair, begun):
    a = pair.submit("a")
    pair.finished(a, None)
    pair.sent()
    if begun == "before":
        pair.machine.fetch(a.fid)
        assert pair.sent() == [Locate((a.fid,))]
    pair.part()
    if begun == "meanwhile":
        pair.machine.fetch(a.fid)
        assert pair.sent() == []
    _, locate = pair.come_back()
    assert locate == Locate((a.fid,))
    pair.machine.receive(0, Located((LocatedItem(a.fid, 1, (b"value",), ()),)), 0.0)
    assert Fetched(a, (b"value",)) in pair.drain()


def test_after_the_grace_everything_ends(pair):
    a, b = pair.submit("a"), pair.submit("b")
    pair.finished(b)
    pair.part()
    pair.machine.lost(0, 1.0, LOST)
    assert (a.status, b.status) == (Status.ERROR, Status.FINISHED)
    assert a.error.kind == ErrorKind.SCHEDULER_LOST
    c = pair.submit("c")
    assert c.status is Status.ERROR
    pair.drain()


def test_a_client_inside_a_worker_ends_what_it_holds_and_goes_on():
    machine = ClientMachine(Config())
    a, b = FutureRecord(1, "a"), FutureRecord(2, "b")
    for record in (a, b):
        machine.submit(record, TaskItem(record.fid, record.key, b"f" * 8, (b"args",), (), (), 0, 0, 0), FN)
    machine.receive(0, Report((ResultItem(2, "bytes", 5, (b"value",)),), (), ()), 0.0)
    machine.drain()
    machine.part(0, 0.0, LOST)
    assert (a.status, b.status) == (Status.ERROR, Status.FINISHED)
    c = FutureRecord(3, "c")
    machine.submit(c, TaskItem(3, "c", b"f" * 8, (b"args",), (), (), 0, 0, 0), FN)
    assert c.status is Status.PENDING
    machine.check()
