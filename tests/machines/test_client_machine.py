"""The client's machine: commands and messages in, messages and settled records out; no I/O anywhere."""

import itertools

import pytest

from fastsched.client.machine import REST_SECONDS, Answered, ClientMachine, Fetched, GetFrom, Send, Settled
from fastsched.client.record import FutureRecord, Status
from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.wire.messages import (
    Answer,
    Call,
    Cancel,
    ErrorItem,
    ErrorKind,
    FailedItem,
    Free,
    Keep,
    Locate,
    Located,
    LocatedItem,
    Refuse,
    Release,
    Report,
    ResultItem,
    Scatter,
    ScatterItem,
    Submit,
    TaskItem,
    Verb,
    Want,
    WantItem,
)

FN = (b"pickle of a function",)


class Pair:
    """A machine and what came out of it."""

    def __init__(self, **limits):
        self.machine = ClientMachine(Config(**limits))
        self.fids = itertools.count(1)

    def record(self, key="inc-1"):
        return FutureRecord(next(self.fids), key)

    def submit(self, key="inc-1", fn=b"f" * 8, dependencies=()):
        record = self.record(key)
        self.machine.submit(record, TaskItem(record.fid, key, fn, (b"args",), dependencies, (), 0, 0, 0), FN)
        return record

    def finished(self, *items):
        self.machine.receive(0, Report(tuple(ResultItem(*item) for item in items), (), ()), 0.0)

    def failed(self, record, kind=ErrorKind.TASK, frames=(b"exception",)):
        error = ErrorItem(kind, frames, record.key, "w", 1, "text")
        self.machine.receive(0, Report((), (FailedItem(record.fid, error),), ()), 0.0)

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
    assert pair.drain() == [], "something came out that the test did not expect"


def test_submissions_of_one_turn_travel_in_one_message_with_their_function_once(pair):
    first, second = pair.submit("a"), pair.submit("b")
    (message,) = pair.sent()
    assert isinstance(message, Submit)
    assert message.functions == ((b"f" * 8, FN),)
    assert [task.fid for task in message.tasks] == [first.fid, second.fid]


def test_a_function_travels_once_per_connection(pair):
    pair.submit("a")
    pair.sent()
    pair.submit("b")
    assert pair.sent()[0].functions == ()


def test_a_function_that_fell_out_of_the_table_travels_again():
    pair = Pair(functions=2)
    for fn in (b"1" * 8, b"2" * 8, b"3" * 8, b"1" * 8):
        pair.submit(fn=fn)
    functions = [item.fn for message in pair.sent() for item in message.functions]
    assert functions == [b"1" * 8, b"2" * 8, b"3" * 8, b"1" * 8]


def test_a_long_batch_is_split():
    pair = Pair(batch_items=10)
    for index in range(25):
        pair.submit(f"k{index}")
    messages = pair.sent()
    assert sum(len(message.tasks) for message in messages) == 25
    assert all(len(message.tasks) + len(message.functions) <= 10 for message in messages)


def test_order_between_kinds_is_kept(pair):
    first = pair.submit("a")
    pair.machine.release(first.fid)
    pair.submit("b")
    assert [type(message) for message in pair.sent()] == [Submit, Release, Submit]


def test_a_finished_record_has_its_value_before_it_is_told(pair):
    record = pair.submit()
    pair.sent()
    pair.finished((record.fid, "int", 5, (b"1",)))
    assert record.status is Status.FINISHED
    assert record.frames == (b"1",)
    assert record.type_name == "int"
    assert pair.drain() == [Settled(record)]


def test_two_futures_of_one_key_settle_on_their_own(pair):
    first, second = pair.submit("a"), pair.submit("a")
    pair.sent()
    pair.finished((second.fid, "int", 5, (b"1",)))
    assert (first.status, second.status) == (Status.PENDING, Status.FINISHED)
    assert pair.drain() == [Settled(second)]


def test_an_error_settles_the_record(pair):
    record = pair.submit()
    pair.sent()
    pair.failed(record)
    assert record.status is Status.ERROR
    assert record.error.frames == (b"exception",)
    assert pair.drain() == [Settled(record)]


