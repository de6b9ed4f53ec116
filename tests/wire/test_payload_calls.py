"""Calls: futures in containers arrive as values, futures elsewhere as futures, and everything keeps its shape."""

from __future__ import annotations

import threading
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsched.errors import SerializationError
from fastsched.wire import payload
from fastsched.wire.payload import futures, pickling
from tests.wire.futures import FakeFuture, Holder

Pair = namedtuple("Pair", "left right")


def delivered(args: tuple[Any, ...], values: dict[str, Any] | None = None, **kwargs: Any) -> tuple[Any, ...]:
    """(args, kwargs) as the task gets them; a future's value is what `values` says, by default its key in capitals."""
    frames, dependencies, _ = payload.dumps_call(args, kwargs, "a test")
    keys = [future.key for future in dependencies]
    inputs = [key.upper() if values is None else values[key] for key in keys]
    return payload.loads_call(frames, inputs)


def split(*args: Any, **kwargs: Any) -> tuple[list[str], list[str]]:
    """Keys of dependencies and of pins."""
    _, dependencies, pins = payload.dumps_call(args, kwargs, "a test")
    return [future.key for future in dependencies], [future.key for future in pins]


@given(
    st.lists(st.integers() | st.text() | st.lists(st.integers())).map(tuple), st.dictionaries(st.text(), st.integers())
)
def test_plain_arguments_survive(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    frames, dependencies, pins = payload.dumps_call(args, kwargs, "a test")
    assert payload.loads_call(frames, ()) == (args, kwargs)
    assert (dependencies, pins) == ([], [])


def test_a_future_as_an_argument_arrives_as_its_value() -> None:
    assert delivered((FakeFuture("a"), 2), k=FakeFuture("b")) == (("A", 2), {"k": "B"})


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ([FakeFuture("a")], ["A"]),
        ((FakeFuture("a"), 1), ("A", 1)),
        ({FakeFuture("a")}, {"A"}),
        (frozenset({FakeFuture("a")}), frozenset({"A"})),
        ({"k": FakeFuture("a")}, {"k": "A"}),
        ({FakeFuture("a"): 1}, {"A": 1}),
        ({FakeFuture("a"): FakeFuture("a")}, {"A": "A"}),
        ({(1, FakeFuture("a")): [2]}, {(1, "A"): [2]}),
        ([{"k": ({frozenset({FakeFuture("a")}): [FakeFuture("b")]},)}], [{"k": ({frozenset({"A"}): ["B"]},)}]),
        ([[1, 2], [FakeFuture("a")]], [[1, 2], ["A"]]),
        ([FakeFuture("a"), FakeFuture("b"), FakeFuture("a")], ["A", "B", "A"]),
    ],
    ids=str,
)
def test_futures_in_containers_arrive_as_values(argument: Any, expected: Any) -> None:
    ((found,), _) = delivered((argument,))
    assert found == expected
    assert type(found) is type(expected)


def test_the_callers_containers_stay_as_they_are() -> None:
    future = FakeFuture("a")
    argument = [future, {"k": future}, {future}]
    payload.dumps_call((argument,), {}, "a test")
    assert argument == [future, {"k": future}, {future}]


def test_equal_keys_share_one_dependency_in_order_of_appearance() -> None:
    again = FakeFuture("a")
    assert split([FakeFuture("b"), FakeFuture("a")], again, k=FakeFuture("c")) == (["b", "a", "c"], [])


def test_a_value_used_twice_is_one_object() -> None:
    ((first, inner), _) = delivered((FakeFuture("a"), [FakeFuture("a")]), values={"a": [1]})
    assert first is inner[0]


def test_futures_elsewhere_arrive_as_futures_and_are_pinned() -> None:
    future = FakeFuture("a")
    for argument in (Holder(f=future), Pair(future, 1), [Holder(inner=[future])], np.array([future], dtype=object)):
        assert split(argument) == ([], ["a"])
    ((holder,), _) = delivered((Holder(f=future),))
    assert isinstance(holder.f, FakeFuture)
    assert holder.f.key == "a"


