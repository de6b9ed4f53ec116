"""What the kernel has counted for a process: wake-ups, time on a core, memory. Read from ``/proc``, so Linux only.

A wake-up is a voluntary switch: a thread had nothing to do and slept until something came. Unlike times, wake-ups and
the time on a core hardly depend on what else the machine does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Counts", "available", "command", "counts", "counts_by_thread", "descendants", "resident", "together"]

SWITCHES = re.compile(r"^voluntary_ctxt_switches:\s+(\d+)$", re.MULTILINE)


@dataclass(frozen=True)
class Counts:
    """What was counted so far.

    Attributes
    ----------
    wakeups : int
    nanoseconds : int
        On a core.
    """

    wakeups: int = 0
    nanoseconds: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.wakeups + other.wakeups, self.nanoseconds + other.nanoseconds)

    def __sub__(self, other: Counts) -> Counts:
        return Counts(self.wakeups - other.wakeups, self.nanoseconds - other.nanoseconds)

    @property
    def seconds(self) -> float:
        """On a core."""
        return self.nanoseconds * 1e-9


def available() -> bool:
    """Whether this system counts what is read here."""
    return Path("/proc/self/schedstat").exists()


def counts_by_thread(pid: int) -> dict[int, Counts]:
    """Of each thread that a process has now, by the thread's id."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        try:
            switches = SWITCHES.search((thread / "status").read_text())
            nanoseconds = int((thread / "schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        assert switches is not None
        found[int(thread.name)] = Counts(int(switches[1]), nanoseconds)
    return found


def counts(pid: int) -> Counts:
    """Of all threads that a process has now."""
    return together(counts_by_thread(pid).values())


def together(all_counts: Iterable[Counts]) -> Counts:
    """The sum."""
    return sum(all_counts, Counts())


def command(pid: int) -> str:
    """The command line of a process, its words with spaces between."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def resident(pid: int) -> int:
    """Bytes of a process in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> list[int]:
    """The processes that this one has started, and those that they have; the older before the younger."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        children.setdefault(parent, []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        mine = sorted(children.get(waiting.pop(), ()))
        found += mine
        waiting += mine
    return sorted(found)