def test_a_value_at_hand_is_not_taken_back_when_the_cluster_loses_it(pair):
    record = pair.submit()
    pair.finished((record.fid, "int", 1, (b"v",)))
    pair.drain()
    pair.failed(record, ErrorKind.DATA_LOST, None)
    error = ErrorItem(ErrorKind.CANCELLED, None, "an-input", "", 0, "somebody cancelled what it was computed from")
    pair.machine.receive(0, Report((), (FailedItem(record.fid, error),), ()), 0.0)
    assert pair.drain() == []
    assert (record.status, record.frames) == (Status.FINISHED, (b"v",))
    pair.failed(record, ErrorKind.CANCELLED, None)
    assert pair.drain() == [Settled(record)]
    assert record.status is Status.CANCELLED


def test_a_cancelled_dependency_cancels(pair):
    record = pair.submit()
    pair.sent()
    pair.failed(record, ErrorKind.CANCELLED, None)
    assert record.status is Status.CANCELLED
    pair.drain()


def test_reports_about_released_futures_are_ignored(pair):
    record = pair.submit()
    pair.machine.release(record.fid)
    pair.sent()
    pair.finished((record.fid, "int", 5, (b"1",)))
    assert record.status is Status.CANCELLED


def test_whoever_waits_for_a_future_that_another_thread_releases_is_told(pair):
    record = pair.submit()
    pair.sent()
    pair.machine.release(record.fid)
    assert pair.drain() == [Send(Release((record.fid,))), Settled(record)]
    assert record.status is Status.CANCELLED
    assert record.released
    assert "released" in record.error.text


def test_a_fetch_ends_when_the_future_is_released_meanwhile(pair):
    record = pair.submit()
    pair.finished((record.fid, "bytes", 10**6, None))
    pair.machine.fetch(record.fid)
    pair.drain()
    pair.machine.release(record.fid)
    assert pair.drain() == [Send(Release((record.fid,))), Fetched(record, None)]


def test_release_of_a_future_that_was_never_submitted_is_ignored(pair):
    pair.machine.release(77)
    assert pair.sent() == []


def test_cancel_is_true_at_once_and_told_to_the_scheduler(pair):
    record = pair.submit()
    pair.sent()
    pair.machine.cancel([record.fid, 99], "changed my mind")
    assert record.status is Status.CANCELLED
    assert pair.drain() == [Send(Cancel((record.fid,), "changed my mind")), Settled(record)]


def test_a_result_that_crosses_a_cancel_does_not_bring_the_future_back(pair):
    record = pair.submit()
    pair.machine.cancel([record.fid], "")
    pair.drain()
    pair.finished((record.fid, "int", 5, (b"1",)))
    assert record.status is Status.CANCELLED


def test_a_lost_value_makes_the_future_pending_unless_it_is_here(pair):
    here, away = pair.submit("here"), pair.submit("away")
    pair.finished((here.fid, "int", 5, (b"1",)), (away.fid, "bytes", 10**6, None))
    pair.drain()
    pair.machine.receive(0, Report((), (), (here.fid, away.fid)), 0.0)
    assert (here.status, away.status) == (Status.FINISHED, Status.PENDING)
    pair.finished((away.fid, "bytes", 10**6, None))
    assert pair.drain() == [Settled(away)]


def test_a_large_value_is_located_and_fetched(pair):
    record = pair.submit()
    pair.finished((record.fid, "bytes", 10**6, None))
    pair.drain()
    pair.machine.fetch(record.fid)
    pair.machine.fetch(record.fid)  # a second waiter: one question
    assert pair.sent() == [Locate((record.fid,))]
    pair.machine.receive(0, Located((LocatedItem(record.fid, 42, None, ("unix:///w",)),)), 0.0)
    assert pair.drain() == [GetFrom(record.fid, 42, ("unix:///w",))]
    pair.machine.fetched(record.fid, (42, (b"big",)), 0.0)
    assert pair.drain() == [Fetched(record, (b"big",))]


