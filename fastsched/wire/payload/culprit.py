"""Which part of an object is it that cannot be pickled?

One concern: the path to put into an error message, such as ``[0].lock (a _thread.lock)``. A search by trial, for the
error path only; called by `pickling` with a test to try parts with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

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
        for count, (step, part) in enumerate(_parts(obj)):
            if count == WIDTH:
                return _described(path, obj)
            if fails(part):
                path += step
                obj = part
                break
        else:
            break
    return _described(path, obj)


def _described(path: str, obj: Any) -> str:
    name = f"{type(obj).__module__}.{type(obj).__qualname__}".removeprefix("builtins.")
    return f" (its part {path} is a {name})" if path else f" (a {name})"


def _parts(obj: Any) -> Iterator[tuple[str, Any]]:
    """What an object is made of, each with the step that leads to it."""
    if isinstance(obj, (list, tuple)):
        yield from ((f"[{index}]", part) for index, part in enumerate(obj))
    elif isinstance(obj, (set, frozenset)):
        yield from ((f"{{{part!r:.40}}}", part) for part in obj)
    elif isinstance(obj, dict):
        for key, part in obj.items():
            yield f"[{key!r:.40}]", part
            yield f".keys()[{key!r:.40}]", key
    elif isinstance(obj, FunctionType):
        yield from _captured(obj)
    attributes = getattr(obj, "__dict__", None)
    if isinstance(attributes, dict):
        yield from ((f".{name}", part) for name, part in attributes.items())


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
