"""What a function takes along when it is pickled, and whether that is still the same.

One concern: may a function's pickle be used again? A function that travels by value takes its code, defaults, closure
and the globals that it names with it, and so do the functions among those. Each is a `Watch`: where it was found and
what was there. All unchanged (the same objects) means: the same pickle, provided that the objects cannot change
inside. If one can (a list, an instance), the function is pickled anew each time. Costs some tens of nanoseconds per
variable, beside some tens of microseconds for a pickle.

Attributes of classes are watched too, but what is inside them (a class-level list) is taken as constant. Called by
`functions`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from enum import Enum
from types import BuiltinFunctionType, CellType, CodeType, EllipsisType, FunctionType, ModuleType
from typing import Any, TypeAlias

from fastsched.wire.payload.futures import SCALARS

__all__ = ["Watch", "captured", "unchanged"]

Watch: TypeAlias = tuple[Any, str | None, Any]  # (a mapping, its key, what was there) or (a cell, None, what was there)

_CONSTANT = SCALARS | {EllipsisType, range, re.Pattern, ModuleType, BuiltinFunctionType}
_MISSING = object()  # what is not there now may be there next time


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
    for place, name, value in watches:
        if name is not None:
            if place.get(name, _MISSING) is not value:
                return False
        elif _content(place) is not value:
            return False
    return True


class _Captures:
    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self.seen: set[int] = set()

    def constant(self, value: Any) -> bool:
        """Whether this cannot change by itself; watches what in it can be replaced."""
        kind = type(value)
        if kind in _CONSTANT or value is _MISSING:
            return True
        if kind is tuple or kind is frozenset:
            return all(map(self.constant, value))
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
        module, name = value.__module__, value.__qualname__
        if module in ("__main__", "__mp_main__") or _pickled_by_value(module):
            return False
        place = getattr(sys.modules.get(module or ""), "__dict__", {})
        if "." in name:  # an inner class or a method: found by walking
            found: Any = place.get(name.split(".")[0], _MISSING)
            for step in name.split(".")[1:]:
                found = getattr(found, step, _MISSING)
            return found is value
        if place.get(name, _MISSING) is not value:
            return False
        self.watches.append((place, name, value))
        return True

    def function(self, fn: FunctionType) -> bool:
        inside = [*(fn.__defaults__ or ()), *(fn.__kwdefaults__ or {}).values()]
        for cell in fn.__closure__ or ():
            content = _content(cell)
            self.watches.append((cell, None, content))
            inside.append(content)
        for place, names in ((fn.__globals__, set(_names(fn.__code__))), (fn.__dict__, set(fn.__dict__))):
            for name in names:
                value = place.get(name, _MISSING)
                self.watches.append((place, name, value))
                inside.append(value)
        return all(map(self.constant, inside))

    def class_(self, cls: type) -> bool:
        attributes = vars(cls)
        self.watches += [(attributes, name, value) for name, value in attributes.items()]
        methods = [value for value in attributes.values() if type(value) is FunctionType]
        return all(map(self.constant, methods)) and all(map(self.constant, cls.__bases__))


def _names(code: CodeType) -> Iterator[str]:
    """The names that a function, and those inside it, may look up in its globals."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _pickled_by_value(module: str) -> bool:
    """Whether the user told cloudpickle to send this module's contents along."""
    cloudpickle = sys.modules.get("cloudpickle")
    return cloudpickle is not None and module in cloudpickle.list_registry_pickle_by_value()
