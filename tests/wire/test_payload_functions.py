"""Functions: one identity each, pickled once, and anew when something that they take along has changed."""

from __future__ import annotations

import enum
import functools
import gc
import operator
import re
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

import pytest

from fastsched.errors import SerializationError
from fastsched.wire import payload
from fastsched.wire.payload import FunctionTable, table
from tests.wire import elsewhere
from tests.wire.futures import FakeFuture


def module_function(x: int) -> int:
    return x + 1


class ModuleClass:
    class Inner:
        pass

    def method(self) -> None: ...


@pytest.fixture
def pickles(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was really pickled."""
    seen: list[Any] = []
    pickled = table.pickled

    def counting(obj: Any, what: str) -> Any:
        seen.append(obj)
        return pickled(obj, what)

    monkeypatch.setattr(table, "pickled", counting)
    return seen


def by_value(source: str, **names: Any) -> Callable[..., Any]:
    """A function as a notebook defines it: `f`, with globals of its own in a module that nobody can import."""
    module = types.ModuleType("a_notebook")
    module.__dict__.update(names)
    exec(source, module.__dict__)
    fn: Callable[..., Any] = module.__dict__["f"]
    return fn


# -- identity ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fn",
    [module_function, len, ModuleClass, ModuleClass.Inner, ModuleClass.method, int, lambda: 1],
    ids=lambda fn: fn.__name__,
)
def test_a_function_is_pickled_once(fn: Any, pickles: list[Any]) -> None:
    known = FunctionTable()
    first = known.pickle_function(fn)
    assert known.pickle_function(fn) == first
    assert len(pickles) == 1
    assert len(first[0]) == 8


def test_ids_follow_the_content() -> None:
    one, other = FunctionTable(), FunctionTable()
    assert one.pickle_function(module_function) == other.pickle_function(module_function)
    assert one.pickle_function(module_function)[0] != one.pickle_function(len)[0]
    assert one.pickle_function(lambda: 1)[0] != one.pickle_function(lambda: 2)[0]


@pytest.mark.parametrize(
    "fn",
    [functools.partial(pow, 2), operator.itemgetter(1), [].append, ModuleClass().method, "abc".upper],
    ids=["partial", "callable object", "bound builtin", "bound method", "method of a constant"],
)
def test_callable_values_are_pickled_each_time(fn: Any, pickles: list[Any]) -> None:
    known = FunctionTable()
    known.pickle_function(fn)
    known.pickle_function(fn)
    assert len(pickles) == 2
    assert len(known) == 0


def test_a_bound_methods_object_counts() -> None:
    known = FunctionTable()
    items: list[int] = []
    first = known.pickle_function(items.append)[0]
    items.append(1)
    assert known.pickle_function(items.append)[0] != first


def test_a_forgotten_function_leaves_nothing_behind() -> None:
    known = FunctionTable()

    def local() -> None: ...

    known.pickle_function(local)
    assert len(known) == 1
    del local
    gc.collect()
    assert len(known) == 0


@pytest.mark.parametrize(
    "source",
    [
        "def f(n): return f(n)",
        "def g(): return f\ndef f(): return g",
        "class C:\n  def m(self): return f\ndef f(): return C().m",
        "def outer():\n  def inner(n): return inner\n  return inner\nf = outer()",
        "def f(): return f.me\nf.me = f",
        "def f(n=print): return f, C\nclass C:\n  x = 1\n  p = property(lambda self: f)",
    ],
    ids=["itself by name", "each other", "through a class", "in a closure", "as an attribute", "by a property"],
)
def test_a_function_that_holds_itself_leaves_nothing_behind_either(source: str) -> None:
    known = FunctionTable()
    fn = by_value(source)
    known.pickle_function(fn)
    known.pickle_function(fn)
    assert len(known) == 1
    del fn
    gc.collect()
    assert len(known) == 0


def test_a_function_that_cannot_be_pickled_is_named() -> None:
    lock = threading.Lock()

    def guarded() -> Any:
        return lock

    with pytest.raises(SerializationError, match=r"the function .*guarded.*<closure lock> is a _thread.lock"):
        FunctionTable().pickle_function(guarded)
    with pytest.raises(SerializationError, match=r"the function partial.*"):
        FunctionTable().pickle_function(functools.partial(print, lock))


def test_what_is_no_function_any_more_is_a_serialization_error() -> None:
    with pytest.raises(SerializationError, match="the function cannot be unpickled here"):
        payload.load_function((b"cno_such_module\nf\n.",))


# -- changes ----------------------------------------------------------------------------------------------------------


def assert_seen(
    fn: Callable[..., Any], change: Callable[[], None], pickles: list[Any], before: Any, after: Any
) -> None:
    """Kept while nothing changes, pickled anew after the change, kept again."""
    known = FunctionTable()
    first, frames = known.pickle_function(fn)
    assert payload.load_function(frames)() == before
    known.pickle_function(fn)
    assert len(pickles) == 1
    change()
    second, frames = known.pickle_function(fn)
    assert second != first
    assert payload.load_function(frames)() == after
    known.pickle_function(fn)
    assert len(pickles) == 2


def test_a_changed_global_is_seen(pickles: list[Any]) -> None:
    fn = by_value("x = 1\ndef f(): return x")
    assert_seen(fn, lambda: fn.__globals__.update(x=2), pickles, 1, 2)


def test_a_changed_closure_is_seen(pickles: list[Any]) -> None:
    x = 1

    def fn() -> int:
        return x

    def change() -> None:
        nonlocal x
        x = 2

    assert_seen(fn, change, pickles, 1, 2)


def test_a_global_of_a_called_function_is_seen(pickles: list[Any]) -> None:
    fn = by_value("x = 1\ndef g(): return x\ndef f(): return g()")
    assert_seen(fn, lambda: fn.__globals__.update(x=2), pickles, 1, 2)


def test_a_redefined_called_function_is_seen(pickles: list[Any]) -> None:
    fn = by_value("def g(): return 1\ndef f(): return g()")
    assert_seen(fn, lambda: exec("def g(): return 2", fn.__globals__), pickles, 1, 2)


def test_a_called_function_that_is_gone_is_seen(pickles: list[Any]) -> None:
    """Not taken for the None that stands in its place."""
    fn = by_value("def g(): return 1\ndef f(): return g() if g else 2")
    assert_seen(fn, lambda: fn.__globals__.update(g=None), pickles, 1, 2)


def test_a_global_of_an_inner_function_is_seen(pickles: list[Any]) -> None:
    fn = by_value("x = 1\ndef f(): return (lambda: x)()")
    assert_seen(fn, lambda: fn.__globals__.update(x=2), pickles, 1, 2)


def test_a_builtin_that_is_shadowed_later_is_seen(pickles: list[Any]) -> None:
    fn = by_value("def f(): return len('abc')")
    assert_seen(fn, lambda: exec("def len(x): return 7", fn.__globals__), pickles, 3, 7)


def test_a_method_of_a_class_that_is_replaced_is_seen(pickles: list[Any]) -> None:
    fn = by_value("class C:\n  def m(self): return 1\ndef f(): return C().m()")
    assert_seen(fn, lambda: setattr(fn.__globals__["C"], "m", lambda self: 2), pickles, 1, 2)


@pytest.mark.parametrize("wrapper", ["property", "classmethod", "staticmethod"])
def test_a_wrapped_method_that_is_replaced_is_seen(wrapper: str, pickles: list[Any]) -> None:
    call = "C().m" if wrapper == "property" else "C().m()"
    fn = by_value(f"class C:\n  m = {wrapper}(lambda *_: 1)\ndef f(): return {call}")
    change = f"C.m = {wrapper}(lambda *_: 2)"
    assert_seen(fn, lambda: exec(change, fn.__globals__), pickles, 1, 2)


def test_a_global_of_a_method_is_seen(pickles: list[Any]) -> None:
    fn = by_value("x = 1\nclass C:\n  @staticmethod\n  def m(): return x\ndef f(): return C.m()")
    assert_seen(fn, lambda: fn.__globals__.update(x=2), pickles, 1, 2)


def test_a_changed_attribute_of_a_function_is_seen(pickles: list[Any]) -> None:
    fn = by_value("def f(): return f.x\nf.x = 1")
    assert_seen(fn, lambda: setattr(fn, "x", 2), pickles, 1, 2)


@pytest.mark.parametrize("value", ["[1]", "{1: 2}", "set()", "type('T', (), {})()", "([1],)"])
def test_what_can_change_inside_is_pickled_each_time(value: str, pickles: list[Any]) -> None:
    fn = by_value(f"x = {value}\ndef f(): return x")
    known = FunctionTable()
    known.pickle_function(fn)
    known.pickle_function(fn)
    assert len(pickles) == 2


def test_a_list_that_grew_is_seen() -> None:
    fn = by_value("x = [1]\ndef f(): return len(x)")
    known = FunctionTable()
    first = known.pickle_function(fn)[0]
    fn.__globals__["x"].append(2)
    second, frames = known.pickle_function(fn)
    assert second != first
    assert payload.load_function(frames)() == 2


def test_constants_of_all_kinds_do_not_keep_a_function_from_being_kept(pickles: list[Any]) -> None:
    names = {
        "a": (1, "x", None), "k": frozenset({2.5}), "b": re.compile("x"), "c": re, "d": module_function,
        "e": ModuleClass,
        "g": enum.Enum("E", "X").X, "h": range(3), "i": ..., "j": len,
    }  # fmt: skip
    fn = by_value(f"def f(n, k=(1,), *, m=None): return f, {', '.join(names)}, math.sin", **names)
    known = FunctionTable()
    known.pickle_function(fn)
    known.pickle_function(fn)
    assert len(pickles) == 1


def test_a_module_function_that_was_replaced_travels_by_value(
    pickles: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    known = FunctionTable()
    module = sys.modules[__name__]
    original = module_function
    first = known.pickle_function(original)[0]
    monkeypatch.setattr(module, "module_function", lambda x: x - 1)
    second, frames = known.pickle_function(original)
    assert second != first
    assert payload.load_function(frames)(1) == 2


# -- functions that arrived -------------------------------------------------------------------------------------------


def test_a_function_keeps_the_id_under_which_it_arrived() -> None:
    here, there = FunctionTable(), FunctionTable()
    x = 5
    fn_id, frames = here.pickle_function(lambda y: x + y)
    fn = there.load(fn_id, frames)
    assert fn(1) == 6
    assert there.pickle_function(fn) == (fn_id, frames)
    assert FunctionTable().pickle_function(fn)[1] is not frames


def test_a_recursive_function_finds_itself_under_the_id() -> None:
    here, there = FunctionTable(), FunctionTable()
    fib = by_value("def f(n): return f")
    fn_id, frames = here.pickle_function(fib)
    arrived = there.load(fn_id, frames)
    assert there.pickle_function(arrived(1))[0] == fn_id


def test_what_was_registered_without_frames_is_pickled_when_it_is_sent_on(pickles: list[Any]) -> None:
    known = FunctionTable()

    def fn() -> int:
        return 4

    known.register(b"12345678", fn)
    assert pickles == []
    fn_id, frames = known.pickle_function(fn)
    assert fn_id == b"12345678"
    assert payload.load_function(frames)() == 4


def test_the_first_id_of_a_function_stays() -> None:
    known = FunctionTable()
    fn_id, _ = known.pickle_function(module_function)
    known.register(b"12345678", module_function)
    assert known.pickle_function(module_function)[0] == fn_id


def test_futures_of_a_function_are_noted_each_time_it_is_sent() -> None:
    here, there = FunctionTable(), FunctionTable()
    future = FakeFuture("held")

    def fn() -> Any:
        return future

    noted: list[Any] = []
    with payload.collecting(noted):
        fn_id, frames = here.pickle_function(fn)
    assert noted == [future]
    arrived = there.load(fn_id, frames)
    for _ in range(2):
        noted = []
        with payload.collecting(noted):
            assert there.pickle_function(arrived)[0] == fn_id
        assert [future.key for future in noted] == ["held"]
        assert noted[0] is arrived()


def test_functions_work_in_another_process() -> None:
    offset = 10
    assert elsewhere.call(module_function, 1) == 2
    assert elsewhere.call(lambda x: module_function(x) + offset, 1) == 12
    assert elsewhere.call(functools.partial(lambda x, y: x - y, 5), 1) == 4
    assert elsewhere.call(operator.attrgetter("real"), 3) == 3
    assert elsewhere.call(sum, [1, 2]) == 3
