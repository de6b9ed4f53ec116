"""Futures inside containers: find them, and put values in their places.

One concern: the walk that `gather`, `wait` and `fire_and_forget` share. Lists, tuples, sets, frozensets and dicts are
walked, at any depth; everything else is a leaf. At the top an iterator, a deque or a view of a dict is as good as a
list.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, KeysView, ValuesView
from typing import Any

from fastsched.client.future import Future

__all__ = ["SKIP", "all_are_futures", "fill", "futures_in", "futures_of", "materialize"]

SKIP = object()  # `fill` leaves out what is replaced by this
_SEQUENCES = (list, tuple, set, frozenset)


def materialize(data: Any) -> Any:
    """`data`, or the list of its items if it is an iterator, a deque or a view of a dict."""
    if isinstance(data, (Iterator, KeysView, ValuesView, deque)):
        return list(data)
    return data


def all_are_futures(data: Any) -> bool:
    """Whether this is a list of futures, none of them twice: the common case, which needs no walk."""
    return type(data) is list and set(map(type, data)) == {Future} and len(set(data)) == len(data)


def futures_in(data: Any) -> list[Future[Any]]:
    """The futures in `data`, in order, each object once."""
    found: dict[int, Future[Any]] = {}
    walked: set[int] = set()  # a container may hold itself
    stack = [data]
    while stack:
        item = stack.pop()
        if isinstance(item, Future):
            found.setdefault(id(item), item)
        elif isinstance(item, (*_SEQUENCES, dict)) and id(item) not in walked:
            walked.add(id(item))
            stack.extend(reversed(list(item.values() if isinstance(item, dict) else item)))
    return list(found.values())


def futures_of(data: Any, caller: str) -> list[Future[Any]]:
    """`futures_in` for a call that makes no sense without: TypeError if there is none (an empty container is fine)."""
    data = materialize(data)
    futures = futures_in(data)
    if not futures and (data or not isinstance(data, (*_SEQUENCES, dict))):
        raise TypeError(f"{caller} takes a future or a container of futures, not {data!r:.60}")
    return futures


def fill(data: Any, value_of: Callable[[Future[Any]], Any]) -> Any:
    """A copy of `data` with each future replaced by ``value_of(future)``, or left out where that is `SKIP`.

    What cannot be left out, a field of a named tuple or `data` itself, becomes None, as in dask.
    """
    filled = _fill(data, value_of)
    return None if filled is SKIP else filled


def _fill(data: Any, value_of: Callable[[Future[Any]], Any]) -> Any:
    if isinstance(data, Future):
        return value_of(data)
    if isinstance(data, dict):
        pairs = ((key, _fill(item, value_of)) for key, item in data.items())
        return {key: item for key, item in pairs if item is not SKIP}
    if isinstance(data, _SEQUENCES):
        if isinstance(data, tuple) and hasattr(data, "_fields"):
            return type(data)(*(fill(item, value_of) for item in data))
        items = [item for item in (_fill(item, value_of) for item in data) if item is not SKIP]
        return items if type(data) is list else type(data)(items)
    return data
