"""The page of running tasks: a few hundred bytes that a worker shares with whoever may have to judge its death.

One concern: a memory-mapped file of int64 *seats*, one per thread that executes user code; a seat holds the id of the
task that executes there at the moment, 0 if none. The worker stores to it at each start and end (one store of eight
bytes, no system call), so after a SIGKILL the file still says which tasks are to blame. The worker writes (`Page`), the
scheduler's server reads (`read_page`).

Imports nothing of fastsched.
"""

from __future__ import annotations

import mmap
import os

__all__ = ["NO_SEAT", "Page", "read_page"]

SEAT_BYTES = 8
SPARE_SEATS = 64
"""Seats beyond the slots: a thread may hold its seat for a moment longer than its slot."""

NO_SEAT = -1


class Page:
    """The writer's side.

    Parameters
    ----------
    path : str
        The file to make (mode 0600); "" for a page that nobody else can read.
    slots : int
        How many tasks execute at the same time.
    """

    def __init__(self, path: str, slots: int) -> None:
        self.path = path
        size = (slots + SPARE_SEATS) * SEAT_BYTES
        if path:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.ftruncate(fd, size)
                self._map = mmap.mmap(fd, size)
            finally:
                os.close(fd)
        else:
            self._map = mmap.mmap(-1, size)
        self._ids = memoryview(self._map).cast("q")
        self._free = list(range(len(self._ids) - 1, -1, -1))

    def take(self) -> int:
        """A seat for this thread; `NO_SEAT` if all are taken. Safe from any thread."""
        try:
            return self._free.pop()
        except IndexError:
            return NO_SEAT

    def give(self, seat: int) -> None:
        """Empty the seat and hand it back."""
        if seat != NO_SEAT:
            self._ids[seat] = 0
            self._free.append(seat)

    def write(self, seat: int, task: int) -> None:
        """This task executes in this seat from now on; 0: none does."""
        if seat != NO_SEAT:
            self._ids[seat] = task

    def running(self) -> list[int]:
        """The ids on the page."""
        return [task for task in self._ids if task]

    def clear(self) -> None:
        """Nobody is to blame: the worker stops by plan. Nothing more is written; the file stays for its reader."""
        shared, self._ids = self._ids, memoryview(bytearray(self._ids.nbytes)).cast("q")
        for seat in range(len(shared)):
            shared[seat] = 0


def read_page(path: str) -> list[int]:
    """The ids of the tasks that were executing when the page was last written.

    Raises
    ------
    OSError
        If there is no such file.
    """
    with open(path, "rb") as file:
        data = file.read()
    usable = len(data) - len(data) % SEAT_BYTES
    return [task for task in memoryview(data)[:usable].cast("q") if task]
