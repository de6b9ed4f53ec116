"""Which core each process runs on.

Which core a peer wakes on changes a round trip by a factor of four, so every comparison is made twice: as the system
places the processes, and with each of them pinned in the same way on both sides. Linux only.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["Placing", "can_pin"]


def can_pin() -> bool:
    """Whether this system lets us, and there are two cores to choose from."""
    return hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1


class Placing:
    """Pins the processes of a sample, or leaves them alone.

    Parameters
    ----------
    pinned : bool
        Whether to pin at all.
    apart : bool
        Keep the first core for the calling process alone: for round trips, where only one process works at a time.
        Otherwise the others use it too: for throughput.
    """

    def __init__(self, pinned: bool, apart: bool) -> None:
        self._cores = sorted(os.sched_getaffinity(0)) if pinned else []
        self._others = self._cores[1:] if apart else self._cores[1:] + self._cores[:1]

    def place(self, others: Iterable[int]) -> None:
        """Pin the calling process to the first core, the processes `others` (by id) to the following, in turn."""
        if self._cores:
            _pin(os.getpid(), self._cores[0])
            for index, pid in enumerate(others):
                _pin(pid, self._others[index % len(self._others)])


def _pin(pid: int, core: int) -> None:
    """Pin all threads that the process has; those that they start inherit it."""
    pinned: set[int] = set()
    while threads := {int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()} - pinned:
        for thread in threads:
            with suppress(ProcessLookupError):  # it has just ended
                os.sched_setaffinity(thread, {core})
        pinned |= threads
