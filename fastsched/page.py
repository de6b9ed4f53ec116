"""The page of running tasks: a few hundred bytes that a worker shares with whoever may have to judge its death.

One concern: a memory-mapped file of int64 *seats*, one per thread that executes user code; a seat holds the id of the
task that executes there at the moment, 0 if none. The worker stores to it at each start and end (one store of eight
bytes, no system call), so after a SIGKILL the file still says which tasks are to blame. Before the seats stand two
words: whether the worker's parent has gone to sleep and wants to be told when something happens, and whether the worker
has been let in by its scheduler.

The worker writes (`Page`), the scheduler's server reads (`read_page`), and so does the fork helper, which looks now and
then (`Peephole`). Imports nothing of fastsched.
"""

from __future__ import annotations

import mmap
import os
import signal

__all__ = ["NO_SEAT", "Page", "Peephole", "read_page"]

SEAT_BYTES = 8
SPARE_SEATS = 64
"""Seats beyond the slots: a thread may hold its seat for a moment longer than its slot."""

NO_SEAT = -1

ASLEEP, JOINED, HEADER = 0, 1, 2  # words before the seats

_ASLEEP, _JOINED = ASLEEP, JOINED  # as ints of C
_SIGUSR1 = int(signal.SIGUSR1)


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
        size = (HEADER + slots + SPARE_SEATS) * SEAT_BYTES
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
        self._free = list(range(len(self._ids) - 1, HEADER - 1, -1))

    def join(self) -> None:
        """The scheduler has let this worker in."""
        self._ids[_JOINED] = 1

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
            if task:
                self.stir()

    def stir(self) -> None:
        """Something happens here that may need memory: the parent wants to know, if it has gone to sleep."""
        if self._ids[_ASLEEP]:
            self._ids[_ASLEEP] = 0
            os.kill(os.getppid(), _SIGUSR1)

    def running(self) -> list[int]:
        """The ids on the page."""
        return [task for task in self._ids[HEADER:] if task]

    def clear(self) -> None:
        """Nobody is to blame: the worker stops by plan. Nothing more is written; the file stays for its reader."""
        shared, self._ids = self._ids, memoryview(bytearray(self._ids.nbytes)).cast("q")
        for seat in range(HEADER, len(shared)):
            shared[seat] = 0


class Peephole:
    """The side of the worker's parent, which looks now and then while the worker lives.

    Parameters
    ----------
    path : str
        The file, which the worker may not have made yet.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._words: memoryview | None = None

    def busy(self) -> bool:
        """Whether a task executes."""
        words = self._opened()
        return words is not None and any(words[HEADER:])

    def joined(self) -> bool:
        """Whether the worker was let in."""
        words = self._opened()
        return words is not None and bool(words[JOINED])

    def running(self) -> list[int]:
        """The ids on the page."""
        words = self._opened()
        return [] if words is None else [task for task in words[HEADER:] if task]

    def doze(self) -> None:
        """Have the worker send SIGUSR1 when it is told something. Look once more: that may be right now."""
        words = self._opened()
        if words is not None:
            words[ASLEEP] = 1

    def asleep(self) -> bool:
        """Whether the worker has yet to send it."""
        words = self._opened()
        return words is not None and bool(words[ASLEEP])

    def _opened(self) -> memoryview | None:
        if self._words is None:
            try:
                with open(self._path, "r+b") as file:
                    words = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
            except (OSError, ValueError):  # not there yet, or still empty
                return None
            self._words = words
        return self._words


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
    return [task for task in memoryview(data)[:usable].cast("q")[HEADER:] if task]
