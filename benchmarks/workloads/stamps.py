"""When a process sent and received, noted by a function around the two calls of streams.

One concern: these notes, in the client and in its workers. Only for `breakdown`: nothing of this is in the package.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from time import perf_counter
from typing import Any

from fastsched.net import stream

__all__ = ["between", "collected", "note", "stamped"]

_sent: list[float] = []
_received: list[float] = []
_noting: list[bool] = []


def note() -> None:
    """Begin to note, in this process; again: forget what was noted."""
    _sent.clear()
    _received.clear()
    if _noting:
        return
    _noting.append(True)
    send, receive = stream.send_some, stream.receive_some

    def noted_send(fd: int, pieces: Any) -> int:
        _sent.append(perf_counter())  # before: the other side may be faster than our return
        return send(fd, pieces)

    def noted_receive(fd: int, buffer: Any) -> int:
        size = receive(fd, buffer)
        _received.append(perf_counter())
        return size

    stream.send_some, stream.receive_some = noted_send, noted_receive  # type: ignore[assignment]


def collected() -> tuple[int, list[float], list[float]]:
    """The process, when it sent, and when it had received."""
    return os.getpid(), list(_sent), list(_received)


def stamped(_: int) -> tuple[int, float, float]:
    """Where and when this was called, and when it returned."""
    called = perf_counter()
    return os.getpid(), called, perf_counter()


def between(
    stamps: Any, start: float, first: float, second: float, end: float, ours: bool = False
) -> tuple[float, float] | None:
    """The two moments of a process in one trip, None if they were not seen.

    Parameters
    ----------
    stamps : sequence of two lists of float
        When it sent, when it had received.
    start, first, second, end : float
        Of a worker: when the trip began, when the task was called, when it returned, when the trip ended; the moments
        are when the worker had received the task and when it sent the result. Of the client (`ours`): when the trip
        began, when the worker had received, when it sent, when the trip ended; the moments are when the client sent the
        task and when it had received the result.
    """
    sent, received = stamps
    if ours:
        out, back = bisect_left(sent, first) - 1, bisect_left(received, end) - 1
        if out < 0 or back < 0 or sent[out] < start or received[back] < second:
            return None
        return sent[out], received[back]
    into, away = bisect_left(received, first) - 1, bisect_left(sent, second)
    if into < 0 or away == len(sent) or received[into] < start or sent[away] > end:
        return None
    return received[into], sent[away]
