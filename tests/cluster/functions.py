"""Functions for tasks, importable on the workers."""

from __future__ import annotations

import os
import time
from operator import add
from pathlib import Path
from typing import Any

from fastsched import get_client, worker_client


def inc(x: int) -> int:
    return x + 1


def fail(text: str) -> None:
    raise ValueError(text)


def slow_inc(x: int, seconds: float = 0.2) -> int:
    time.sleep(seconds)
    return x + 1


def wait_for_file(path: str) -> str:
    """Runs until the test makes the file."""
    while not Path(path).exists():
        time.sleep(0.005)
    return path


def total(numbers: list[int]) -> int:
    return sum(numbers)


def fib(n: int) -> int:
    if n < 2:
        return n
    with worker_client() as client:
        a, b = client.submit(fib, n - 1), client.submit(fib, n - 2)
        return add(*client.gather([a, b]))


def tree(depth: int) -> int:
    """The number of leaves of a binary tree of tasks."""
    if depth == 0:
        return 1
    with worker_client() as client:
        return sum(client.gather([client.submit(tree, depth - 1, pure=False) for _ in range(2)]))


def pid() -> int:
    return os.getpid()


def slow_pid(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def blob(nbytes: int, fill: int = 7) -> bytes:
    return bytes([fill]) * nbytes


def size(value: Any) -> int:
    return len(value)


def child_future(x: int) -> Any:
    return get_client().submit(inc, x)


def append_line(path: str, line: str) -> str:
    with Path(path).open("a") as file:
        file.write(line + "\n")
    return line


class Attempts:
    """Fails until it has been called often enough; counts in a file."""

    def __init__(self, path: str, failures: int) -> None:
        self.path = path
        self.failures = failures

    def __call__(self) -> int:
        append_line(self.path, "attempt")
        count = len(Path(self.path).read_text().splitlines())
        if count <= self.failures:
            raise RuntimeError(f"attempt {count} fails")
        return count


def fails_to_start(settings: dict[str, Any]) -> None:
    """The entry of a worker process that ends at once."""
    raise SystemExit(3)


def crash_loudly() -> None:
    """Not by way of `sys.stderr`: what C libraries say counts too."""
    os.write(2, b"what a pity\n")
    os.abort()


def hangs_at_start(settings: dict[str, Any]) -> None:
    """The entry of a worker that never signs on."""
    time.sleep(60)
