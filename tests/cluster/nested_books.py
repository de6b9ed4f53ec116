"""What the workers still know, asked from outside."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from fastsched import Client
from fastsched.worker.context import host

__all__ = ["books", "left", "of_each"]


def books() -> dict[str, int]:
    """For `Client.run`: checks the worker, and counts what it holds."""
    worker: Any = host()
    worker.check()
    counts = dict(worker.census())
    names = [thread.name for thread in threading.enumerate()]
    counts["busy threads"] = sum([name.startswith("fastsched-task-") for name in names]) - counts.pop("parked")
    return counts


def left(client: Client, seconds: float = 5.0) -> dict[str, dict[str, int]]:
    """What is not zero, by worker, once all is or after `seconds`: workers let go a moment later."""
    deadline = time.monotonic() + seconds
    while True:
        found = client.run(books)
        found = {name: {what: n for what, n in counts.items() if n} for name, counts in found.items()}
        found = {name: counts for name, counts in found.items() if counts}
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.005)


def of_each(client: Client, ask: Callable[[], Any]) -> list[Any]:
    """The answers of all workers."""
    return list(client.run(ask).values())
