"""Values: what comes out is what went in, large buffers are not copied, and what cannot be pickled is named."""

from __future__ import annotations

import collections
import decimal
import enum
import functools
import math
import operator
import pathlib
import threading
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsched.errors import SerializationError
from fastsched.wire import payload
from fastsched.wire.messages import Buffer
from fastsched.wire.payload import pickling
from tests.wire import strategies
from tests.wire.futures import FakeFuture, Holder

ATTACH = pickling.ATTACH_BYTES


@dataclass
class Point:
    x: int
    y: Any = None


class Colour(enum.Enum):
    RED = 1


def there_and_back(value: Any, **options: Any) -> Any:
    return payload.loads(payload.dumps(value).frames, **options)


@given(strategies.plain)
def test_plain_values_survive(value: Any) -> None:
    found = there_and_back(value)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        Ellipsis, 2**300, 1j, -0.0, "\ud800", b"", [[]], {1: {2: {3}}}, frozenset({(1,)}), bytearray(b"x"),
        range(3), slice(1),
        Point(1, [Point(2)]), Colour.RED, decimal.Decimal("1.5"), pathlib.PurePosixPath("a/b"),
        collections.OrderedDict(a=1),
        collections.defaultdict(list, a=[1]), len, math.sin, Point, int, functools.partial(pow, 2),
        operator.itemgetter(1),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_builtin_and_library_values_survive(value: Any) -> None:
    found = there_and_back(value)
    assert type(found) is type(value)
    assert repr(found) == repr(value)


def test_lambdas_closures_and_local_classes_survive() -> None:
    offset = 10

    class Local:
        def add(self, x: int) -> int:
            return x + offset

    assert there_and_back(lambda x: x + offset)(1) == 11
    assert there_and_back([Local().add])[0](2) == 12
    assert type(there_and_back(Local())) is Local


def test_a_cycle_survives() -> None:
    value: list[Any] = [1]
    value.append(value)
    found = there_and_back(value)
    assert found[1] is found


def test_each_load_is_a_copy_of_its_own() -> None:
    frames = payload.dumps([1, np.zeros(10), np.zeros(10_000)]).frames
    one, other = payload.loads(frames), payload.loads(frames)
    one[0], one[1][:], one[2][:] = 2, 2, 2
    assert other[0] == 1
    assert not other[1].any()
    assert not other[2].any()


# -- buffers ----------------------------------------------------------------------------------------------------------


def test_a_large_array_leaves_uncopied() -> None:
    array = np.arange(ATTACH, dtype=np.uint8)
    _, buffer = payload.dumps(array).frames
    assert isinstance(buffer, Buffer)
    assert np.shares_memory(np.frombuffer(buffer.view, dtype=np.uint8), array)


def test_a_small_array_is_part_of_the_message() -> None:
    frames = payload.dumps(np.arange(ATTACH - 1, dtype=np.uint8)).frames
    assert [type(frame) for frame in frames] == [bytes, bytes]


def test_a_snapshot_is_not_changed_by_what_happens_to_the_value() -> None:
    array = np.zeros(ATTACH)
    frames = payload.dumps(array, "it", snapshot=True).frames
    array[:] = 1
    assert not payload.loads(frames).any()


@pytest.mark.parametrize("size", [5, ATTACH], ids=["small", "large"])
@pytest.mark.parametrize("own", [False, True])
def test_arrays_arrive_writable_if_they_were(size: int, own: bool) -> None:
    array = np.zeros(size)
    array.setflags(write=True)
    assert there_and_back(array, own=own).flags.writeable
    array.setflags(write=False)
    assert not there_and_back(array, own=own).flags.writeable


def test_who_owns_the_frames_gets_the_value_without_a_copy() -> None:
    first, _ = payload.dumps(np.zeros(ATTACH)).frames
    arrived = bytearray(8 * ATTACH)
    value = payload.loads((first, Buffer(arrived)), own=True)
    assert np.shares_memory(value, np.frombuffer(arrived))
    assert not np.shares_memory(payload.loads((first, Buffer(arrived))), np.frombuffer(arrived))


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(2, 3, 4)[:, ::2], np.asfortranarray(np.arange(6).reshape(2, 3)), np.array(1.5),
        np.zeros((0, 3)),
        np.array([{"a": 1}, None]), np.array(["a", "bc"]), np.array(["2024-01-01"], dtype="M8[D]"),
        np.zeros(3, dtype=[("a", "i4"), ("b", "f8")]), np.arange(10_000)[::3],
    ],
    ids=["non-contiguous", "Fortran", "0-d", "empty", "object", "text", "datetime", "structured", "strided"],
)  # fmt: skip
def test_every_kind_of_array_survives(array: np.ndarray[Any, Any]) -> None:
    found = there_and_back(array)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert found.tolist() == array.tolist()


def test_a_large_pickle_leaves_beside_the_message() -> None:
    (frame,) = payload.dumps(b"x" * ATTACH).frames
    assert isinstance(frame, Buffer)
    assert there_and_back(b"x" * ATTACH) == b"x" * ATTACH


def test_nbytes_counts_all_frames() -> None:
    array = np.zeros(ATTACH)
    frames = payload.dumps([array, np.zeros(2)]).frames
    assert payload.nbytes(frames) == len(frames[0]) + array.nbytes + 16
    assert payload.nbytes(payload.dumps(1).frames) == len(payload.dumps(1).frames[0])


# -- futures in values ------------------------------------------------------------------------------------------------


