"""Futures inside containers: find them, and put values in their places.

One concern: the walk that `gather`, `wait` and `fire_and_forget` share. Lists, tuples, sets, frozensets and dicts are
walked, at any depth; everything else is a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fastsched.client.future import Future

__all__ = ["SKIP", "fill", "futures_in", "materialize"]

SKIP = object()  # `fill` leaves out what is replaced by this
_SEQUENCES = (list, tuple, set, frozenset)


def materialize(data: Any) -> Any:
    """`data`, or the list of its items if it is an iterator."""
    if (
        isinstance(data, Iterable)
        and not isinstance(data, (*_SEQUENCES, dict, str, bytes))
        and hasattr(data, "__next__")
    ):
        return list(data)
    return data


def futures_in(data: Any) -> list[Future[Any]]:
    """The futures in `data`, in order, each object once."""
    found: dict[int, Future[Any]] = {}
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, Future):
            found.setdefault(id(item), item)
        elif isinstance(item, _SEQUENCES):
            stack.extend(reversed(list(item)))
        elif isinstance(item, dict):
            stack.extend(reversed(list(item.values())))
    return list(found.values())


def fill(data: Any, value_of: Callable[[Future[Any]], Any]) -> Any:
    """A copy of `data` with each future replaced by ``value_of(future)``, or left out where that is `SKIP`."""
    if isinstance(data, Future):
        return value_of(data)
    if isinstance(data, dict):
        pairs = ((key, fill(item, value_of)) for key, item in data.items())
        return {key: item for key, item in pairs if item is not SKIP}
    if isinstance(data, _SEQUENCES):
        items = [item for item in (fill(item, value_of) for item in data) if item is not SKIP]
        if isinstance(data, tuple) and hasattr(data, "_fields"):
            return type(data)(*items)
        return items if type(data) is list else type(data)(items)
    return data
