"""Durations as people write them.

Ground: imports nothing of fastsched.
"""

from __future__ import annotations

import math
import numbers
import re
import sys
import threading
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import timedelta

__all__ = ["Timeout", "seconds"]

Timeout: TypeAlias = "float | int | str | timedelta | None"

_UNITS = {
    "us": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0,
    "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def seconds(value: Timeout) -> float | None:
    """Seconds of a duration given as a number, a text with a unit, a timedelta, or None.

    The texts are those of ``dask.utils.parse_timedelta``. Longer than a lock can wait (infinity) is None: no limit.

    Raises
    ------
    TypeError, ValueError
        If it is neither.

    Examples
    --------
    >>> seconds("500 ms"), seconds(3), seconds("2 minutes"), seconds(None)
    (0.5, 3.0, 120.0, None)
    """
    if value is None:
        return None
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None or match[2].lower() not in _UNITS:
            raise ValueError(f"a timeout is a number of seconds or a text such as '500 ms', not {value!r}")
        return _limited(float(match[1]) * _UNITS[match[2].lower()])
    datetime = sys.modules.get("datetime")  # who has a timedelta has imported it
    if datetime is not None and isinstance(value, datetime.timedelta):
        return _limited(value.total_seconds())
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"a timeout is a number of seconds or a text such as '500 ms', not {value!r}")
    if math.isnan(value):
        raise ValueError("a timeout is a number of seconds, not nan")
    return _limited(float(value))


def _limited(value: float) -> float | None:
    return value if value < threading.TIMEOUT_MAX else None