def test_a_value_that_the_worker_no_longer_has_is_located_again(pair):
    record = pair.submit()
    pair.finished((record.fid, "bytes", 10**6, None))
    pair.machine.fetch(record.fid)
    pair.machine.receive(0, Located((LocatedItem(record.fid, 42, None, ("unix:///w",)),)), 0.0)
    pair.drain()
    pair.machine.fetched(record.fid, (42, None), 0.0)
    assert pair.sent() == [Locate((record.fid,))]
    # the scheduler knows by now that the worker is gone: wait for the next report
    pair.machine.receive(0, Located((LocatedItem(record.fid, 42, None, ()),)), 0.0)
    assert pair.drain() == []
    pair.machine.receive(0, Report((), (), (record.fid,)), 0.0)
    pair.finished((record.fid, "bytes", 10**6, None))
    assert pair.drain() == [Send(Locate((record.fid,))), Settled(record)]
    pair.machine.receive(0, Located((LocatedItem(record.fid, 42, (b"kept",), ()),)), 0.0)
    assert pair.drain() == [Fetched(record, (b"kept",))]


def test_a_value_whose_worker_may_be_gone_is_located_again_though_nobody_says_that_it_is_lost(pair):
    """Another worker's copy may be announced meanwhile: then there is no news of it."""
    record = pair.submit()
    pair.finished((record.fid, "bytes", 10**6, None))
    pair.machine.fetch(record.fid)
    pair.drain()
    pair.machine.receive(0, Located((LocatedItem(record.fid, 42, None, ()),)), 1.0)
    assert pair.drain() == []
    assert pair.machine.next_deadline() == 1.0 + REST_SECONDS
    pair.machine.tick(1.0 + REST_SECONDS)
    assert pair.sent() == [Locate((record.fid,))]
    pair.machine.receive(0, Located((LocatedItem(record.fid, 42, None, ("unix:///other",)),)), 2.0)
    assert pair.drain() == [GetFrom(record.fid, 42, ("unix:///other",))]
    assert pair.machine.next_deadline() is None


def test_a_value_that_is_lost_after_all_is_not_asked_for_until_there_is_news(pair):
    record = pair.submit()
    pair.finished((record.fid, "bytes", 10**6, None))
    pair.machine.fetch(record.fid)
    pair.drain()
    pair.machine.receive(0, Located((LocatedItem(record.fid, 42, None, ()),)), 1.0)
    pair.machine.receive(0, Report((), (), (record.fid,)), 1.1)
    assert pair.machine.next_deadline() is None
    pair.finished((record.fid, "bytes", 10**6, None))
    assert pair.drain() == [Send(Locate((record.fid,))), Settled(record)]


def test_a_fetch_ends_when_the_record_fails_meanwhile(pair):
    record = pair.submit()
    pair.finished((record.fid, "bytes", 10**6, None))
    pair.machine.fetch(record.fid)
    pair.drain()
    pair.machine.receive(0, Report((), (), (record.fid,)), 0.0)
    pair.failed(record, ErrorKind.WORKER_LOST, None)
    assert pair.drain() == [Settled(record), Fetched(record, None)]


def test_a_value_that_cannot_be_reached_is_tried_with_pauses_and_then_given_up(pair):
    record = pair.submit()
    pair.finished((record.fid, "bytes", 10**6, None))
    pair.machine.fetch(record.fid)
    pair.drain()
    now, pauses = 0.0, []
    while record.status is Status.FINISHED:
        pair.machine.receive(0, Located((LocatedItem(record.fid, 42, None, ("tcp://unreachable:1",)),)), now)
        assert isinstance(pair.drain()[0], GetFrom)
        pair.machine.fetched(record.fid, (42, None), now)
        if (due := pair.machine.next_deadline()) is not None:
            assert pair.drain() == []
            pauses.append(due - now)
            now = due
            pair.machine.tick(now)
        if record.status is Status.FINISHED:
            assert pair.sent() == [Locate((record.fid,))]
    assert pauses == sorted(pauses) and 2.0 < sum(pauses) < 5.0
    assert record.error.kind == ErrorKind.DATA_LOST
    assert pair.drain() == [Settled(record), Fetched(record, None)]


def test_a_late_answer_to_a_fetch_of_a_released_future_is_ignored(pair):
    record = pair.submit()
    pair.finished((record.fid, "bytes", 10**6, None))
    pair.machine.fetch(record.fid)
    pair.machine.release(record.fid)
    pair.drain()
    pair.machine.receive(0, Located((LocatedItem(record.fid, 42, (b"big",), ()),)), 0.0)
    pair.machine.fetched(record.fid, (42, (b"big",)), 0.0)


