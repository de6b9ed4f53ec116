"""The codec: every message survives, and nothing else gets through."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsched.config import Config
from fastsched.errors import ProtocolError, SerializationError
from fastsched.wire.catalogue import ALLOWED, CODES, MESSAGES
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.framing import BUFFER, HEADER
from fastsched.wire.messages import (
    Answer,
    Buffer,
    Call,
    Cancel,
    Data,
    DatumItem,
    FunctionItem,
    Pulse,
    Register,
    Release,
    Role,
    Run,
    RunFunction,
    Submit,
    TaskItem,
    Verb,
)
from tests.wire import strategies

CONFIG = Config()
EVERYTHING = frozenset(MESSAGES.values())


def wire(*messages: Any, config: Config = CONFIG) -> bytes:
    return b"".join(b"".join(encode(message, config)) for message in messages)


def decode(data: bytes, config: Config = CONFIG) -> list[Any]:
    return Decoder(config, EVERYTHING).feed(data)


def raw(kind: type, control: bytes, *buffers: bytes) -> bytes:
    """A packet with control bytes of our own choosing."""
    frames = [HEADER.pack(len(control), len(buffers) << 8 | CODES[kind]) + control]
    frames += [HEADER.pack(len(buffer), BUFFER) + buffer for buffer in buffers]
    return b"".join(frames)


def task(fid: int, args: bytes = b"args") -> TaskItem:
    return TaskItem(fid, f"key-{fid}", b"function", (args,), (), (), 0, 0, 0)


# -- what is sent arrives ---------------------------------------------------------------------------------------------


@given(strategies.messages)
def test_every_message_survives(message: Any) -> None:
    (found,) = decode(wire(message))
    assert type(found) is type(message)
    assert found == message


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_a_message_with_something_in_every_place_survives(kind: Any) -> None:
    message = kind._make(strategies.example(kind))
    assert decode(wire(message)) == [message]


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_items_arrive_as_plain_tuples(kind: Any) -> None:
    (found,) = decode(wire(kind._make(strategies.example(kind))))

    def walk(value: Any) -> None:
        if isinstance(value, tuple):
            assert type(value) is tuple
            for element in value:
                walk(element)

    for field in found:
        walk(field)


def test_messages_survive_a_cut_at_every_byte() -> None:
    sent = [kind._make(strategies.example(kind)) for kind in (Submit, Register, Data, Pulse)]
    data = wire(*sent)
    for cut in range(len(data) + 1):
        decoder = Decoder(CONFIG, EVERYTHING)
        assert decoder.feed(data[:cut]) + decoder.feed(data[cut:]) == sent


def test_a_truncated_message_is_never_a_message() -> None:
    data = wire(Submit((), (task(1),)))
    for cut in range(len(data)):
        decoder = Decoder(CONFIG, EVERYTHING)
        assert decoder.feed(data[:cut]) == []
        assert decoder.midway == (cut > 0)


def test_buffers_leave_uncopied_and_arrive_in_order() -> None:
    large = [bytearray(bytes([index]) * 20_000) for index in range(3)]
    message = Data(
        1, (DatumItem(5, (b"pickle", Buffer(large[0]), Buffer(large[1]))), DatumItem(6, (Buffer(large[2]),)))
    )
    pieces = encode(message)
    assert [piece.obj for piece in pieces if isinstance(piece, memoryview)] == large
    assert all(one.obj is other for one, other in zip(
        (piece for piece in pieces if isinstance(piece, memoryview)), large, strict=True))  # fmt: skip
    assert decode(b"".join(pieces)) == [message]


def test_a_message_without_buffers_is_one_piece_of_any_length() -> None:
    for count in (1, 10_000):
        message = Release(tuple(range(count)))
        assert len(encode(message)) == 1
        short = Config(frame_bytes=5)
        assert all(len(piece) <= HEADER.size + 5 for piece in encode(message, short))
        assert decode(wire(message, config=short), short) == [message]


def test_encoding_is_safe_from_many_threads() -> None:
    """Nothing is shared between two messages that are being made."""
    wrong = []

    def work(number: int) -> None:
        buffers = tuple(Buffer(bytes([number]) * 10) for _ in range(50))
        message = Data(number, (DatumItem(number, buffers),))
        wrong.extend(number for _ in range(200) if decode(wire(message)) != [message])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_text_may_hold_surrogates() -> None:
    """A file name in a traceback does, if it is no UTF-8."""
    message = Cancel((), "\udcff")
    assert decode(wire(message)) == [message]


# -- what is too large is split, or refused by the sender -------------------------------------------------------------


def test_a_batch_over_the_limit_is_split_in_order() -> None:
    config = Config(control_bytes=200)
    functions = tuple(FunctionItem(b"function", (b"f" * 40,)) for _ in range(5))
    message = Submit(functions, tuple(task(fid) for fid in range(20)))
    found = decode(wire(message, config=config), config)
    assert len(found) > 2
    assert sum((part.functions for part in found), ()) == message.functions
    assert sum((part.tasks for part in found), ()) == message.tasks
    first_task = next(index for index, part in enumerate(found) if part.tasks)
    last_function = max(index for index, part in enumerate(found) if part.functions)
    assert first_task >= last_function


def test_what_is_no_batch_is_repeated_in_each_part() -> None:
    found = decode(
        wire(Cancel(tuple(range(100)), "because"), config=Config(control_bytes=50)), Config(control_bytes=50)
    )
    assert {part.reason for part in found} == {"because"}
    assert sum((part.fids for part in found), ()) == tuple(range(100))


def test_too_many_buffers_are_split_too() -> None:
    config = Config(message_buffers=3)
    message = Data(1, tuple(DatumItem(index, (Buffer(b"b"), Buffer(b"c"))) for index in range(4)))
    found = decode(wire(message, config=config), config)
    assert sum((part.items for part in found), ()) == message.items


@pytest.mark.parametrize(
    "message",
    [Submit((), (task(1, b"a" * 300),)), RunFunction(1, (b"f" * 300,)), Call(1, Verb.INFO, tuple(range(300)), None)],
    ids=["one task", "no batch", "arguments are no batch"],
)
def test_what_cannot_be_split_is_an_error_of_the_sender(message: Any) -> None:
    with pytest.raises(SerializationError, match=type(message).__name__):
        encode(message, Config(control_bytes=200))


def test_what_is_too_long_and_no_batch_is_an_error_of_the_sender() -> None:
    message: Any = Release("text" * 100)  # type: ignore[arg-type]
    with pytest.raises(SerializationError, match="a Release message: its fids are no batch"):
        encode(message, Config(control_bytes=200))


def released() -> memoryview:
    view = memoryview(b"bytes")
    view.release()
    return view


@pytest.mark.parametrize(
    "value",
    [object(), 2**64, -(2**63) - 1, {1, 2}, {1: 2}, {"a": {b"b": 1}}, memoryview(b"abcd")[::2], released()],
    ids=["object", "65 bits", "-65 bits", "set", "number as key", "bytes as key", "every other byte", "released view"],
)
def test_what_is_no_plain_data_is_an_error_of_the_sender(value: Any) -> None:
    with pytest.raises(SerializationError, match="Answer"):
        encode(Answer(1, True, value))
    assert decode(wire(Answer(1, True, "the next one works"))) == [Answer(1, True, "the next one works")]


def test_what_is_no_message_is_an_error_of_the_sender() -> None:
    for value in (None, (), task(1), FunctionItem(b"function", (b"f",)), 7):
        with pytest.raises(SerializationError, match=f"a {type(value).__name__} is no message"):
            encode(value)  # type: ignore[arg-type]


# -- who may send what ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_a_role_may_send_its_own_messages_and_no_others(role: Role) -> None:
    for kind in MESSAGES.values():
        data = wire(kind._make(strategies.example(kind)))
        decoder = Decoder(CONFIG, ALLOWED[role])
        if kind in ALLOWED[role]:
            assert len(decoder.feed(data)) == 1
        else:
            with pytest.raises(ProtocolError, match=f"may not send {kind.__name__}"):
                decoder.feed(data)


def test_a_forbidden_message_is_not_even_unpacked() -> None:
    with pytest.raises(ProtocolError, match="may not send Run"):
        Decoder(CONFIG, ALLOWED[Role.CLIENT]).feed(raw(Run, b"\xc1 this is no msgpack"))


@pytest.mark.parametrize("code", sorted(set(range(1, 254)) - set(MESSAGES)))
def test_an_unknown_code_is_refused(code: int) -> None:
    with pytest.raises(ProtocolError, match=str(code)):
        decode(HEADER.pack(1, code) + b"\x90")


# -- wrong shapes -----------------------------------------------------------------------------------------------------

WRONG = [
    None, True, 0, 9, -1, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), 1.5, float("nan"), "", "text", b"", b"12345678",
    Buffer(b"b"),
    (), (1,), (1, 2), (b"x",), ("x",), (None,), ((),), {}, {"a": 1},
]  # fmt: skip


def variants(value: Any, path: tuple[int, ...] = ()) -> Any:
    """Everything that differs from a value in one place: another element, one too many, one too few."""
    yield from ((path, wrong) for wrong in WRONG)
    if type(value) is tuple:
        yield path, value[:-1]
        yield path, (*value, value[-1])
        for index, element in enumerate(value):
            for inner, changed in variants(element):
                yield (*path, index, *inner), (*value[:index], changed, *value[index + 1 :])


def hand_made(kind: type, value: Any) -> bytes:
    """A packet that holds this value, whatever its shape: made by msgpack, not by us."""
    buffers: list[bytes] = []

    def attach(buffer: Buffer) -> msgpack.ExtType:
        buffers.append(bytes(buffer.view))
        return msgpack.ExtType(1, b"")

    return raw(kind, msgpack.packb(value, default=attach, unicode_errors="surrogatepass"), *buffers)


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_what_is_let_in_is_what_the_annotations_say_in_every_place(kind: Any) -> None:
    example = strategies.example(kind)
    assert decode(hand_made(kind, example)) == [example]
    refused = 0
    for path, value in variants(example):
        data = hand_made(kind, value)
        if strategies.fits(kind, value):
            assert repr(decode(data)) == repr([kind._make(value)])  # as text: NaN is not equal to itself
            continue
        refused += 1
        try:
            found = decode(data)
        except ProtocolError:
            continue
        raise AssertionError(f"{kind.__name__} at {path}: {value!r} came in as {found}")
    assert refused > len(kind._fields) * 10


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_a_message_of_the_wrong_shape_is_refused(kind: Any) -> None:
    for fields in (None, [], {}, [None] * len(kind._fields)):
        with pytest.raises(ProtocolError, match="message"):
            decode(raw(kind, msgpack.packb(fields)))


def test_every_item_of_a_batch_is_checked() -> None:
    good, bad = tuple(task(1)), (*task(1)[:-1], "parent")
    assert len(decode(hand_made(Submit, ((), (good, good, good))))) == 1
    with pytest.raises(ProtocolError, match="Submit message of the wrong shape"):
        decode(hand_made(Submit, ((), (good, good, bad))))


# -- hostile bytes ----------------------------------------------------------------------------------------------------


@given(st.sampled_from(list(MESSAGES.values())), st.binary(max_size=60), st.lists(st.binary(max_size=5), max_size=3))
def test_garbage_in_a_frame_raises_protocol_errors_only(kind: type, control: bytes, buffers: list[bytes]) -> None:
    try:
        decode(raw(kind, control, *buffers))
    except ProtocolError:
        pass


@given(strategies.messages, st.data())
def test_a_changed_byte_gives_a_message_of_the_right_shape_or_a_protocol_error(
    message: Any, data: st.DataObject
) -> None:
    stream = bytearray(wire(message))
    place = data.draw(st.integers(0, len(stream) - 1))
    stream[place] = data.draw(st.integers(0, 255))
    try:
        found = decode(bytes(stream))
    except ProtocolError:
        return
    for message in found:
        assert strategies.fits(type(message), tuple(message))


@pytest.mark.parametrize(
    "control",
    [
        b"\x91" * 100_000,
        b"\x91" * 900,
        b"\xdd\x00\x0f\xff\xff" * 1_000,
        b"\xdd\x00\x00\x13\x88" * 1_000,
        b"\xdd\x00\x00\x03\x00" * 180,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdf\x00\x00\xff\xff" * 1_000,
        b"\xc6\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x81\xa1a" * 500,
        b"\x93\x01\xc3" + b"\x91" * 40 + b"\x01",
        b"\x93\x01\xc3\x81\x01\x02",
        b"\x93\x01\xc3\xa1\xff",
        b"\x93\x01\xc3\xd4\x02\x00",
        b"\x93\x01\xc3\xd6\xff\x00\x00\x00\x00",
        b"\x93\x01\xc3\xc1",
        b"\x93\x01\xc3\x01\x01",
        b"\x93\x01\xc3",
        b"",
    ],
    ids=[
        "100,000 levels",
        "900 levels",
        "nested claims of a million",
        "nested claims of as many as there are bytes",
        "nested claims in a small message",
        "an array of 4 billion",
        "a map of 4 billion",
        "nested maps",
        "bytes of 4 GiB",
        "a text of 4 GiB",
        "an extension of 4 GiB",
        "500 maps",
        "deeper than the limit",
        "a map with numbers as keys",
        "no UTF-8",
        "an unknown extension",
        "a timestamp",
        "a byte that msgpack does not use",
        "more after the end",
        "less than it says",
        "nothing",
    ],
)
def test_a_bomb_costs_the_connection_and_no_memory(control: bytes) -> None:
    data = raw(Answer, control)
    decode(wire(Answer(1, True, None)))  # the shape is compiled
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        decode(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000 + 20 * len(control)


@pytest.mark.parametrize("kind", [kind for kind in MESSAGES.values() if kind not in (Answer, Call)])
def test_maps_stand_in_plain_data_only(kind: Any) -> None:
    """An empty map takes one byte on the wire and 64 in memory; the first ends the message."""
    fields = [b"\xdc\xff\xff" + b"\x80" * 0xFFFF for _ in kind._fields]
    for control in (fields[0], bytes([0x90 | len(fields)]) + b"".join(fields)):
        tracemalloc.start()
        with pytest.raises(ProtocolError, match="shape"):
            decode(raw(kind, control))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 16 * len(control)


@pytest.mark.parametrize("claim", range(40), ids=lambda claim: f"{claim} more than there is")
def test_nested_claims_are_backed_by_a_byte_for_each_element(claim: int) -> None:
    """Thirty levels of which each claims as much as is left would take thirty times the memory."""
    size = 60_000
    levels = b"".join(b"\xdc" + (size - 3 * level + claim - 20).to_bytes(2, "big") for level in range(30))
    control = b"\x93\x01\xc3" + levels + b"\x00" * (size - len(levels))
    tracemalloc.start()
    with pytest.raises(ProtocolError, match="claims more"):
        decode(raw(Answer, control))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * len(control)


@pytest.mark.parametrize("field", ["array_items", "map_items"])
def test_long_arrays_and_maps_are_refused(field: str) -> None:
    value: Any = list(range(11)) if field == "array_items" else {str(index): 0 for index in range(11)}
    data = wire(Answer(1, True, value))
    assert len(decode(data, Config(**{field: 11}))) == 1
    with pytest.raises(ProtocolError):
        decode(data, Config(**{field: 10}))


def test_depth_is_limited() -> None:
    value: Any = 1
    for _ in range(5):
        value = (value,)
    data = wire(Answer(1, True, value))
    assert len(decode(data, Config(depth=5))) == 1
    with pytest.raises(ProtocolError):
        decode(data, Config(depth=4))


@pytest.mark.parametrize(
    ("names", "buffers"), [(1, 0), (2, 1), (1, 2), (0, 1)], ids=["none", "too few", "too many", "unnamed"]
)
def test_buffers_and_their_names_must_match(names: int, buffers: int) -> None:
    frames = [msgpack.ExtType(1, b"")] * names or [b"pickle"]
    control = msgpack.packb((1, frames))
    with pytest.raises(ProtocolError):
        decode(raw(RunFunction, control, *[b"b"] * buffers))


def test_an_attachment_bears_no_content() -> None:
    with pytest.raises(ProtocolError):
        decode(raw(RunFunction, msgpack.packb((1, [msgpack.ExtType(1, b"content")])), b"b"))


def test_nothing_is_read_after_a_broken_rule() -> None:
    decoder = Decoder(CONFIG, EVERYTHING)
    with pytest.raises(ProtocolError):
        decoder.feed(raw(Answer, b"\xc1"))
    with pytest.raises(ProtocolError, match="before"):
        decoder.feed(wire(Pulse(1)))


def test_release_of_a_million_is_one_message() -> None:
    fids = tuple(range(1_000_000))
    assert decode(wire(Release(fids))) == [Release(fids)]
