"""The memory of worker processes against their limits.

One concern: who uses how much, and when to look again. Called by `helper`, which measures because a worker may hold its
interpreter in C code for as long as it likes. A look costs two small reads and happens ten times a second while the
worker executes tasks. One that executes nothing is soon left alone: it tells us when something happens (see `page`).

Imports the page and resources.
"""

from __future__ import annotations

from typing import NamedTuple

from fastsched.page import Peephole
from fastsched.resources import shown, used_bytes

__all__ = ["Finding", "MemoryWatch"]

BUSY_SECONDS = 0.1
QUIET_LOOKS = 5
"""Looks at a worker that executes nothing, before it is left alone."""


class Finding(NamedTuple):
    """What a look has shown that was not so before."""

    pid: int
    paused: bool
    over: str  # why the process must end, "" if it need not


class _Watched:
    """A worker with a limit."""

    __slots__ = ("limit", "pause", "paused", "peephole", "quiet")

    def __init__(self, limit: int, pause: int, peephole: Peephole) -> None:
        self.limit = limit
        self.pause = pause
        self.peephole = peephole
        self.paused = False
        self.quiet = 0  # looks in a row at which it executed nothing


class MemoryWatch:
    """All workers of a helper that have a limit."""

    def __init__(self) -> None:
        self._watched: dict[int, _Watched] = {}
        self._due: float | None = None

    def add(self, pid: int, limit: int, pause: int, peephole: Peephole, now: float) -> None:
        """Watch this process from now on: it is paused above `pause` bytes, and ends above `limit` bytes."""
        self._watched[pid] = _Watched(limit, pause, peephole)
        self._be_due(now + BUSY_SECONDS)

    def remove(self, pid: int) -> None:
        """It has ended."""
        self._watched.pop(pid, None)
        if not self._watched:
            self._due = None

    def woken(self, now: float) -> None:
        """Some worker was told something."""
        for watched in self._watched.values():
            if not watched.peephole.asleep():
                watched.quiet = 0
        if self._watched:
            self._be_due(now + BUSY_SECONDS)

    def timeout(self, now: float) -> float | None:
        """Seconds until the next look is due; None: never."""
        return None if self._due is None else max(self._due - now, 0.0)

    def look(self, now: float) -> list[Finding]:
        """Measure, if that is due.

        A worker that executes nothing is not paused, however much it holds: that would end only if somebody let go of
        results, who may be waiting for this worker.
        """
        if self._due is None or now < self._due:
            return []
        findings = []
        for pid, watched in list(self._watched.items()):
            used, busy = used_bytes(pid), watched.peephole.busy()
            watched.quiet = 0 if busy else watched.quiet + 1
            if watched.quiet >= QUIET_LOOKS:
                watched.peephole.doze()
            paused = busy and used > watched.pause
            if used > watched.limit:
                del self._watched[pid]
                text = f"out of memory: used {shown(used)} of {shown(watched.limit)}"
                findings.append(Finding(pid, paused, text))
            elif paused != watched.paused:
                findings.append(Finding(pid, paused, ""))
            watched.paused = paused
        # one look more after it was asked to wake us: it may have started a task at that moment
        awake = any(watched.quiet <= QUIET_LOOKS for watched in self._watched.values())
        self._due = now + BUSY_SECONDS if awake else None
        return findings

    def _be_due(self, when: float) -> None:
        if self._due is None or when < self._due:
            self._due = when
