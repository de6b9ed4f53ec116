"""Keys: equal for equal calls in every process, different for different ones."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import functools
import itertools
import json
import math
import operator
import os
import pathlib
import re
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsched.wire import keys, payload, tokens
from tests.wire import elsewhere
from tests.wire.futures import FakeFuture, Holder

FN = b"function"


@dataclass
class Point:
    x: Any
    y: Any = None


@dataclass(frozen=True)
class Frozen:
    names: frozenset[str] = field(default_factory=frozenset)


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a: Any, b: Any) -> None:
        self.a, self.b = a, b


class Node:
    def __init__(self, name: str, parent: Node | None = None) -> None:
        self.name = name
        self.parent = parent
        self.children: list[Node] = []
        if parent is not None:
            parent.children.append(self)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Money(float):
    pass


Pair = collections.namedtuple("Pair", "left right")


def module_function() -> None: ...


def other_function() -> None: ...


def key(*args: Any, **kwargs: Any) -> str:
    return keys.task_key("f", FN, args, kwargs)


def tree() -> Node:
    root = Node("root")
    Node("leaf", Node("inner", root))
    return root


def ring() -> list[Any]:
    made: list[Any] = ["a", {"b", "c"}]
    made.append({"x": made, "y": (1, made)})
    return made


# Each makes a value; two calls make equal values that share nothing, and no two of them make equal ones.
MAKERS: dict[str, Any] = {
    "one": lambda: 1,
    "true": lambda: True,
    "one point": lambda: 1.0,
    "one complex": lambda: 1 + 0j,
    "one as text": lambda: "1",
    "one as bytes": lambda: b"1",
    "one as bytearray": lambda: bytearray(b"1"),
    "one as a decimal": lambda: decimal.Decimal(1),
    "one of numpy": lambda: np.int64(1),
    "one of numpy, 32 bits": lambda: np.int32(1),
    "one point of numpy": lambda: np.float64(1),
    "one of a subclass": lambda: Money(1),
    "true of numpy": lambda: np.True_,
    "zero": lambda: 0,
    "zero point": lambda: 0.0,
    "minus zero point": lambda: -0.0,
    "false": lambda: False,
    "none": lambda: None,
    "none as text": lambda: "None",
    "ellipsis": lambda: ...,
    "nan": lambda: math.nan,
    "large": lambda: 2**200,
    "negative": lambda: -(2**200),
    "surrogate": lambda: "\ud800",
    "list": lambda: [1, 2],
    "tuple": lambda: (1, 2),
    "pair": lambda: Pair(1, 2),
    "set": lambda: {1, 2},
    "frozenset": lambda: frozenset({1, 2}),
    "list of true": lambda: [True, 2],
    "list in list": lambda: [[1, 2]],
    "list around": lambda: [1, [2]],
    "list of empties": lambda: [[], []],
    "list of one empty": lambda: [[]],
    "empty list": list,
    "empty tuple": tuple,
    "empty dict": dict,
    "empty set": set,
    "empty frozenset": frozenset,
    "empty text": str,
    "dict": lambda: {"a": 1, "b": 2},
    "dict the other way": lambda: {"a": 2, "b": 1},
    "dict of pairs": lambda: [("a", 1), ("b", 2)],
    "ordered dict": lambda: collections.OrderedDict(a=1, b=2),
    "ordered dict, other order": lambda: collections.OrderedDict(b=2, a=1),
    "default dict": lambda: collections.defaultdict(int, a=1, b=2),
    "counter": lambda: collections.Counter("abbccc"),
    "texts": lambda: {f"text {index}" for index in range(50)},
    "dict of sets": lambda: {index: {str(index), "x", "y"} for index in range(10)},
    "mixed set": lambda: {1, "a", None, (2, "b"), frozenset({"c", "d"})},
    "tuple keys": lambda: {("a", 1): {"x"}, ("b", 2): {"y"}},
    "point": lambda: Point(1, [2]),
    "another point": lambda: Point(1, [3]),
    "frozen": lambda: Frozen(frozenset({"a", "b", "c"})),
    "slots": lambda: Slots(1, {"a", "b"}),
    "holder": lambda: Holder(a=1, b=2),
    "another holder": lambda: Holder(a=2, b=1),
    "red": lambda: Colour.RED,
    "blue": lambda: Colour.BLUE,
    "path": lambda: pathlib.PurePosixPath("/a/b"),
    "date": lambda: datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
    "uuid": lambda: uuid.UUID(int=5),
    "pattern": lambda: re.compile("a+"),
    "range": lambda: range(3),
    "slice": lambda: slice(1, 2),
    "function": lambda: module_function,
    "other function": lambda: other_function,
    "builtin": lambda: len,
    "class": lambda: Point,
    "type": lambda: int,
    "module": lambda: math,
    "partial": lambda: functools.partial(module_function, 1, k={"a", "b"}),
    "another partial": lambda: functools.partial(module_function, 2),
    "method": lambda: Point(1).__eq__,
    "bound builtin": lambda: [1].append,
    "itemgetter": lambda: operator.itemgetter(1),
    "array": lambda: np.arange(6),
    "array of shape": lambda: np.arange(6).reshape(2, 3),
    "array of another shape": lambda: np.arange(6).reshape(3, 2),
    "array of floats": lambda: np.arange(6.0),
    "array of 32 bits": lambda: np.arange(6, dtype=np.int32),
    "array of another order of bytes": lambda: np.arange(6, dtype=">i8"),
    "array of the same bytes": lambda: np.arange(6).view(np.uint64),
    "array of one": lambda: np.array([1]),
    "array without dimensions": lambda: np.array(1),
    "empty array": lambda: np.zeros(0),
    "empty array of shape": lambda: np.zeros((0, 3)),
    "empty array of texts": lambda: np.array([], dtype="<U0"),
    "array of texts": lambda: np.array(["a", "bc"]),
    "array of objects": lambda: np.array([{"a": {"x", "y"}}, None], dtype=object),
    "array of lists": lambda: np.array([[1], [2, 3], None], dtype=object),
    "array of dates": lambda: np.array(["2024-01-01"], dtype="M8[D]"),
    "array of seconds": lambda: np.array(["2024-01-01"], dtype="M8[s]"),
    "structured array": lambda: np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "structured array, other names": lambda: np.zeros(2, dtype=[("a", "i4"), ("c", "f8")]),
    "masked array": lambda: np.ma.masked_array([1, 2], mask=[0, 1], fill_value=5),
    "dtype": lambda: np.dtype("f8"),
    "ufunc": lambda: np.sin,
    "large array": lambda: np.arange(100_000),
    "future": lambda: FakeFuture("a"),
    "another future": lambda: FakeFuture("b"),
    "future in a list": lambda: [FakeFuture("a")],
    "future in an object": lambda: Holder(f=FakeFuture("a")),
    "tree with parents": tree,
    "ring": ring,
    "error": lambda: ValueError("x"),
}


def all_keys() -> dict[str, str]:
    found = {name: key(make()) for name, make in MAKERS.items()}
    found |= {f"{name} by name": key(value=make()) for name, make in MAKERS.items()}
    found |= {f"{name} as data": keys.data_key("f", make()) for name, make in MAKERS.items()}
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_equal_values_have_equal_keys(name: str) -> None:
    make = MAKERS[name]
    assert key(make(), 1) == key(make(), 1)
    assert key(k=make()) == key(k=make())
    assert keys.data_key("f", make()) == keys.data_key("f", make())


def test_different_values_have_different_keys() -> None:
    found = [key(make()) for make in MAKERS.values()]
    assert len(set(found)) == len(MAKERS)
    assert len({key({"in": [make()]}) for make in MAKERS.values()} | set(found)) == 2 * len(MAKERS)


@pytest.mark.parametrize("name", [name for name in MAKERS if "future" not in name])
def test_a_value_that_travelled_keeps_its_key(name: str) -> None:
    """What a nested call computes from its arguments is what the client computed."""
    value = MAKERS[name]()
    assert key(payload.loads(payload.dumps(value).frames)) == key(value)


@pytest.mark.parametrize("hash_seed", [1, 2, 3])
def test_keys_do_not_depend_on_the_process(hash_seed: int) -> None:
    program = "import json; from tests.wire.test_keys import all_keys; print(json.dumps(all_keys()))"
    assert json.loads(elsewhere.run(["-c", program], hash_seed=hash_seed)) == all_keys()


# -- the call ---------------------------------------------------------------------------------------------------------


def test_a_key_is_the_name_and_32_digits() -> None:
    assert re.fullmatch(r"inc-[0-9a-f]{32}", keys.task_key("inc", FN, (1,), {}))
    assert re.fullmatch(r"inc-[0-9a-f]{32}", keys.unique_key("inc"))
    assert re.fullmatch(r"int-[0-9a-f]{32}", keys.data_key("int", 1))


def test_the_function_counts_and_its_name_only_as_a_prefix() -> None:
    assert keys.task_key("f", FN, (1,), {}) != keys.task_key("f", b"another.", (1,), {})
    assert keys.task_key("f", FN, (1,), {})[2:] == keys.task_key("g", FN, (1,), {})[2:]


def test_positional_and_named_arguments_differ() -> None:
    calls = [
        key(), key(1), key(1, 2), key((1, 2)), key([1, 2]), key(a=1), key(1, a=1), key({"a": 1}), key(1, {"a": 1}),
        key(a=1, b=2), key(a=2, b=1), key((1,), 2), key((1, 2), {}), key("ab"), key("a", "b"), key(b"ab"), key((), {}),
    ]  # fmt: skip
    assert len(set(calls)) == len(calls)


def test_the_order_of_named_arguments_does_not_matter() -> None:
    assert key(a=1, b=[2]) == key(b=[2], a=1)


def test_the_order_in_which_a_dict_was_filled_does_not_matter() -> None:
    assert key({"a": [1], "b": [2]}) == key({"b": [2], "a": [1]})
    assert key({(1, 2): 3, "x": 4}) == key({"x": 4, (1, 2): 3})


def test_sharing_does_not_matter() -> None:
    shared = [1, "x"]
    assert key([shared, shared]) == key([[1, "x"], [1, "x"]])
    assert key(Point(shared, shared)) == key(Point([1, "x"], [1, "x"]))
    text = "".join(["a", "b"])
    assert key(["ab", text], Point(text, "ab")) == key(["ab", "ab"], Point("ab", "ab"))


def test_a_deeply_shared_value_takes_linear_time() -> None:
    value: Any = ["leaf"]
    for _ in range(100):
        value = [value, value]
    assert key(value) == key([value[0], value[1]])


def test_a_dense_cyclic_value_takes_linear_time() -> None:
    nodes = [Node(str(index)) for index in range(100)]
    for node in nodes:
        node.children = list(nodes)
    assert key(nodes) == key(nodes)


def test_cycles_of_different_values_differ() -> None:
    one, other = ring(), ring()
    other[0] = "b"
    assert key(one) != key(other)


def test_the_memory_layout_of_an_array_does_not_matter() -> None:
    array = np.arange(24).reshape(4, 6)
    expected = key(array)
    assert key(np.asfortranarray(array)) == expected
    wide = np.zeros((8, 12), dtype=array.dtype)
    wide[::2, ::2] = array
    assert key(wide[::2, ::2]) == expected
    assert key(array[::-1][::-1]) == expected
    reader = array.copy()
    reader.setflags(write=False)
    assert key(reader) == expected
    assert key(array.T) != expected
    changed = array.copy()
    changed[3, 5] += 1
    assert key(changed) != expected


def test_what_is_made_on_the_way_is_not_taken_for_something_else() -> None:
    """A shape is a new tuple each time; the next one may come to lie in the same place."""
    shapes = [(2, 3), (3, 2), (6, 1), (1, 6), (6,)]
    calls = list(itertools.product(shapes, repeat=3))
    assert len({key([np.zeros(shape) for shape in call]) for call in calls}) == len(calls)


def test_tokens_of_different_kinds_are_not_taken_for_each_other() -> None:
    """Side by side in one container, where only their first bytes tell them apart."""
    values = [
        FakeFuture("a"),
        module_function,
        other_function,
        math,
        bytearray(b"a"),
        [],
        [1],
        {},
        {1},
        Point(1),
        np.zeros(1),
    ]
    scalars = [None, False, True, 0, 1, "a", "", b"a", 1.5, 1j, 2**70]
    calls = list(itertools.product(values, values)) + list(itertools.product(scalars, values))
    calls += [(one, two, three) for one in scalars for two in scalars for three in values]
    assert len({key(list(call)) for call in calls}) == len(calls)


def test_futures_count_by_their_keys() -> None:
    assert key(FakeFuture("a")) == key(FakeFuture("a"))
    assert key(FakeFuture("a")) != key("a")
    noted: list[Any] = []
    with payload.collecting(noted):
        key(Holder(f=FakeFuture("a")), FakeFuture("b"))
    assert noted == []


def test_a_future_is_taken_for_nothing_else() -> None:
    future = FakeFuture("a")
    parts = [
        future,
        FakeFuture("b"),
        "a",
        ("a",),
        [future],
        (future,),
        [future, 1],
        [[future]],
        {"a": future},
        {future},
    ]
    parts += [["a"], [("a",)], ((future,),), (..., "a"), [..., "a"], {"a": "a"}, {"a"}, (future, future)]
    calls = [key(part) for part in parts] + [key(part, FakeFuture("c")) for part in parts]
    calls += [key(k=part) for part in parts] + [key(FakeFuture("c"), k=part) for part in parts]
    assert len(set(calls)) == 4 * len(parts)
    assert key([FakeFuture("a"), 1], k=(FakeFuture("b"),)) == key([FakeFuture("a"), 1], k=(FakeFuture("b"),))


def test_what_has_no_value_gets_a_key_of_its_own() -> None:
    for value in (threading.Lock(), (x for x in ()), [threading.Lock()], memoryview(b"x")):
        found = {key(value), key(value), keys.data_key("f", value), keys.data_key("f", value)}
        assert len(found) == 4
        assert all(re.fullmatch(r"f-[0-9a-f]{32}", one) for one in found)


def test_an_argument_whose_own_code_raises_gets_a_key_of_its_own() -> None:
    class Awkward:
        def __reduce_ex__(self, protocol: Any) -> Any:
            raise ZeroDivisionError

    assert key(Awkward()) != key(Awkward())


def test_a_value_may_be_deep() -> None:
    one: Any = ["x"]
    other: Any = ["x"]
    for _ in range(10_000):
        one, other = [one], [other]
    assert key(one) == key(other)
    assert key(one) != key(one[0])
    while one and isinstance(one[0], list):  # or the interpreter takes them apart recursively
        one, other = one.pop(), other.pop()


def test_an_interrupt_is_not_swallowed() -> None:
    class Interrupting:
        def __reduce_ex__(self, protocol: Any) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        key(Interrupting())


def test_classes_may_say_how_they_are_hashed_as_in_dask() -> None:
    class Table:
        def __init__(self, name: str) -> None:
            self.name = name
            self.lock = threading.Lock()

        def __dask_tokenize__(self) -> Any:
            return ("table", self.name)

    assert key(Table("a")) == key(Table("a"))
    assert key(Table("a")) != key(Table("b"))


def test_lambdas_count_by_what_they_do_in_this_process() -> None:
    def make(x: int) -> Any:
        return lambda: x

    one = make(1)
    assert key(one) == key(one)
    assert key(make(1)) != key(make(2))


def test_a_function_that_arrived_counts_by_the_id_under_which_it_arrived() -> None:
    def local() -> None: ...

    here, there = payload.FunctionTable(), payload.functions
    fn_id, frames = here.pickle_function(local)
    expected = key(local)
    arrived = there.load(fn_id, frames)
    assert arrived is not local
    assert key(arrived) == expected


def test_unique_keys_are_unique() -> None:
    assert len({keys.unique_key("f") for _ in range(1000)}) == 1000


def test_a_forked_process_draws_other_unique_keys() -> None:
    """Although they are drawn many at a time."""
    keys.unique_key("f")
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writer, "".join(keys.unique_key("f") for _ in range(300)).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    childs = os.read(reader, 1 << 16).decode()
    os.close(reader)
    os.close(writer)
    assert len(childs) == 300 * len("f-") + 300 * 32
    assert not [key for key in (keys.unique_key("f") for _ in range(300)) if key in childs]


# -- tokens -----------------------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
values = st.recursive(
    hashable,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
        | st.builds(Point, inner, inner)
    ),
    max_leaves=10,
)


def written(value: Any) -> Any:
    """A value as nested tuples of types and reprs that compare as we want keys to: an oracle."""
    kind = type(value).__name__
    if isinstance(value, (list, tuple)):
        return (kind, *map(written, value))
    if isinstance(value, (set, frozenset)):
        return kind, frozenset(map(written, value))
    if isinstance(value, dict):
        return kind, frozenset((written(one), written(other)) for one, other in value.items())
    if isinstance(value, Point):
        return kind, written(value.x), written(value.y)
    return kind, repr(value)


@given(values, values)
def test_tokens_are_equal_exactly_for_equal_values(one: Any, other: Any) -> None:
    assert (tokens.token(one) == tokens.token(other)) == (written(one) == written(other))


@given(values)
def test_tokens_survive_a_journey(value: Any) -> None:
    assert tokens.token(payload.loads(payload.dumps(value).frames)) == tokens.token(value)


@given(values, values)
def test_keys_are_equal_exactly_for_equal_values(one: Any, other: Any) -> None:
    equal = written(one) == written(other)
    assert (key(one) == key(other)) == equal
    assert (key(value=one) == key(value=other)) == equal
    assert (key([1], value=one) == key([1], value=other)) == equal


@given(values, st.randoms(use_true_random=False))
def test_neither_sharing_nor_order_nor_a_journey_counts(value: Any, random: Any) -> None:
    def again(part: Any) -> Any:
        """Equal, made anew, in another order where order does not count."""
        if isinstance(part, dict):
            pairs = [(again(one), again(other)) for one, other in part.items()]
            random.shuffle(pairs)
            return dict(pairs)
        if isinstance(part, set | frozenset):
            return type(part)(random.sample([again(element) for element in part], len(part)))
        if isinstance(part, list | tuple):
            return type(part)([again(element) for element in part])
        return part

    assert key(again(value), again(value)) == key(value, value)
    assert key(payload.loads(payload.dumps(value).frames), k=value) == key(value, k=again(value))


def test_large_values_have_equal_keys_too() -> None:
    """There the long way is taken."""
    one = {str(index): [index, {index}] for index in range(1000)}
    other = {str(index): [index, {index}] for index in reversed(range(1000))}
    assert key(one) == key(other) != key(one | {"1": [1, {2}]})


@given(st.lists(scalars, max_size=3).map(tuple), st.lists(scalars, max_size=3).map(tuple))
def test_the_fast_path_tells_calls_apart(one: Any, other: Any) -> None:
    assert (key(*one) == key(*other)) == (written(one) == written(other))


# -- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (len, "len"),
        (lambda: 1, "lambda"),
        (functools.partial(functools.partial(pow, 2), 3), "pow"),
        (operator.methodcaller("upper"), "upper"),
        (operator.itemgetter(1), "itemgetter"),
        (Point, "Point"),
        (Point(1).__eq__, "__eq__"),
        (np.sin, "sin"),
        (functools.wraps(len)(lambda x: x), "len"),
        (type("A" * 80, (), {}), "A" * 50),
        (itertools.count, "count"),
    ],
    ids=str,
)
def test_functions_are_called_what_dask_calls_them(fn: Any, name: str) -> None:
    assert keys.function_name(fn) == name
