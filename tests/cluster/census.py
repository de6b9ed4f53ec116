"""What a program leaves behind: its threads, descriptors (sockets among them) and processes, counted."""

from __future__ import annotations

import gc
import os
import threading
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

__all__ = ["Census", "descendants", "left_since", "threads"]


class Census(NamedTuple):
    """What this program has now. Descriptors and processes are counted on Linux only."""

    threads: frozenset[str]
    descriptors: tuple[str, ...]
    processes: frozenset[int]

    @classmethod
    def take(cls) -> Census:
        """Count."""
        gc.collect()  # what is garbage here is left behind by nobody
        return cls(threads(), tuple(sorted(_descriptors())), frozenset(descendants(os.getpid())))


def left_since(before: Census, seconds: float = 5.0) -> str:
    """What is there now and was not then, in words; "" if there is nothing, within so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        now = Census.take()
        more = Counter(now.descriptors) - Counter(before.descriptors)
        left = [f"thread {name}" for name in sorted(now.threads - before.threads)]
        left += [f"process {pid}" for pid in sorted(now.processes - before.processes)]
        left += [f"{count} descriptors {name}" for name, count in more.items()]
        if not left or time.monotonic() > deadline:
            return ", ".join(left)
        time.sleep(0.02)


def threads() -> frozenset[str]:
    """By name and identity: two may have one name."""
    return frozenset(f"{thread.name} ({thread.ident})" for thread in threading.enumerate())


def _descriptors() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").glob("*"):
        try:
            name = str(entry.readlink()).partition(":")[0]  # of a pipe or a socket: no number
        except OSError:  # that of the listing itself
            continue
        if name != "anon_inode":  # what clients wait on: closed with the last reference, which a fixture may have
            found.append(name)
    return found


def _children(pid: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.add(int(stat.parent.name))
    return found


def descendants(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    found: set[int] = set()
    todo = {pid}
    while todo:
        children = _children(todo.pop()) - found
        found |= children
        todo |= children
    return found
