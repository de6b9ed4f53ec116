"""Our msgpack against the library's: the same bytes out, and the same bytes let in, with the same meaning."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastsched.config import Config
from fastsched.errors import ProtocolError, SerializationError
from fastsched.wire.catalogue import CODES, MESSAGES
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.framing import BUFFER, HEADER
from fastsched.wire.messages import Answer, Buffer, Data, DatumItem, ErrorKind, Submit, Verb
from tests.wire import strategies

EVERYTHING = frozenset(MESSAGES.values())
CONFIG = Config()
TIGHT = Config(array_items=20, map_items=3, depth=3)
MANY = settings(max_examples=300)

numbers = st.integers(0, 64).flatmap(lambda bits: st.integers(-(2**bits) - 2, 2**bits + 2))
numbers = numbers.filter(lambda number: -(2**63) <= number < 2**64)
lengths = st.sampled_from([0, 1, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
plain = st.recursive(
    st.none()
    | st.booleans()
    | numbers
    | st.floats(allow_nan=False)
    | strategies.texts
    | lengths.map(lambda length: "é" * (length // 2) + "x" * (length % 2))
    | lengths.map(bytes)
    | lengths.map(lambda length: (None,) * length),
    lambda inner: st.lists(inner, max_size=20).map(tuple) | st.dictionaries(strategies.texts, inner, max_size=20),
    max_leaves=10,
)


def theirs(message: Any) -> tuple[bytes, list[bytes]]:
    """The control bytes as msgpack makes them, and the buffers."""
    buffers: list[bytes] = []

    def attach(buffer: Buffer) -> msgpack.ExtType:
        buffers.append(bytes(buffer.view))
        return msgpack.ExtType(1, b"")

    return msgpack.packb(message, default=attach, unicode_errors="surrogatepass"), buffers


def packet(kind: type, control: bytes, buffers: list[bytes]) -> bytes:
    frames = [HEADER.pack(len(control), len(buffers) << 8 | CODES[kind]) + control]
    frames += [HEADER.pack(len(buffer), BUFFER) + buffer for buffer in buffers]
    return b"".join(frames)


def read_by_msgpack(kind: type, control: bytes, buffers: list[bytes], config: Config) -> Any:
    """The fields as msgpack reads them, None if they are not what the annotations say."""
    left = list(reversed(buffers))

    def attach(code: int, content: bytes) -> Any:
        return Buffer(left.pop()) if code == 1 and not content and left else object()

    try:
        fields = msgpack.unpackb(
            control,
            use_list=False,
            ext_hook=attach,
            unicode_errors="surrogatepass",
            max_array_len=min(config.array_items, len(control)),
            max_map_len=config.map_items,
        )
    except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
        return None
    return fields if strategies.fits(kind, fields, config.depth) and not left else None


def read(kind: type, control: bytes, buffers: list[bytes], config: Config) -> Any:
    """The fields as we read them, None if they are refused."""
    try:
        (message,) = Decoder(config, EVERYTHING).feed(packet(kind, control, buffers))
    except ProtocolError:
        return None
    assert type(message) is kind
    return tuple(message)


# -- out --------------------------------------------------------------------------------------------------------------


@MANY
@given(strategies.messages)
def test_messages_are_the_bytes_that_msgpack_makes(message: Any) -> None:
    control, buffers = theirs(message)
    assert b"".join(encode(message)) == packet(type(message), control, buffers)


@MANY
@given(plain)
def test_plain_data_is_the_bytes_that_msgpack_makes(value: Any) -> None:
    message = Answer(1, True, value)
    assert b"".join(encode(message)) == packet(Answer, *theirs(message))


@pytest.mark.parametrize(
    "value",
    [[1, [2]], bytearray(b"b"), memoryview(b"view"), Verb.RUN, ErrorKind.TASK, type("T", (str,), {})("text"),
     type("B", (bytes,), {})(b"bytes"), type("F", (float,), {})(1.5), type("D", (dict,), {})(a=1),
     type("A", (bytearray,), {})(b"bytes")],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_is_nearly_plain_data_is_sent_as_such(value: Any) -> None:
    message = Answer(1, True, value)
    assert b"".join(encode(message)) == packet(Answer, *theirs(message))


def test_a_message_grows_past_every_size_of_its_memory() -> None:
    for size in (*range(900, 1100), *range(2_000, 2_100), 5_000, 70_000, 200_000):
        for message in (Answer(1, True, "x" * size), Answer(1, True, (1,) * size), Answer(1, True, ("ab",) * size)):
            assert b"".join(encode(message)) == packet(Answer, *theirs(message))


def test_what_holds_itself_is_an_error_of_the_sender() -> None:
    endless: list[Any] = []
    endless.append(endless)
    circle: dict[str, Any] = {}
    circle["self"] = (circle,)
    for value in (endless, circle):
        with pytest.raises(SerializationError, match="Answer message: tuples and dicts nest deeper"):
            encode(Answer(1, True, value))


@pytest.mark.parametrize("message", [Answer(1, True, object()), Answer(1, True, ("x" * 3000, object()))])
def test_a_message_that_fails_leaves_nothing_behind(message: Answer) -> None:
    def fail() -> None:
        with pytest.raises(SerializationError):
            encode(message)

    assert growth(fail) < 20_000


# -- in ---------------------------------------------------------------------------------------------------------------


@MANY
@given(strategies.messages, st.sampled_from([CONFIG, TIGHT]))
def test_what_msgpack_makes_is_read_as_it_means_it(message: Any, config: Config) -> None:
    control, buffers = theirs(message)
    assert read(type(message), control, buffers, config) == read_by_msgpack(type(message), control, buffers, config)


@MANY
@given(plain, st.sampled_from([CONFIG, TIGHT]))
def test_plain_data_is_read_as_msgpack_reads_it(value: Any, config: Config) -> None:
    control, _ = theirs((1, True, value))
    assert repr(read(Answer, control, [], config)) == repr(read_by_msgpack(Answer, control, [], config))


@MANY
@given(strategies.messages, st.data())
def test_changed_bytes_are_let_in_only_as_what_msgpack_reads_in_them(message: Any, data: st.DataObject) -> None:
    control, buffers = theirs(message)
    changed = bytearray(control)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.integers(0, 255))
    control = bytes(changed)
    kind = data.draw(st.sampled_from([type(message)] * 3 + list(MESSAGES.values())))
    assert repr(read(kind, control, buffers, CONFIG)) == repr(read_by_msgpack(kind, control, buffers, CONFIG))


@MANY
@given(st.sampled_from(list(MESSAGES.values())), st.binary(max_size=80))
def test_garbage_is_let_in_only_as_what_msgpack_reads_in_it(kind: Any, garbage: bytes) -> None:
    control = bytes([0x90 | len(kind._fields)]) + garbage
    assert repr(read(kind, control, [], CONFIG)) == repr(read_by_msgpack(kind, control, [], CONFIG))


@pytest.mark.parametrize("kind", MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_a_message_that_ends_too_early_or_too_late_is_refused(kind: Any) -> None:
    control, buffers = theirs(strategies.example(kind))
    for cut in range(len(control)):
        assert read(kind, control[:cut], buffers, CONFIG) is None, cut
    assert read(kind, control, buffers, CONFIG) is not None
    assert read(kind, control + b"\x00", buffers, CONFIG) is None


WIDE = {
    "integers": [b"\x07", b"\xcc\x07", b"\xcd\0\x07", b"\xce\0\0\0\x07", b"\xcf\0\0\0\0\0\0\0\x07",
                 b"\xd0\x07", b"\xd1\0\x07", b"\xd2\0\0\0\x07", b"\xd3\0\0\0\0\0\0\0\x07"],
    "texts": [b"\xa1x", b"\xd9\x01x", b"\xda\0\x01x", b"\xdb\0\0\0\x01x"],
    "bytes": [b"\xc4\x01x", b"\xc5\0\x01x", b"\xc6\0\0\0\x01x"],
    "arrays": [b"\x91\xc0", b"\xdc\0\x01\xc0", b"\xdd\0\0\0\x01\xc0"],
    "maps": [b"\x81\xa1x\xc0", b"\xde\0\x01\xa1x\xc0", b"\xdf\0\0\0\x01\xa1x\xc0"],
    "floats": [b"\xca\x3f\xc0\0\0", b"\xcb\x3f\xf8\0\0\0\0\0\0"],
}  # fmt: skip


@pytest.mark.parametrize("forms", WIDE.values(), ids=WIDE)
def test_a_value_may_be_written_wider_than_it_needs(forms: list[bytes]) -> None:
    found = [read(Answer, b"\x93\x01\xc3" + form, [], CONFIG) for form in forms]
    assert found == [read_by_msgpack(Answer, b"\x93\x01\xc3" + forms[0], [], CONFIG)] * len(forms)


@pytest.mark.parametrize("kind", [Submit, Data, Answer], ids=lambda kind: kind.__name__)
def test_a_message_that_is_refused_leaves_nothing_behind(kind: Any) -> None:
    control, buffers = theirs(strategies.example(kind))
    data = [packet(kind, control[:cut], buffers) for cut in range(len(control))]

    def refuse() -> None:
        for one in data:
            with pytest.raises(ProtocolError):
                Decoder(CONFIG, EVERYTHING).feed(one)

    assert growth(refuse) < 20_000


def growth(function: Any) -> int:
    """Bytes that a call leaves allocated, when it is made once more."""
    for _ in range(3):
        function()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(30):
            function()
        gc.collect()  # an exception and its traceback hold each other
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


@MANY
@given(st.sampled_from([Submit, Answer]), st.data())
def test_what_bytes_can_make_us_allocate_is_bounded_by_their_number(kind: Any, data: st.DataObject) -> None:
    """Sixteen bytes for each is what a text of one letter takes in the widest of characters, or an empty tuple's slot
    and its share; a map takes the most."""
    pieces = st.sampled_from(
        [b"\xdc\xff\xff", b"\xdd\0\0\xff\xff", b"\x9f", b"\x80", b"\x8f", b"\xa0", b"\x90", b"\xc0"]
    )
    body = b"".join(data.draw(st.lists(pieces, max_size=50))) * data.draw(st.sampled_from([1, 100, 2_000]))
    control = bytes([0x90 | len(kind._fields)]) + body
    decoder = Decoder(CONFIG, EVERYTHING)
    stream = packet(kind, control, [])
    tracemalloc.start()
    try:
        decoder.feed(stream)
    except ProtocolError:
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000 + 80 * len(control)


# -- what the reader remembers ----------------------------------------------------------------------------------------


def test_a_text_or_function_that_repeats_in_its_place_is_one_object() -> None:
    tasks = tuple((fid, f"key-{fid}", b"function", (b"args",), (), (), 0, 0, 0) for fid in range(3))
    (message,) = Decoder(CONFIG, EVERYTHING).feed(b"".join(encode(Submit((), tasks))))
    assert message.tasks == tasks
    assert len({id(task[2]) for task in message.tasks}) == 1


def test_what_is_remembered_is_never_taken_for_something_else() -> None:
    names = ("ab", "abc", "ab", "", "é", "ab\0", "ab", "x" * 100, "ab", "\udcff", "é")
    values = tuple((fid, name, 1, None) for fid, name in enumerate(names))
    kind: Any = MESSAGES[20]
    message = kind(values, (), ())
    assert Decoder(CONFIG, EVERYTHING).feed(b"".join(encode(message)) * 2) == [message] * 2
    functions = tuple((bytes([number] * 8), (b"f",)) for number in (1, 2, 1, 1, 3))
    submit = Submit(functions, ())
    assert Decoder(CONFIG, EVERYTHING).feed(b"".join(encode(submit)) * 2) == [submit] * 2


def test_buffers_are_named_in_the_order_in_which_they_came() -> None:
    frames = tuple(Buffer(bytes([number])) for number in range(5))
    message = Data(1, (DatumItem(1, frames[:2]), DatumItem(2, frames[2:])))
    assert read(Data, *theirs(message), CONFIG) == tuple(message)
