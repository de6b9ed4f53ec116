"""A thread that burns a core in pure Python: a bad neighbour for whoever needs the interpreter lock of its process.

A thread that wants the lock has to wait for Python's switch interval, 5 ms unless somebody shortens it. Imports no
scheduler, so that it can run in workers of every kind.
"""

from __future__ import annotations

import threading

__all__ = ["burn", "burning", "stop_burning"]

_stop = threading.Event()


def _burn() -> None:
    stopped = _stop.is_set
    count = 0
    while not stopped():
        for _ in range(1000):
            count += 1


def burn() -> bool:
    """Start it, in a daemon thread of this process."""
    _stop.clear()
    threading.Thread(target=_burn, name="burner", daemon=True).start()
    return True


def stop_burning() -> None:
    """End all that this process has."""
    _stop.set()


def burning() -> int:
    """How many are at it here."""
    return sum(thread.name == "burner" for thread in threading.enumerate())
