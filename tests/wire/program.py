"""A user's program, run by test_payload_main: what it defines lives in ``__main__``, which no other process has."""

from __future__ import annotations

import enum
import functools
import gc
import sys
import typing
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsched.wire import keys, payload
from tests.wire import elsewhere

FACTOR = 3
calls = 0


def triple(x: int) -> int:
    return FACTOR * x


def fib(n: int) -> int:
    return n if n < 2 else fib(n - 1) + fib(n - 2)


class Base:
    def value(self) -> int:
        global calls
        calls += 1
        return 1


class Derived(Base):
    shared: typing.ClassVar = []

    def __init__(self, inner: Any = None) -> None:
        self.inner = inner

    def value(self) -> int:
        return super().value() + FACTOR

    @classmethod
    def make(cls) -> Derived:
        return cls()


@dataclass
class Point:
    x: int
    y: Any = None


class Colour(enum.Enum):
    RED = 1


class Pair(typing.NamedTuple):
    left: int
    right: int


class Failure(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def fail(code: int) -> None:
    raise Failure(code, "on purpose")


def functions_work_elsewhere() -> None:
    assert elsewhere.call(triple, 2) == 6
    assert elsewhere.call(fib, 10) == 55
    assert elsewhere.call(functools.partial(triple), 3) == 9
    assert elsewhere.call(Derived.make).value() == 4
    assert elsewhere.call(lambda point: point.x + Point(1).x, Point(2)) == 3


def classes_come_back_as_themselves() -> None:
    found = elsewhere.call(Derived, [Derived(Point(1, Colour.RED)), Pair(1, 2), np.zeros(3)])
    assert type(found) is Derived
    assert type(found.inner[0]) is Derived
    assert found.inner[0].inner == Point(1, Colour.RED)
    assert found.inner[0].inner.y is Colour.RED
    assert type(found.inner[1]) is Pair
    assert elsewhere.call(lambda value: type(value), Colour.RED) is Colour


def classes_are_left_alone_by_what_comes_back() -> None:
    """Their methods still see this module's globals."""
    global calls
    method = Derived.value
    found = elsewhere.call(Derived)
    assert Derived.value is method
    calls = 0
    assert found.value() == 4
    assert calls == 1


def a_class_that_changed_is_sent_as_it_is_now() -> None:
    frames, _, _ = payload.dumps_call((Derived(),), {}, "before")
    Derived.extra = 5
    try:
        assert elsewhere.call(lambda value: value.extra, Derived()) == 5
        assert payload.nbytes(payload.dumps_call((Derived(),), {}, "after")[0]) > payload.nbytes(frames)
    finally:
        del Derived.extra


def exceptions_come_back_as_themselves() -> None:
    try:
        elsewhere.call(fail, 7)
    except Failure as error:
        assert (error.code, str(error)) == (7, "on purpose")
        names = []
        trace = error.__traceback__
        while trace is not None:
            names.append(trace.tb_frame.f_code.co_name)
            trace = trace.tb_next
        assert names[-1] == "fail", names
    else:
        raise AssertionError


def a_function_is_kept_while_nothing_changes() -> None:
    global FACTOR
    first, frames = payload.functions.pickle_function(triple)
    assert payload.functions.pickle_function(triple)[1] is frames
    elsewhere.call(Derived)
    assert payload.functions.pickle_function(triple)[1] is frames
    FACTOR = 4
    try:
        assert payload.functions.pickle_function(triple)[0] != first
        assert elsewhere.call(triple, 2) == 8
    finally:
        FACTOR = 3
    assert payload.functions.pickle_function(triple)[0] == first


def a_function_that_makes_instances_keeps_its_id_when_they_come_back() -> None:
    def make() -> Derived:
        return Derived()

    before = payload.functions.pickle_function(make)
    elsewhere.call(make)
    assert payload.functions.pickle_function(make) is not None
    assert payload.functions.pickle_function(make)[0] == before[0]


def keys_of_instances_are_the_same_each_time() -> None:
    make = functools.partial(keys.task_key, "f", b"12345678", kwargs={})
    assert make((Point(1),)) == make((Point(1),))
    assert make((Point(1),)) != make((Point(2),))
    assert make((triple, Colour.RED, Pair(1, 2))) == make((triple, Colour.RED, Pair(1, 2)))
    before = make((Derived(),))
    elsewhere.call(Derived)
    assert make((Derived(),)) == before


def nothing_is_kept_alive() -> None:
    known = len(payload.functions)

    def local() -> None: ...

    payload.functions.pickle_function(local)
    del local
    gc.collect()
    assert len(payload.functions) == known


CHECKS = [
    functions_work_elsewhere,
    classes_come_back_as_themselves,
    classes_are_left_alone_by_what_comes_back,
    a_class_that_changed_is_sent_as_it_is_now,
    exceptions_come_back_as_themselves,
    a_function_is_kept_while_nothing_changes,
    a_function_that_makes_instances_keeps_its_id_when_they_come_back,
    keys_of_instances_are_the_same_each_time,
    nothing_is_kept_alive,
]

if __name__ == "__main__":
    next(check for check in CHECKS if check.__name__ == sys.argv[1])()
    print("done")
