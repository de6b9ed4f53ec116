"""Futures on their way through pickle.

One concern: what happens to a future that is part of something that is pickled. In containers among the arguments of
a call it is replaced by a placeholder, and the other side finds the value in its place (`replace_futures`,
`resolving`); anywhere else it pickles itself through its own ``__reduce__`` and is noted (`note_future`), because it
must be kept alive. Knows a future only by its class attribute and its `key`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from types import NoneType
from typing import Any

__all__ = [
    "OUTSIDE",
    "SCALARS",
    "collecting",
    "flat",
    "is_future",
    "load_future",
    "note_future",
    "plain",
    "replace_futures",
    "resolving",
    "scalar",
    "scalars_and_futures",
    "set_future_loader",
]

SCALARS = frozenset((NoneType, bool, int, float, complex, str, bytes))
"""Types whose values hold no others and pickle the same way everywhere."""

OUTSIDE = "arguments with futures were unpickled outside a task"

_CONTAINERS = frozenset((list, tuple, set, frozenset, dict))
_PARTS = 100  # so many of a container `plain` looks at


class _Local(threading.local):
    """Class attributes are what a thread sees that has set nothing."""

    noted: dict[str, Any] | None = None  # of the innermost `collecting`
    inputs: Sequence[Any] | None = None  # of the innermost `resolving`


_local = _Local()
_loader: list[Callable[[str], Any]] = []


def is_future(obj: object) -> bool:
    """Whether this is a future of fastsched."""
    return getattr(type(obj), "__fastsched_future__", False) is True


def scalar(value: object) -> bool:
    """Whether this is one of `SCALARS`."""
    kind = type(value)
    return (
        kind is int or kind is str or kind is float or value is None or kind is bool or kind is bytes or kind is complex
    )


def plain(value: Any) -> bool:
    """Whether plain pickle is enough: scalars, and builtin containers that hold nothing else at any depth.

    Of large nested containers the answer is no without a look at all of it, which would cost more than it saves.
    """
    if scalar(value):
        return True
    kind = type(value)
    return ((kind is list or kind is tuple) and flat(value)) or _unspent(value, _PARTS) >= 0


def flat(values: Iterable[Any]) -> bool:
    """Whether these are scalars, however many."""
    for value in values:  # noqa: SIM110  this becomes a loop in C, a generator does not
        if not scalar(value):
            return False
    return True


def scalars_and_futures(values: Iterable[Any]) -> bool:
    """Whether there is nothing else among these."""
    for value in values:  # noqa: SIM110  as above
        if not (scalar(value) or is_future(value)):
            return False
    return True


def _unspent(container: Any, parts: int) -> int:
    """How many of `parts` are left after a look at each part of a container; negative if it is not plain."""
    kind = type(container)
    if kind is dict:
        parts = _unspent(list(container), parts)
        container = container.values()
    elif kind is not list and kind is not tuple and kind is not set and kind is not frozenset:
        return -1
    for part in container:
        if parts <= 0:
            return -1
        parts -= 1
        if not scalar(part):
            parts = _unspent(part, parts)
    return parts


# -- futures that pickle themselves ----------------------------------------------------------------------------------


def note_future(future: Any) -> None:
    """A future is being pickled in this thread. Called by its ``__reduce__``."""
    noted = _local.noted
    if noted is not None:
        noted[future.key] = future


class collecting:  # noqa: N801  a context manager, called like a function
    """Add to a list, at the end of the block, each future that this thread pickled or unpickled in it, once.

    Parameters
    ----------
    found : list
        Where to add them.
    """

    __slots__ = ("_found", "_outer")

    def __init__(self, found: list[Any]) -> None:
        self._found = found

    def __enter__(self) -> None:
        self._outer, _local.noted = _local.noted, {}

    def __exit__(self, *exc_info: object) -> None:
        if _local.noted:
            self._found += _local.noted.values()
        _local.noted = self._outer


def set_future_loader(loader: Callable[[str], Any]) -> None:
    """Say how a future becomes one again: ``loader(key)`` returns a future that is bound to a client."""
    _loader[:] = [loader]


def load_future(key: str) -> Any:
    """What a pickled future unpickles to. Its ``__reduce__`` names this function."""
    if not _loader:
        raise ValueError(f"the future {key!r} arrived where there is no client")
    future = _loader[0](key)
    note_future(future)
    return future


# -- futures among the arguments of a call ---------------------------------------------------------------------------


class Dependency:
    """Stands for a future in pickled arguments; unpickles to the future's value."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __reduce__(self) -> tuple[Callable[[int], Any], tuple[int]]:
        return resolve, (self.index,)


