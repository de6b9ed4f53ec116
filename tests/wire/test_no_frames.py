"""Between bytes and messages no Python runs: there is no place where a signal handler could raise and lose what the
socket has already given away."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

import pytest

from fastsched.config import Config
from fastsched.errors import ProtocolError, SerializationError
from fastsched.wire.catalogue import CODES, MESSAGES
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.framing import HEADER
from fastsched.wire.messages import Answer, Buffer, Done, FinishedItem, Frames
from tests.wire import strategies

CONFIG = Config()
EVERYTHING = frozenset(MESSAGES.values())


def frames_entered(function: Callable[..., Any], *args: Any) -> tuple[list[str], Any]:
    """The Python functions that a call enters, itself not counted if it is compiled; and what it returns."""
    entered: list[str] = []

    def note(frame: Any, event: str, argument: object) -> None:
        if event == "call":
            entered.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}")

    gc.disable()  # a finalizer would be counted too
    sys.setprofile(note)
    try:
        result = function(*args)
    finally:
        sys.setprofile(None)
        gc.enable()
    return entered, result


def with_and_without_buffers(kind: Any) -> list[Any]:
    full = strategies.example(kind)
    return [kind._make(full), kind._make(strategies.without_buffers(full))]


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_a_message_is_made_and_read_without_a_python_frame(kind: Any) -> None:
    for message in with_and_without_buffers(kind):
        decoder = Decoder(CONFIG, EVERYTHING)
        entered, pieces = frames_entered(encode, message, CONFIG)
        assert entered == []
        data = b"".join(pieces)
        for cut in range(0, len(data), 7):
            entered, first = frames_entered(decoder.feed, data[:cut])
            assert entered == []
            entered, second = frames_entered(decoder.feed, memoryview(data)[cut:])
            assert entered == []
            assert first + second == [message]


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_the_first_message_of_a_kind_is_no_exception(kind: Any) -> None:
    data = b"".join(encode(kind._make(strategies.example(kind)), CONFIG))
    decoder = Decoder(CONFIG, frozenset((kind,)))
    assert frames_entered(decoder.feed, data)[0] == []


def test_buffers_are_made_without_a_python_frame() -> None:
    for data in (b"bytes", bytearray(b"bytearray"), memoryview(b"view")):
        entered, buffer = frames_entered(Buffer, data)
        assert entered == []
        assert buffer.view == data


def test_items_are_made_without_a_python_frame_by_tuple_new() -> None:
    """What `FinishedItem(...)` is not: a named tuple's own `__new__` is Python."""
    frames: Frames = (b"pickle",)
    fields = (1, 1, "int", 5, 12, frames, ())
    assert frames_entered(FinishedItem, *fields)[0] != []
    assert frames_entered(tuple.__new__, FinishedItem, fields) == ([], FinishedItem(*fields))


def test_a_collection_does_not_run_in_the_middle_of_a_delivery() -> None:
    """A finalizer that reads from another stream would do so into the memory that is being read here."""
    message = Done(tuple((row, 1, "int", 5, 12, (b"pickle",), ()) for row in range(5000)), (), (), (), (), 0)
    data = b"".join(encode(message))
    decoder = Decoder(CONFIG, EVERYTHING)
    collected: list[str] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        collected.append(phase)

    gc.collect()
    gc.callbacks.append(note)
    try:
        found = decoder.feed(data)
    finally:
        gc.callbacks.remove(note)
    assert collected == []
    assert gc.isenabled()
    assert found == [message]


def test_what_was_switched_off_stays_off() -> None:
    gc.disable()
    try:
        data = b"".join(encode(Done((), (), (), (), (), 0)))
        assert not gc.isenabled()
        assert len(Decoder(CONFIG, EVERYTHING).feed(data)) == 1
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_what_fails_leaves_the_collector_switched_on() -> None:
    with pytest.raises(SerializationError):
        encode(Answer(1, True, object()), CONFIG)
    assert gc.isenabled()
    with pytest.raises(ProtocolError):
        Decoder(CONFIG, EVERYTHING).feed(HEADER.pack(1, CODES[Answer]) + b"\xc1")
    assert gc.isenabled()


def test_a_subclass_of_bytes_is_not_asked_for_its_bytes() -> None:
    """Since Python 3.12 it could answer by Python code."""

    class Asking(bytes):
        def __buffer__(self, flags: int) -> memoryview:
            raise AssertionError("asked")

    entered, pieces = frames_entered(encode, Answer(1, True, Asking(b"bytes")), CONFIG)
    assert entered == []
    assert Decoder(CONFIG, EVERYTHING).feed(b"".join(pieces)) == [Answer(1, True, b"bytes")]
