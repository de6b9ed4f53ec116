"""What a function takes along when it is pickled, and whether that is still the same.

One concern: may a function's pickle be used again? A function that travels by value takes its closure, its defaults,
its attributes and the globals that it names with it, and so do the functions and classes among those. Each of these
gets a `Watch`: which object stood under which name. The same objects still there means: the same pickle, provided
that none can change inside. If one can (a list, an instance), the function is pickled anew each time. Looking costs
some tens of nanoseconds per name, beside some tens of microseconds for a pickle.

Attributes of classes are watched, but what is inside them (a class-level list) is taken as constant. Nothing that is
watched is kept alive by it. Called by `table`.
"""

from __future__ import annotations

import re
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum
from operator import attrgetter
from types import BuiltinFunctionType, CellType, CodeType, EllipsisType, FunctionType, ModuleType
from typing import Any, TypeAlias

from fastsched.wire.payload.futures import SCALARS

__all__ = ["Watch", "captured", "unchanged"]

_CONSTANT = SCALARS | {EllipsisType, range, re.Pattern, ModuleType, BuiltinFunctionType}
_WEAK = weakref.ReferenceType
_vars = vars
_MISSING = object()  # what is not there now may be there next time


View: TypeAlias = Callable[[Any], Mapping[str, Any]]

Watch: TypeAlias = tuple["weakref.ref[Any]", View, tuple[tuple[str, Any], ...]]
"""The names of one place, and what stood there: its owner (a function, class or module), the way from the owner to the
place, and each name with a value or a weak reference to it. A plain tuple: it is taken apart at each submission."""


def captured(fn: Any) -> list[Watch] | None:
    """Everything that the pickle of a function or class depends on.

    Returns
    -------
    list of Watch or None
        None: something in it can change without being replaced.
    """
    found = _Captures()
    return found.watches if found.constant(fn) else None


def unchanged(watches: list[Watch]) -> bool:
    """Whether everything is what it was."""
    for reference, view, expected in watches:
        owner = reference()
        if owner is None:
            return False
        place = owner.__dict__ if view is _vars else view(owner)
        for name, was in expected:
            if type(was) is _WEAK:
                was = was()
                if was is None:
                    return False
            if place.get(name, _MISSING) is not was:
                return False
    return True


class _Captures:
    """Walks what hangs together with one function."""

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self.seen: set[int] = set()

    def constant(self, value: Any) -> bool:
        """Whether this cannot change by itself; watches what in it can be replaced."""
        kind = type(value)
        if kind in _CONSTANT or value is _MISSING:
            return True
        if kind is tuple or kind is frozenset:
            return SCALARS.issuperset(map(type, value))
        if isinstance(value, Enum):
            return self.constant(kind)
        if kind is not FunctionType and not isinstance(value, type):
            return False
        if id(value) in self.seen:
            return True
        self.seen.add(id(value))
        if self.by_reference(value):
            return True
        return self.function(value) if kind is FunctionType else self.class_(value)

    def by_reference(self, value: Any) -> bool:
        """Whether pickle sends no more than its name, because it is there under that name."""
        name, path = value.__module__, value.__qualname__.split(".")
        module = sys.modules.get(name or "")
        if module is None or name in ("__main__", "__mp_main__") or _pickled_by_value(name):
            return False
        found: Any = module
        for step in path:
            found = getattr(found, step, _MISSING)
        if found is not value:
            return False
        if len(path) == 1:
            self.watch(module, vars, path)
        return True

    def function(self, fn: FunctionType) -> bool:
        inside = [*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values()]
        inside += self.watch(fn, _globals, set(_names(fn.__code__)))
        inside += self.watch(fn, _closure, fn.__code__.co_freevars)
        inside += self.watch(fn, vars, fn.__dict__)
        return all(map(self.constant, inside))

    def class_(self, cls: type) -> bool:
        methods = [value for value in self.watch(cls, _members, _members(cls)) if type(value) is FunctionType]
        return all(map(self.constant, methods)) and all(map(self.constant, cls.__bases__))

    def watch(self, owner: Any, view: Callable[[Any], Mapping[str, Any]], names: Iterable[str]) -> list[Any]:
        """What stands under these names."""
        place = view(owner)
        names = tuple(names)
        values = [place.get(name, _MISSING) for name in names]
        if names:
            self.watches.append((weakref.ref(owner), view, tuple(zip(names, map(_weakly, values), strict=True))))
        return values


def _globals(fn: FunctionType) -> Mapping[str, Any]:
    return fn.__globals__


def _closure(fn: FunctionType) -> Mapping[str, Any]:
    return dict(zip(fn.__code__.co_freevars, map(_content, fn.__closure__ or ()), strict=True))


def _members(cls: type) -> Mapping[str, Any]:
    """Attributes of a class; the functions inside its properties, class methods and static methods."""
    return {
        name: _UNWRAP.get(type(value), _itself)(value) for name, value in vars(cls).items() if name not in _OF_PYTHON
    }


def _itself(value: Any) -> Any:
    return value


_UNWRAP: dict[type, Callable[[Any], Any]] = {
    property: attrgetter("fget"),
    classmethod: attrgetter("__func__"),
    staticmethod: attrgetter("__func__"),
}
_OF_PYTHON = frozenset(("__dict__", "__weakref__"))  # say nothing, and hold the class


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _weakly(value: Any) -> Any:
    """A weak reference if there can be one. Functions, classes and modules can hold what is being watched."""
    if type(value) in SCALARS or value is _MISSING:
        return value
    try:
        return weakref.ref(value)
    except TypeError:
        return value


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function, and those inside it, may look up in its globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _pickled_by_value(module: str) -> bool:
    """Whether the user told cloudpickle to send this module's contents along."""
    cloudpickle = sys.modules.get("cloudpickle")
    return cloudpickle is not None and module in cloudpickle.list_registry_pickle_by_value()
