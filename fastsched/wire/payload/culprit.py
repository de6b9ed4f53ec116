"""Which part of an object is it that cannot be pickled?

One concern: the path to put into an error message, such as ``[0].lock (a _thread.lock)``. A search by trial, for the
error path only; called by `pickling` with a test to try parts with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from types import FunctionType
from typing import Any

from fastsched.wire.payload.futures import SCALARS

__all__ = ["culprit"]

DEPTH = 12
WIDTH = 1000  # parts that are tried at each depth


def culprit(obj: Any, fails: Callable[[Any], bool]) -> str:
    """The path to the innermost part that fails by itself.

    Parameters
    ----------
    obj : object
        What failed.
    fails : callable
        Whether pickling a part fails.

    Returns
    -------
    str
        " (path: type)", or " (type)" if no part of it fails by itself.
    """
    path = ""
    for _ in range(DEPTH):
        try:
            found = next(((step, part) for step, part in islice(_parts(obj), WIDTH) if fails(part)), None)
        except Exception:  # noqa: BLE001  looking at the user's objects runs their code
            break
        if found is None:
            break
        path += found[0]
        obj = found[1]
    return _described(path, obj)


def _described(path: str, obj: Any) -> str:
    name = f"{type(obj).__module__}.{type(obj).__qualname__}".removeprefix("builtins.")
    return f" (its part {path} is a {name})" if path else f" (a {name})"


def _parts(obj: Any) -> Iterator[tuple[str, Any]]:
    """What an object is made of, each with the step that leads to it."""
    if isinstance(obj, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(obj))
    elif isinstance(obj, (set, frozenset)):
        yield from ((f"{{{_shown(part)}}}", part) for part in obj)
    elif isinstance(obj, dict):
        for key, part in obj.items():
            yield f"[{_shown(key)}]", part
            yield f".keys()[{_shown(key)}]", key
    elif isinstance(obj, FunctionType):
        yield from _captured(obj)
    attributes = getattr(obj, "__dict__", None)
    if isinstance(attributes, dict):
        yield from ((f".{name}", part) for name, part in attributes.items())


def _shown(key: Any) -> str:
    """A key of a dict or an element of a set, in a few characters."""
    return repr(key)[:40] if type(key) in SCALARS else f"<{type(key).__qualname__}>"


def _captured(fn: FunctionType) -> Iterator[tuple[str, Any]]:
    """The variables that a function takes with it."""
    for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
        try:
            yield f".<closure {name}>", cell.cell_contents
        except ValueError:  # an empty cell
            continue
    for name in fn.__code__.co_names:
        if name in fn.__globals__:
            yield f".<global {name}>", fn.__globals__[name]
