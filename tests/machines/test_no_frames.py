"""No Python frame is entered in the verbs that users' threads call: a signal cannot break off a change half-way.

The scheduler's verbs are watched in every test of this folder, by `World`, and the worker's by `Bench`; here are the
client's, and the watch.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from fastsched.client.machine import ClientMachine
from fastsched.client.record import FutureRecord
from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.wire.messages import (
    Answer,
    DatumItem,
    ErrorItem,
    ErrorKind,
    FailedItem,
    Free,
    Located,
    LocatedItem,
    Pulse,
    Refuse,
    Report,
    ResultItem,
    ScatterItem,
    Submit,
    TaskItem,
    Verb,
    Welcome,
)
from tests.machines.helpers.frames import without_frames
from tests.machines.helpers.scheduler_world import World

FN = b"f" * 8
CODE = (b"pickle of a function",)


def test_the_watch_sees_a_frame() -> None:
    with pytest.raises(AssertionError, match="enters Python frames"):
        without_frames(lambda: None)


def test_the_watch_sees_a_frame_below_compiled_code() -> None:
    with pytest.raises(AssertionError, match="enters Python frames"):
        without_frames(sorted, [2, 1], key=lambda number: number)


class Watched:
    """A client's machine, each of whose verbs is watched."""

    def __init__(self) -> None:
        self.machine = ClientMachine(Config(functions=2, batch_items=3))
        self._fids = itertools.count(1)

    def __getattr__(self, verb: str) -> Any:
        return lambda *args: without_frames(getattr(self.machine, verb), *args)

    def record(self) -> FutureRecord:
        fid = next(self._fids)
        return FutureRecord(fid, f"key-{fid}")

    def submitted(self, fn: bytes = FN) -> FutureRecord:
        record = self.record()
        self.submit(record, task(record, fn), CODE)
        return record

    def finished(self, *records: FutureRecord, value: tuple[bytes, ...] | None = (b"value",)) -> None:
        self.hear(Report(tuple(ResultItem(record.fid, "int", 5, value) for record in records), (), ()))

    def hear(self, message: Any) -> None:
        self.receive(0, message, 0.0)
        self.drain()
        self.machine.check()


def task(record: FutureRecord, fn: bytes = FN) -> TaskItem:
    return TaskItem(record.fid, record.key, fn, (b"args",), (), (), 0, 0, 0)


def error_of(record: FutureRecord, kind: ErrorKind = ErrorKind.TASK) -> ErrorItem:
    return ErrorItem(kind, (b"exception",), record.key, "w", 1, "text")


def test_tasks_from_submit_to_release() -> None:
    client = Watched()
    records = [client.submitted(bytes([fn]) * 8) for fn in (1, 2, 3, 1)]
    more = [client.record() for _ in range(5)]
    client.submit_many(more, [task(record) for record in more], CODE)
    arrived = client.record()
    client.want(arrived)
    client.keep([records[0].fid, arrived.fid])
    assert client.next_deadline() is None
    client.drain()
    client.finished(*records[:2], *more)
    client.hear(Report((), tuple(FailedItem(record.fid, error_of(record)) for record in records[2:]), ()))
    client.cancel([arrived.fid], "")
    for record in [*records, *more, arrived]:
        client.release(record.fid)
    client.drain()
    assert client.machine.records == {}


def test_values_that_are_fetched() -> None:
    client = Watched()
    first, second, third = (client.submitted() for _ in range(3))
    client.finished(first, second, third, value=None)
    for record in (first, second, third):
        client.fetch(record.fid)
    client.hear(Located((LocatedItem(first.fid, 1, (b"value",), ()), LocatedItem(second.fid, 2, None, ("tcp://w:1",)))))
    for _ in range(3):
        client.fetched(second.fid, DatumItem(2, None), 1.0)
        client.drain()
    client.tick(client.next_deadline())
    client.fetched(second.fid, DatumItem(2, (b"value",)), 2.0)
    client.hear(Located((LocatedItem(third.fid, 3, None, ()),)))
    client.hear(Report((), (), (third.fid,)))
    client.finished(third, value=None)
    client.release(third.fid)
    client.drain()


def test_values_that_are_scattered_and_calls() -> None:
    client = Watched()
    records = [client.record(), client.record()]
    items = [ScatterItem(record.fid, record.key, "bytes", (b"value",), ()) for record in records]
    client.scatter(records, items, (), True)
    for request in (1, 2):
        client.call(request, Verb.INFO)
    client.abandon_call(2)
    client.drain()
    for request in (1, 2):
        client.hear(Answer(request, True, {}))


@pytest.mark.parametrize("kind", [ErrorKind.CANCELLED, ErrorKind.SCHEDULER_LOST])
def test_the_end_of_the_connection(kind: ErrorKind) -> None:
    client = Watched()
    client.submitted()
    client.call(1, Verb.INFO)
    client.lost(0, 0.0, ErrorItem(kind, None, "", "", 0, "over"))
    client.submitted()
    client.call(2, Verb.INFO)
    client.drain()


def test_messages_that_say_nothing_and_the_last_one() -> None:
    client = Watched()
    client.submitted()
    for message in (Pulse(1), Welcome("c", "1", "s"), Refuse("enough")):
        client.hear(message)
    with pytest.raises(ProtocolError):
        client.receive(0, Free(()), 0.0)


def test_a_peer_that_breaks_the_rules_is_put_out(world: World) -> None:
    client = world.client("c")
    client.submit("a")
    client.say(Submit((), (TaskItem(1, "b", FN, (b"args",), (), (), 0, 0, 0),)))
    assert world.put_out == ["c"]
    world.put_out.clear()


def test_a_worker_that_does_not_read(world: World) -> None:
    worker = world.worker("w")
    without_frames(world.machine.congested, worker.number, True, world.now)
    world.client("c").submit("a")
    without_frames(world.machine.congested, worker.number, False, world.now)
    world.settle()
    assert worker.news() == ["run a"]


def test_values_that_travel_beside_the_message(world: World) -> None:
    client, worker = world.client("c"), world.worker("w", nthreads=2)
    large = (b"x" * 2 * world.config.attach_bytes,)
    value = client.scatter("v", large)
    worker.store("v")
    client.submit("a", [value])
    worker.finish("a", value=large)
    assert worker.news() == ["put v", "run a"]
    assert client.news() == ["finished v", "finished a"]
    assert client.locate(value)[0] is not None
