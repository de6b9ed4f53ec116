"""What a client knows about one future: a record that the I/O thread writes and user threads read.

One concern: the state that both sides share, and the order in which it may be touched without a lock.

The I/O thread alone writes `status` and the outcome, and it writes `status` last. User threads read, and leave an
*observer* in `observers` when they want to be told; they take it away when they look no longer, so that a loop of
short waits leaves nothing behind. The race between "settled" and "started to look" is closed by
order, not by a lock: the watcher appends itself first and looks at `status` second; the I/O thread sets `status`
first and walks the observers second. So an observer is told at least once, may be told twice, and must not mind. Each
step is one bytecode-atomic operation: an exception raised by a signal handler between two of them leaves nothing half
done.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from fastsched.wire.messages import ErrorItem, Frames

__all__ = ["CountDown", "FutureRecord", "Observer", "Status"]


class Status(StrEnum):
    """What `Future.status` says; the words are dask.distributed's."""

    PENDING = "pending"
    FINISHED = "finished"
    ERROR = "error"
    CANCELLED = "cancelled"


class Observer(Protocol):
    """Wants to hear when a record settles."""

    def notify(self, record: FutureRecord) -> None:
        """Told in the I/O thread (or in the thread that began to look too late); at least once, perhaps twice."""


class FutureRecord:
    """The state of one fid.

    Parameters
    ----------
    fid : int
        The client's number for this future, never used again.
    key : str
        The task's key.
    """

    __slots__ = ("error", "fid", "frames", "key", "nbytes", "observers", "released", "status", "type_name")

    def __init__(self, fid: int, key: str) -> None:
        self.fid = fid
        self.key = key
        self.status = Status.PENDING
        self.type_name = ""
        self.nbytes = 0
        self.frames: Frames | None = None  # the pickled value, if it was small enough to travel with the report
        self.error: ErrorItem | None = None
        self.observers: dict[int, Observer] = {}  # by id, in the order of coming
        self.released = False  # written by whoever releases first; nothing is sent about a released record

    @property
    def settled(self) -> bool:
        """True once there is an outcome. A lost value takes it back: the record is pending again."""
        return self.status is not Status.PENDING

    def settle(self) -> None:
        """Tell the observers, the first first; the I/O thread calls this after it wrote the outcome.

        One that is appended while this runs is told here or, since `status` is set, by its own thread.
        """
        observers = self.observers
        # A copy in one step: user threads add and take away meanwhile. (Of `items` it would not be: tuples are made,
        # and so the garbage collector may run finalizers in between.)
        for observer in list(observers.values()):
            observers.pop(id(observer), None)
            observer.notify(self)

    def watch(self, observer: Observer) -> None:
        """Have `observer` told when the record settles, at once if it has."""
        self.observers[id(observer)] = observer
        if self.settled:
            observer.notify(self)

    def unwatch(self, observer: Observer) -> None:
        """`observer` looks no longer; it may be told once more."""
        self.observers.pop(id(observer), None)

    def __repr__(self) -> str:
        return f"<FutureRecord {self.fid} {self.key} {self.status}>"


class CountDown:
    """A thread waits here until all of some records have settled, or the first that failed.

    Parameters
    ----------
    records : iterable of FutureRecord
        What to wait for; those that are settled already do not count.
    first_error : bool
        Also stop waiting at the first record that ends without a value.
    first : bool
        Stop waiting at the first record that ends at all.
    """

    __slots__ = ("_first", "_first_error", "_lock", "_missing")

    def __init__(self, records: Iterable[FutureRecord], first_error: bool = False, first: bool = False) -> None:
        self._first_error = first_error
        self._first = first
        self._lock = threading.Lock()
        self._lock.acquire()
        records = list(records)
        self._missing = {record.fid for record in records}
        if not records:
            self._open()
        for record in records:
            record.watch(self)

    def leave(self, records: Iterable[FutureRecord]) -> None:
        """Watch these records no longer: nobody waits here any more."""
        for record in records:
            record.unwatch(self)

    def notify(self, record: FutureRecord) -> None:
        """See `Observer`."""
        self._missing.discard(record.fid)
        if not self._missing or self._first or (self._first_error and record.status is not Status.FINISHED):
            self._open()

    def _open(self) -> None:
        if self._lock.locked():
            try:
                self._lock.release()
            except RuntimeError:  # the other thread that was telling us got there first: open is open
                return

    @property
    def over(self) -> bool:
        """True if there is nothing to wait for any more."""
        return not self._lock.locked()

    def wait(self, timeout: float | None = None) -> bool:
        """Block until it is over; False after `timeout` seconds. A signal handler may raise out of here."""
        if self.over:
            return True
        if not self._lock.acquire(timeout=-1 if timeout is None else max(timeout, 0.0)):
            return False
        self._open()
        return True
