"""What a client checks in the caller's thread, so that bad input raises at the call and names the thing.

One concern: arguments of the client's methods. Pure functions; nothing is changed before they have all agreed.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from fastsched.client.future import Future
from fastsched.config import Config
from fastsched.wire import keys

__all__ = [
    "checked_count",
    "checked_integer",
    "checked_key",
    "checked_retries",
    "data_key",
    "map_keys",
    "refuse_unsupported",
]

INT64 = 1 << 63


def refuse_unsupported(**options: Any) -> None:
    """NotImplementedError for the first option that is set: dask has it, we do not yet."""
    for name, value in options.items():
        if value:
            raise NotImplementedError(f"{name}= is not supported yet")


def checked_key(key: Any) -> str:
    """`key` as a plain string if it is a non-empty string; TypeError or ValueError."""
    if not isinstance(key, str):
        raise TypeError(f"a key must be a string, not {type(key).__name__}: {key!r}")
    if not key:
        raise ValueError("a key must not be empty")
    return key if type(key) is str else str.__str__(key)


def checked_integer(name: str, value: Any) -> int:
    """`value` if it is an integer; TypeError that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    value = operator.index(value)
    if not -INT64 <= value < INT64:
        raise ValueError(f"{name} must fit in 64 bits, {value} does not")
    return int(value)


def checked_count(futures: Sequence[Any], config: Config) -> None:
    """ValueError if a task depends on more futures than one message can name."""
    if len(futures) > config.array_items:
        raise ValueError(
            f"a task can depend on {config.array_items} futures (Config.array_items), not on {len(futures)}: "
            "aggregate them in stages"
        )


def checked_retries(value: int | None) -> int:
    """A number of retries, 0 for None."""
    retries = 0 if value is None else checked_integer("retries", value)
    if retries < 0:
        raise ValueError(f"retries must not be negative: {retries}")
    return retries


def map_keys(key: str | list[str] | None, count: int) -> tuple[str | None, list[str] | None]:
    """The prefix of the keys of a map, or all its keys; (None, None) if the user leaves it to us."""
    if key is None:
        return None, None
    if isinstance(key, str):
        return checked_key(key), None
    names = [checked_key(name) for name in key]
    if len(names) != count:
        raise ValueError(f"map got {len(names)} keys for {count} calls")
    return None, names


def data_key(value: Any, by_value: bool) -> str:
    """The key of a scattered value."""
    if isinstance(value, Future):
        raise TypeError(f"scatter takes values, not futures: {value!r}")
    name = type(value).__name__
    return keys.data_key(name, value) if by_value else keys.unique_key(name)