def test_futures_in_closures_are_pinned() -> None:
    future = FakeFuture("a")
    assert split(lambda: future) == ([], ["a"])


def test_one_future_may_be_in_both_positions() -> None:
    future = FakeFuture("a")
    assert split(future, Holder(f=future)) == (["a"], ["a"])
    ((value, holder), _) = delivered((future, Holder(f=future)))
    assert value == "A"
    assert isinstance(holder.f, FakeFuture)


def test_cycles_keep_their_shape() -> None:
    knot: list[Any] = [FakeFuture("a")]
    knot.append({"back": (knot,)})
    ((found,), _) = delivered((knot,))
    assert found[0] == "A"
    assert found[1]["back"][0] is found


def test_a_cycle_through_a_tuple_keeps_its_shape() -> None:
    inner: list[Any] = []
    knot = (inner, FakeFuture("a"))
    inner.append(knot)
    ((found,), _) = delivered((knot,))
    assert found[1] == "A"
    assert found[0][0] is found


def test_a_cycle_without_futures_survives() -> None:
    knot: dict[str, Any] = {}
    knot["self"] = knot
    ((found,), _) = delivered((knot,))
    assert found["self"] is found


def test_shared_containers_stay_shared() -> None:
    shared = [FakeFuture("a")]
    plain = [1]
    ((one, other, first, second), _) = delivered((shared, [shared], plain, {"k": plain}))
    assert one is other[0]
    assert first is second["k"]


def test_a_container_shared_ten_thousand_times_is_walked_once() -> None:
    value: Any = [FakeFuture("a")]
    for _ in range(60):
        value = [value, value]
    ((found,), _) = delivered((value,))
    for _ in range(60):
        assert found[0] is found[1]
        found = found[0]
    assert found == ["A"]


argument_parts = st.integers() | st.text() | st.sampled_from("abc").map(FakeFuture)
arguments = st.recursive(
    argument_parts,
    lambda inner: (
        st.lists(inner, max_size=5) | st.lists(inner, max_size=5).map(tuple) | st.dictionaries(st.text(), inner)
    ),
    max_leaves=20,
)


def resolved(part: Any) -> Any:
    """What should arrive."""
    if isinstance(part, FakeFuture):
        return part.key.upper()
    if isinstance(part, dict):
        return {key: resolved(value) for key, value in part.items()}
    return type(part)(map(resolved, part)) if isinstance(part, list | tuple) else part


