"""Close from where one cannot wait.

One concern: a finalizer of the user's may run in the middle of a step of ours, in the very thread that has to finish
that step before anything can be closed. Called by whatever has a `close` that waits; imports `_wait` only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from fastsched._wait import may_wait

__all__ = ["closes_elsewhere"]


def closes_elsewhere(close: Callable[[float | None], object], timeout: float | None) -> bool:
    """Whether the calling thread must not wait. Then another one closes, and the end of the program waits for it."""
    if may_wait():
        return False
    threading.Thread(target=close, args=(timeout,), name="fastsched-close").start()
    return True
