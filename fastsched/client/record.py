"""What a client knows about one future: a record that the machine writes and user threads read.

One concern: the state that both sides share, and the order in which it may be touched without a lock.

The machine alone, under its lock, writes `status` and the outcome, and it writes `status` last. User threads read, and
leave an *observer* in `observers` when they want to be told; they take it away when they look no longer, so that a loop
of short waits leaves nothing behind. The race between "settled" and "started to look" is closed by order, not by a
lock: the watcher appends itself first and looks at `status` second; the machine's side sets `status` first and walks
the observers second. So an observer is told at least once, may be told twice, and must not mind. Each step is one
atomic operation: an exception raised by a signal handler between two of them leaves nothing half done.

Compiled: records are settled in whatever thread brings the news, under the machine's lock. Observers of this module are
told in place; all others run Python code, and are told by the I/O thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, Protocol

from fastsched._wait import Waiter
from fastsched.wire.messages import ErrorItem, Frames

__all__ = ["Arrival", "CountDown", "FutureRecord", "Next", "Observer", "Reply", "Status"]


class Status(StrEnum):
    """What `Future.status` says; the words are dask.distributed's."""

    PENDING = "pending"
    FINISHED = "finished"
    ERROR = "error"
    CANCELLED = "cancelled"


# To look up a member of an enum runs Python code.
_PENDING, _FINISHED = Status.PENDING, Status.FINISHED


class Observer(Protocol):
    """Wants to hear when a record settles."""

    def notify(self, record: FutureRecord) -> None:
        """At least once, perhaps twice; in the I/O thread, or in the thread that began to look too late."""


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
        self.status = _PENDING
        self.type_name = ""
        self.nbytes = 0
        self.frames: Frames | None = None  # the pickled value, if it was small enough to travel with the report
        self.error: ErrorItem | None = None
        self.observers: dict[int, Observer] = {}  # by id, in the order of coming
        self.released = False  # written by whoever releases first; nothing is sent about a released record

    @property
    def settled(self) -> bool:
        """True once there is an outcome. A lost value takes it back: the record is pending again."""
        return self.status is not _PENDING

    def settle(self, later: Callable[[Observer, FutureRecord], object]) -> None:
        """Tell the observers, the first first. Under the machine's lock, after the outcome was written.

        One that is appended while this runs is told here or, since `status` is set, by its own thread.

        Parameters
        ----------
        later : callable
            ``(observer, record)``: has an observer told that must not be told here.
        """
        observers = self.observers
        if not observers:
            return
        # A copy in one step: user threads add and take away meanwhile. (Of `items` it would not be: tuples are made,
        # and so the garbage collector may run finalizers in between.)
        for observer in list(observers.values()):
            observers.pop(id(observer), None)
            if type(observer) in _IN_PLACE:
                observer.notify(self)
            else:
                later(observer, self)

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


class CountDown(Waiter):
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

    def __init__(self, records: Iterable[FutureRecord], first_error: bool = False, first: bool = False) -> None:
        self._first_error = first_error
        self._first = first
        records = list(records)
        self._missing = {record.fid for record in records}
        if not records:
            self.open()
        for record in records:
            record.watch(self)

    def leave(self, records: Iterable[FutureRecord]) -> None:
        """Watch these records no longer: nobody waits here any more."""
        for record in records:
            record.unwatch(self)

    def awaited(self) -> tuple[list[int], bool]:
        """The fids of what has not ended, and whether the first of them will do."""
        return list(self._missing), self._first

    def notify(self, record: FutureRecord) -> None:
        """See `Observer`."""
        self._missing.discard(record.fid)
        if not self._missing or self._first or (self._first_error and record.status is not _FINISHED):
            self.open()


class Next(Waiter):
    """A thread waits here for the next of several ends, of which `Arrival` tells.

    Parameters
    ----------
    open : dict of Future
        Those that have not ended, by their `Arrival`.
    """

    def __init__(self, open: dict[Any, Any]) -> None:
        self._open = open

    def awaited(self) -> tuple[list[int], bool]:
        """See `CountDown.awaited`."""
        return [future.record.fid for future in list(self._open.values())], True


class Arrival:
    """Notes the end of one future in a list of ends, and has those look who wait for the next.

    Parameters
    ----------
    ended : deque of Arrival
        Where to enter itself.
    waiting : list of Waiter
        Whom to nudge.
    """

    __slots__ = ("_ended", "_waiting")

    def __init__(self, ended: deque[Arrival], waiting: list[Waiter]) -> None:
        self._ended = ended
        self._waiting = waiting

    def notify(self, record: FutureRecord) -> None:
        """See `Observer`."""
        self._ended.append(self)
        for waiter in list(self._waiting):
            waiter.open()


class Reply(Waiter):
    """A thread waits here for one answer."""

    def __init__(self) -> None:
        self.ok = False
        self.value: Any = None

    def set(self, ok: bool, value: Any) -> None:
        """Called once."""
        self.ok, self.value = ok, value
        self.open()


_IN_PLACE = frozenset((CountDown, Arrival))
