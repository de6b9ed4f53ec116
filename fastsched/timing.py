"""Durations as people write them.

Ground: imports nothing of fastsched.
"""

from __future__ import annotations

import re

__all__ = ["Timeout", "seconds"]

Timeout = float | int | str | None

_UNITS = {
    "us": 1e-6, "ms": 1e-3, "": 1.0, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0,
    "minute": 60.0, "minutes": 60.0, "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
}  # fmt: skip
_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?)\s*([a-z]*)\s*", re.IGNORECASE)


def seconds(value: Timeout) -> float | None:
    """Seconds of a duration given as a number, a text with a unit, or None.

    The texts are those of ``dask.utils.parse_timedelta``.

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
        return float(match[1]) * _UNITS[match[2].lower()]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a timeout is a number of seconds or a text such as '500 ms', not {value!r}")
    return float(value)
