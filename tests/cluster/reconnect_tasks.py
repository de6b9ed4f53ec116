"""Tasks of tests in which a scheduler dies: they note in a file that they ran."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import NoReturn

from fastsched import worker_client


def note(directory: str, line: object) -> None:
    """One line, in one write."""
    fd = os.open(Path(directory, "log"), os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(fd, f"{line}\n".encode())
    os.close(fd)


def noted_square(i: int, directory: str) -> int:
    note(directory, i)
    time.sleep(0.001)
    return i * i


def noted_sum(values: list[int], directory: str, name: str) -> int:
    note(directory, name)
    return sum(values)


def slow(directory: str, seconds: float) -> str:
    note(directory, "slow")
    time.sleep(seconds)
    return "slow"


def large(directory: str, size: int) -> bytes:
    note(directory, "large")
    return bytes(size)


def boom() -> NoReturn:
    raise ZeroDivisionError("boom")


def leaf(i: int, directory: str) -> int:
    note(directory, f"leaf-{i // 40}")
    time.sleep(0.05)
    return i


def parent(directory: str, i: int) -> int:
    note(directory, f"parent-{i}")
    with worker_client() as client:
        return sum(client.gather(client.map(leaf, range(40 * i, 40 * i + 40), directory=directory)))


def fib(n: int) -> int:
    if n < 2:
        return n
    with worker_client() as client:
        return sum(client.gather([client.submit(fib, n - 1), client.submit(fib, n - 2)]))


def cut_off(port: int) -> int:
    """Break the connections of this process to that port; how many there were."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            if not entry.is_socket():
                continue
            with socket.fromfd(int(entry.name), socket.AF_INET, socket.SOCK_STREAM) as sock:
                if sock.getpeername()[1] == port:
                    sock.shutdown(socket.SHUT_RDWR)
                    count += 1
        except (OSError, IndexError):  # that of the listing itself, not connected, or of another family
            continue
    return count


def after(seconds: float) -> float:
    """For `Client.run`."""
    time.sleep(seconds)
    return seconds