def test_futures_in_a_value_arrive_as_futures_and_are_named() -> None:
    one, two = FakeFuture("one"), FakeFuture("two")
    dumped = payload.dumps([one, {"a": two, "b": [one]}, Holder(inner=two)])
    assert [future.key for future in dumped.futures] == ["one", "two"]
    found = payload.loads(dumped.frames)
    assert isinstance(found[0], FakeFuture)
    assert found[0].key == "one"
    assert found[0] is found[1]["b"][0]
    assert found[2].inner.key == "two"


def test_futures_are_named_once_if_plain_pickle_gave_up_midway() -> None:
    dumped = payload.dumps([FakeFuture("one"), lambda: 0])
    assert [future.key for future in dumped.futures] == ["one"]


def test_collecting_sees_what_is_loaded_and_nests() -> None:
    frames = payload.dumps([FakeFuture("one")]).frames
    outer: list[Any] = []
    inner: list[Any] = []
    with payload.collecting(outer):
        payload.loads(frames)
        with payload.collecting(inner):
            payload.dumps([FakeFuture("two")])
            payload.loads(payload.dumps([FakeFuture("three")]).frames)
        payload.loads(frames)
    assert [future.key for future in outer] == ["one"]
    assert [future.key for future in inner] == ["three"]
    payload.note_future(FakeFuture("nobody listens"))


def test_collecting_ends_with_its_block_also_if_that_raises() -> None:
    outer: list[Any] = []
    with pytest.raises(KeyError), payload.collecting(outer):
        raise KeyError
    payload.dumps([FakeFuture("late")])
    assert outer == []


def test_a_future_that_arrives_where_no_client_is_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = payload.dumps([FakeFuture("lonely")]).frames
    monkeypatch.setattr("fastsched.wire.payload.futures._loader", [])
    with pytest.raises(SerializationError, match=r"'lonely' arrived where there is no client"):
        payload.loads(frames)


# -- what cannot be pickled -------------------------------------------------------------------------------------------


class Awkward:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


class Unspeakable(Awkward):
    """Cannot even be looked at."""

    def __init__(self) -> None:
        super().__init__(RuntimeError("no"))

    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __getattribute__(self, name: str) -> Any:
        if name == "__dict__":
            raise RuntimeError("no")
        return super().__getattribute__(name)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (threading.Lock(), r"\(a _thread.lock\)"),
        ([1, {"a": Point(1, threading.Lock())}], r"\[1\]\['a'\]\.y is a _thread.lock"),
        ((x for x in ()), r"\(a generator\)"),
        ({"k": [iter(lambda: 0, 1), threading.Lock()]}, r"\['k'\]\[1\] is a _thread.lock"),
        (functools.partial(print, threading.Lock()), r"functools.partial"),
        ((lambda lock: lambda: lock)(threading.Lock()), r"\.<closure lock> is a _thread.lock"),
        ({(1, 2): {3: Awkward(ValueError("no"))}}, r"\[<tuple>\]\[3\] is a .*Awkward"),
        ({"k": Unspeakable()}, r"\['k'\] is a .*Unspeakable"),
        ({Unspeakable(): 1}, r"\.keys\(\)\[<Unspeakable>\] is a .*Unspeakable"),
    ],
    ids=[
        "itself",
        "deep inside",
        "a generator",
        "the second of two",
        "in a partial",
        "in a closure",
        "raises",
        "raises at everything",
        "as a key",
    ],
)
def test_what_cannot_be_pickled_is_named_with_its_place(value: Any, path: str) -> None:
    with pytest.raises(SerializationError, match=f"cannot pickle the parcel.*{path}") as caught:
        payload.dumps(value, "the parcel")
    assert isinstance(caught.value, TypeError)
    assert caught.value.__cause__ is not None


def test_a_structure_nested_too_deep_is_a_serialization_error() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(SerializationError, match="the parcel"):
        payload.dumps(value, "the parcel")
    while isinstance(value, list):  # or the interpreter takes it apart recursively
        value = value.pop()


def test_an_interrupt_while_pickling_is_no_serialization_error() -> None:
    with pytest.raises(KeyboardInterrupt):
        payload.dumps([Awkward(KeyboardInterrupt())])


class Explosive:
    """Pickles, but does not come back."""

    def __reduce__(self) -> Any:
        return explode, ("boom",)


def explode(text: str) -> None:
    raise RuntimeError(text)


def test_what_cannot_be_unpickled_is_a_serialization_error() -> None:
    frames = payload.dumps(Explosive()).frames
    with pytest.raises(SerializationError, match="the parcel cannot be unpickled here: RuntimeError: boom"):
        payload.loads(frames, "the parcel")


@pytest.mark.parametrize("data", [b"", b"garbage", b"\x80\x05K", b"cno_such_module\nf\n."])
def test_garbage_is_a_serialization_error(data: bytes) -> None:
    with pytest.raises(SerializationError):
        payload.loads((data,))


def test_modules_that_the_user_registered_travel_by_value() -> None:
    from tests.wire import futures as module  # noqa: PLC0415

    by_reference = payload.dumps(module.Holder).frames
    cloudpickle.register_pickle_by_value(module)
    try:
        by_value = payload.dumps(module.Holder).frames
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    assert payload.nbytes(by_value) > 5 * payload.nbytes(by_reference)


@pytest.mark.parametrize(
    ("value", "name"),
    [(1, "int"), (None, "NoneType"), ([], "list"), (np.zeros(1), "numpy.ndarray"), (Point(1), f"{__name__}.Point")],
)
def test_type_names_are_as_users_write_them(value: Any, name: str) -> None:
    assert payload.type_name(value) == name


@given(st.lists(st.integers() | st.text()))
def test_the_fast_path_and_the_long_way_give_the_same_frames(value: list[Any]) -> None:
    assert payload.dumps(value).frames == pickling.pickled(value, "it")