def test_scatter_want_and_keep_are_passed_on(pair):
    value, wanted = pair.record("data"), pair.record("inc-2")
    item = ScatterItem(value.fid, "data", "int", (b"1",), ())
    pair.machine.scatter([value], [item], ("w0",), True)
    pair.machine.want(wanted)
    pair.machine.keep([wanted.fid, wanted.fid, 99])
    pair.machine.keep([wanted.fid])
    assert pair.sent() == [
        Scatter((item,), ("w0",), True),
        Want((WantItem(wanted.fid, "inc-2"),)),
        Keep((wanted.fid,)),
    ]


def test_a_call_is_answered_once_and_an_abandoned_one_never(pair):
    pair.machine.call(1, Verb.INFO)
    pair.machine.call(2, Verb.NTHREADS)
    assert pair.sent() == [Call(1, Verb.INFO, (), None), Call(2, Verb.NTHREADS, (), None)]
    pair.machine.abandon_call(2)
    pair.machine.receive(0, Answer(2, True, {}), 0.0)
    pair.machine.receive(0, Answer(1, True, {"a": 1}), 0.0)
    pair.machine.receive(0, Answer(1, True, {"a": 2}), 0.0)
    assert pair.drain() == [Answered(1, True, {"a": 1})]


def test_when_the_scheduler_is_lost_everything_that_is_open_ends(pair):
    pending, here, away = pair.submit("p"), pair.submit("h"), pair.submit("a")
    pair.finished((here.fid, "int", 5, (b"1",)), (away.fid, "bytes", 10**6, None))
    pair.machine.fetch(away.fid)
    pair.machine.call(5, Verb.INFO)
    pair.drain()
    lost = ErrorItem(ErrorKind.SCHEDULER_LOST, None, "", "", 0, "gone")
    pair.machine.lost(0, 1.0, lost)
    assert (pending.status, here.status, away.status) == (Status.ERROR, Status.FINISHED, Status.ERROR)
    assert set(pair.drain()) == {Settled(pending), Settled(away), Fetched(away, None), Answered(5, False, "gone")}
    # and what comes later ends at once
    late = pair.submit("late")
    assert late.error == lost._replace(key="late")
    pair.machine.call(6, Verb.INFO)
    pair.machine.release(late.fid)
    pair.machine.cancel([here.fid], "")
    assert set(pair.drain()) == {Settled(late), Answered(6, False, "gone"), Settled(here)}


def test_a_client_that_is_put_out_knows_why(pair):
    record = pair.submit()
    pair.sent()
    pair.machine.receive(0, Refuse("you broke a rule"), 0.0)
    assert record.status is Status.ERROR
    assert "you broke a rule" in record.error.text
    assert pair.drain() == [Settled(record)]


def test_what_could_not_be_sent_ends_and_the_scheduler_never_hears_of_it(pair):
    tasks = [pair.submit("a"), pair.submit("b")]
    wanted, value = pair.record("c"), pair.record("d")
    pair.machine.want(wanted)
    pair.machine.scatter([value], [ScatterItem(value.fid, "d", "int", (b"1",), ())], (), False)
    pair.machine.call(1, Verb.NTHREADS)
    sent = pair.sent()
    assert [type(message) for message in sent] == [Submit, Want, Scatter, Call]
    for message in sent:
        pair.machine.unsent(message, "too large")
    records = [*tasks, wanted, value]
    settled = [action.record for action in pair.drain() if isinstance(action, Settled)]
    assert settled == records
    for record in records:
        assert (record.status, record.error.kind, record.error.text) == (
            Status.ERROR, ErrorKind.SERIALIZATION, "too large",
        )  # fmt: skip
        pair.machine.release(record.fid)
    assert pair.sent() == []
    again = pair.submit("e")
    (message,) = pair.sent()
    assert (message.functions, [item.fid for item in message.tasks]) == (((b"f" * 8, FN),), [again.fid])


def test_a_message_that_is_not_for_clients_is_refused(pair):
    with pytest.raises(ProtocolError, match="Free"):
        pair.machine.receive(0, Free((1,)), 0.0)