@given(st.lists(arguments, max_size=4).map(tuple), st.dictionaries(st.text(), arguments, max_size=3))
def test_arguments_arrive_with_their_values_in_place(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert delivered(args, **kwargs) == resolved((args, kwargs))


def test_a_list_of_futures_that_is_two_arguments_arrives_as_one_list() -> None:
    shared = [FakeFuture("a"), 1]
    ((one, other), named) = delivered((shared, shared), k=shared)
    assert one == ["A", 1]
    assert one is other is named["k"]


@pytest.mark.parametrize("make", [lambda x: [x, x], lambda x: (x, x), lambda x: {"a": x, "b": x}], ids=str)
def test_a_plain_container_shared_many_times_is_not_walked_each_time(make: Any) -> None:
    value: Any = ["leaf"]
    for _ in range(60):
        value = make(value)
    ((found,), _) = delivered((value,))
    assert payload.nbytes(payload.dumps_call((value,), {}, "a test")[0]) < 2000
    assert type(found) is type(value)


@given(
    st.recursive(
        st.integers() | st.text() | st.just(FakeFuture("a")) | st.just(Holder(x=1)),
        lambda inner: (
            st.lists(inner, max_size=60) | st.lists(inner).map(tuple) | st.dictionaries(st.tuples(st.text()), inner)
        ),
    )
)
def test_what_is_plain_holds_nothing_but_builtin_values(value: Any) -> None:
    def odd(part: Any) -> bool:
        if isinstance(part, dict):
            return any(map(odd, part.values()))
        return any(map(odd, part)) if isinstance(part, list | tuple) else type(part) not in futures.SCALARS

    assert not (futures.plain(value) and odd(value))
    assert futures.plain(value) or odd(value) or len(repr(value)) > 100


def test_a_deep_container_is_walked_or_refused() -> None:
    value: Any = FakeFuture("a")
    for _ in range(200):
        value = [value]
    ((found,), _) = delivered((value,))
    for _ in range(200):
        (found,) = found
    assert found == "A"
    for _ in range(100_000):
        value = [value]
    with pytest.raises(SerializationError, match="the arguments of deep"):
        payload.dumps_call((value,), {}, "deep")
    while isinstance(value, list):
        value = value.pop()


def test_an_unhashable_value_in_a_set_is_an_error_of_the_call() -> None:
    frames, _, _ = payload.dumps_call(({FakeFuture("a")},), {}, "a test")
    with pytest.raises(
        SerializationError, match="the arguments of the sum cannot be unpickled here: TypeError: unhashable"
    ):
        payload.loads_call(frames, [[1]], "the sum")


@pytest.mark.parametrize("argument", [FakeFuture("a"), (FakeFuture("a"), 1), [FakeFuture("a")]], ids=str)
def test_arguments_with_futures_unpickle_only_in_a_task(argument: Any) -> None:
    frames, _, _ = payload.dumps_call((argument,), {}, "a test")
    with pytest.raises(SerializationError, match="outside a task"):
        payload.loads_call(frames, ())


def test_loading_nests_and_knows_its_thread() -> None:
    """An argument may itself load a call while it is unpickled; other threads see none of it."""
    inner, _, _ = payload.dumps_call((FakeFuture("a"),), {}, "inner")
    outer, _, _ = payload.dumps_call((Reloading(inner), FakeFuture("b")), {}, "outer")
    (args, _) = payload.loads_call(outer, ["outer value"])
    assert args == ((("inner value",), {}), "outer value")
    failures: list[BaseException] = []
    frames, _, _ = payload.dumps_call((Probing(), FakeFuture("b")), {}, "probing")
    Probing.found = failures
    payload.loads_call(frames, [1])
    assert [type(failure) for failure in failures] == [SerializationError]


class Reloading:
    def __init__(self, frames: Any) -> None:
        self.frames = frames

    def __reduce__(self) -> Any:
        return payload.loads_call, (self.frames, ["inner value"])


class Probing:
    found: list[BaseException]

    def __reduce__(self) -> Any:
        return probe, ()


def probe() -> None:
    """Try to see the outer call's inputs from another thread."""
    frames, _, _ = payload.dumps_call((FakeFuture("a"),), {}, "probe")

    def attempt() -> None:
        try:
            payload.loads_call(frames, ())
        except SerializationError as error:
            Probing.found.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()


def test_arguments_are_taken_as_they_are_at_the_call() -> None:
    array = np.zeros(pickling.ATTACH_BYTES)
    frames, _, _ = payload.dumps_call((array, [array]), {}, "a test")
    array[:] = 1
    (args, _) = payload.loads_call(frames, ())
    assert not args[0].any()


def test_a_task_that_runs_twice_gets_the_same_arguments_twice() -> None:
    frames, _, _ = payload.dumps_call((np.zeros(pickling.ATTACH_BYTES), [1]), {}, "a test")
    (args, _) = payload.loads_call(frames, ())
    args[0][:] = 1
    args[1].append(2)
    (args, _) = payload.loads_call(frames, ())
    assert not args[0].any()
    assert args[1] == [1]


def test_an_argument_that_cannot_be_pickled_is_named() -> None:
    with pytest.raises(SerializationError, match=r"the arguments of inc-1.*\[1\]\['lock'\] is a _thread.lock"):
        payload.dumps_call((1,), {"lock": threading.Lock()}, "inc-1")


def test_a_function_call_travels_in_one_piece() -> None:
    frames = payload.dumps_function_call(lambda x, y: x + y, (1,), {"y": 2})
    fn, args, kwargs = payload.loads_function_call(frames)
    assert fn(*args, **kwargs) == 3
