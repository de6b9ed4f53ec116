"""How a program takes its times. Imports only what every interpreter has at hand: start-up is measured too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any, NamedTuple

__all__ = ["Sample", "each", "rounds"]


class Sample(NamedTuple):
    """What one fresh set of processes measured.

    Attributes
    ----------
    times : list of float
        The cost of one operation, as often as it was measured: seconds (bytes for memory).
    details : dict
        Costs beside it, by name, in seconds.
    """

    times: list[float]
    details: dict[str, float] = {}  # noqa: RUF012  a NamedTuple's default, never written to


def each(call: Callable[[int], Any], numbers: Iterable[int]) -> list[float]:
    """The duration of ``call(i)`` for each i."""
    times = []
    for i in numbers:
        start = perf_counter()
        call(i)
        times.append(perf_counter() - start)
    return times


def rounds(call: Callable[[range], Any], size: int, count: int) -> list[float]:
    """`count` times: the duration of ``call(numbers)`` per number, with `size` numbers that no other round had."""
    return [time / size for time in each(lambda r: call(range(r * size, (r + 1) * size)), range(count))]
