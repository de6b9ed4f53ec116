"""Values that have arrived, unpickled for the caller.

One concern: from the frames of finished futures to their values. Compiled: it is done for every value. Called by
`client`, in the caller's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastsched.client.binding import bound_to
from fastsched.client.handle import Handle
from fastsched.client.record import CountDown, FutureRecord, Status
from fastsched.errors import SerializationError, TimeoutError
from fastsched.wire.messages import Frames
from fastsched.wire.payload.futures import SCALARS
from fastsched.wire.payload.pickling import loads, type_name

if TYPE_CHECKING:
    from fastsched.client.client import Client
    from fastsched.client.future import Future

__all__ = ["at_hand", "awaited", "loaded"]

PENDING, FINISHED, ERROR, CANCELLED = Status.PENDING, Status.FINISHED, Status.ERROR, Status.CANCELLED
_HOLD_NOTHING = frozenset(type_name(kind()) for kind in SCALARS)  # names of types whose values hold no futures


def at_hand(futures: list[Future[Any]]) -> list[Frames] | None:
    """The pickled values of futures if all are finished and here, else None."""
    found = []
    for future in futures:
        frames = _arrived(future.record)
        if frames is None:
            return None
        found.append(frames)
    return found


def loaded(futures: list[Future[Any]], found: list[Frames], client: Client) -> list[Any]:
    """The values, given their frames; futures inside them belong to `client`.

    Raises
    ------
    SerializationError
        One cannot be unpickled here.
    """
    values = []
    with bound_to(client):
        for place, future in enumerate(futures):
            values.append(_value(future.record, found[place]))
    return values


def awaited(future: Handle, timeout: float | None, otherwise: Any) -> Any:
    """The value of one future, once it has ended; `otherwise` if it had ended without one, or its value is not here.

    Raises
    ------
    TimeoutError
        It has not ended after `timeout` seconds.
    ClosedError
        In a forked child.
    SerializationError
        As `loaded`.
    Exception
        What the task raised meanwhile.
    """
    record = future.record
    if record.status is PENDING and not record.released:
        future.client.run_children((record,), timeout)
        if record.status is PENDING:
            waiting = CountDown((record,))
            try:
                if not waiting.over and not future.client.wait_on(waiting, timeout):
                    raise TimeoutError(f"the future {record.key!r} is not done after {timeout} s")
            finally:
                record.unwatch(waiting)
        if record.status is ERROR or record.status is CANCELLED:
            raise future.client.exception_of(record)
    frames = _arrived(record)
    if frames is None:
        return otherwise
    if record.type_name in _HOLD_NOTHING:
        return _value(record, frames)
    with bound_to(future.client):
        return _value(record, frames)


def _arrived(record: FutureRecord) -> Frames | None:
    # the frames are looked at once, and last: a cancel takes them away
    return record.frames if record.status is FINISHED else None


def _value(record: FutureRecord, frames: Frames) -> Any:
    try:
        return loads(frames)
    except SerializationError as error:
        error.add_note(f"it is the value of task {record.key!r}, a {record.type_name}")
        raise