class Dependencies:
    """Stands for a list of nothing but futures."""

    __slots__ = ("indices",)

    def __init__(self, indices: list[int]) -> None:
        self.indices = indices

    def __reduce__(self) -> tuple[Callable[[list[int]], Any], tuple[list[int]]]:
        return resolve_all, (self.indices,)


def resolve(index: int) -> Any:
    """The value of a dependency, while `resolving`."""
    inputs = _local.inputs
    if inputs is None:
        raise ValueError(OUTSIDE)
    return inputs[index]


def resolve_all(indices: list[int]) -> list[Any]:
    """The values of a list of dependencies, while `resolving`."""
    return list(map(resolve, indices))


class resolving:  # noqa: N801  a context manager, called like a function
    """Inside the block, the placeholders that this thread unpickles become these values."""

    __slots__ = ("_inputs", "_outer")

    def __init__(self, inputs: Sequence[Any]) -> None:
        self._inputs = inputs

    def __enter__(self) -> None:
        self._outer, _local.inputs = _local.inputs, self._inputs

    def __exit__(self, *exc_info: object) -> None:
        _local.inputs = self._outer


def replace_futures(obj: Any) -> tuple[Any, list[Any]]:
    """Put placeholders for the futures in nested lists, tuples, sets, frozensets and dicts (keys too).

    Parameters
    ----------
    obj : object
        Never changed. Cycles and shared containers are fine and stay what they are.

    Returns
    -------
    copy : object
        `obj` itself if there are no futures in it.
    futures : list
        In the order of their placeholders, each key once.
    """
    if not _holds_futures(obj):
        return obj, []
    replacing = _Replacing()
    return replacing.copy(obj), replacing.futures


def _holds_futures(obj: Any) -> bool:
    """Whether a future stands in nested containers. Looks at the types of a whole container at once."""
    todo = [obj] if type(obj) in _CONTAINERS else []
    seen: set[int] = set()
    if not todo and is_future(obj):
        return True
    while todo:
        container = todo.pop()
        if id(container) in seen:
            continue
        seen.add(id(container))
        sides = (container, container.values()) if type(container) is dict else (container,)
        for side in sides:
            kinds = set(map(type, side)) - SCALARS
            if not kinds:
                continue
            if any(getattr(kind, "__fastsched_future__", False) is True for kind in kinds):
                return True
            if kinds & _CONTAINERS:
                todo += [element for element in side if type(element) in _CONTAINERS]
    return False


class _Replacing:
    """A copy of nested containers, as `copy.deepcopy` makes it, with placeholders for futures."""

    def __init__(self) -> None:
        self.futures: list[Any] = []
        self.placeholders: dict[str, Dependency] = {}
        self.copies: dict[int, Any] = {}

    def copy(self, obj: Any) -> Any:
        kind = type(obj)
        if kind in SCALARS:
            return obj
        if kind not in _CONTAINERS:
            return self.placeholder(obj) if is_future(obj) else obj
        known = self.copies.get(id(obj))
        return self.container(kind, obj) if known is None else known

    def placeholder(self, future: Any) -> Dependency:
        found = self.placeholders.get(future.key)
        if found is None:
            found = self.placeholders[future.key] = Dependency(len(self.futures))
            self.futures.append(future)
        return found

    def placeholder_of_all(self, futures: list[Any]) -> Dependencies:
        return Dependencies([self.placeholder(future).index for future in futures])

    def container(self, kind: type, obj: Any) -> Any:
        copies, copy = self.copies, self.copy
        result: Any
        if kind is list:
            kinds = set(map(type, obj))
            if len(kinds) == 1 and is_future(obj[0]):
                result = copies[id(obj)] = self.placeholder_of_all(obj)
            else:
                result = copies[id(obj)] = []
                result.extend(map(copy, obj))
        elif kind is dict:
            result = copies[id(obj)] = {}
            for key, value in obj.items():
                result[copy(key)] = copy(value)
        elif kind is set:
            result = copies[id(obj)] = set()
            result.update(map(copy, obj))
        else:  # immutable: a cycle through it has made its copy already
            elements = kind(map(copy, obj))
            result = copies.setdefault(id(obj), elements)
        return result
