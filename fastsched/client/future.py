"""`Future`: the promise of a task's result, as the user holds it.

A future is a thin handle on a `FutureRecord` that is filled in when there is news; `handle` has what it is made of and
how it ends.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any, Generic, TypeVar

from fastsched.client.handle import Handle
from fastsched.client.record import CountDown, Status
from fastsched.client.results import awaited
from fastsched.errors import CancelledError
from fastsched.timing import Timeout, seconds
from fastsched.wire import payload

__all__ = ["Future"]

T = TypeVar("T")

MISSING = object()


class Future(Handle, Generic[T]):
    """The result of a task that may not have run yet. Made by `Client.submit` and its relatives, not by hand.

    Follows ``dask.distributed.Future``. Pickling a future sends its key; where it is unpickled it belongs to the
    client of that place.

    Attributes
    ----------
    key : str
        The name of the task.
    status : str
        ``pending``, ``finished``, ``error`` or ``cancelled``.
    client : Client
        The client that it belongs to.
    """

    __fastsched_future__ = True
    __slots__ = ("__weakref__",)

    @property
    def key(self) -> str:
        """The name of the task."""
        return self.record.key

    @property
    def status(self) -> str:
        """``pending``, ``finished``, ``error`` or ``cancelled``."""
        return self.record.status.value

    @property
    def type(self) -> type | None:
        """The type of the result, if it is known already and can be found in this process."""
        return _find_type(self.record.type_name)

    def result(self, timeout: Timeout = None) -> T:
        """Wait for the value and return it.

        Inside a task the waiting thread lends its slot to other tasks. In a coroutine, ``await`` the future instead.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds, or a text such as ``"500 ms"``.

        Raises
        ------
        TimeoutError
            If it took longer. The task goes on.
        CancelledError
            If the future was cancelled.
        RuntimeError
            It has not ended, and this is a coroutine task.
        Exception
            What the task raised, with its remote traceback.
        """
        limit = None if timeout is None else seconds(timeout)
        found = awaited(self, limit, MISSING)
        if found is MISSING:  # it has none, or not here
            (found,) = self.client.values([self], limit)
        return found  # type: ignore[no-any-return]

    def exception(self, timeout: Timeout = None) -> BaseException | None:
        """Wait for the end and return what the task raised, None if it has a value.

        Raises
        ------
        TimeoutError, CancelledError
            As in `result`.
        """
        self.client.wait_for([self], seconds(timeout))
        if self.record.status is Status.FINISHED:
            return None
        error = self.client.exception_of(self.record)
        try:
            if isinstance(error, CancelledError):
                raise error
            return error
        finally:
            del error  # else it would hold this frame, and the frame it

    def traceback(self, timeout: Timeout = None) -> TracebackType | None:
        """Wait for the end and return the traceback of what the task raised, None if it has a value.

        Raises
        ------
        TimeoutError, CancelledError
            As in `result`.
        """
        error = self.exception(timeout)
        return None if error is None else error.__traceback__

    def done(self) -> bool:
        """True if the task has ended, in whatever way."""
        return self.record.settled

    def cancelled(self) -> bool:
        """True if the future was cancelled."""
        return self.record.status is Status.CANCELLED

    def cancel(self, reason: str | None = None, msg: str | None = None) -> Any:
        """Cancel the task, for everybody who waits for it.

        A task that is queued never runs; one that is running goes on until it submits or waits. See `Client.cancel`.
        """
        return self.client.cancel([self], reason=reason, msg=msg)

    def add_done_callback(self, fn: Callable[[Future[T]], Any]) -> None:
        """Call ``fn(future)`` when the task has ended, in the client's callback thread; it may submit and wait.

        What `fn` raises is logged.
        """
        self.client.add_callback(self, fn)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        payload.note_future(self)
        return payload.load_future, (self.key,)

    def __await__(self) -> Generator[Any, None, T]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> T:
        return await self.client.once_ended([self], None, True, self.result)

    def __repr__(self) -> str:
        record = self.record
        kind = f" type: {record.type_name}," if record.type_name else ""
        return f"<Future: status: {record.status.value},{kind} key: {record.key}>"


def _find_type(name: str) -> type | None:
    """The class of a ``module.qualname`` (``qualname`` alone: a builtin), from the modules that are loaded."""
    if not name:
        return None
    module_name, _, rest = name.rpartition(".")
    while True:
        found: Any = sys.modules.get(module_name or "builtins")
        if found is not None:
            for part in rest.split("."):
                found = getattr(found, part, None)
            return found if isinstance(found, type) else None
        if not module_name:
            return None
        module_name, _, part = module_name.rpartition(".")
        rest = f"{part}.{rest}"


def to_wait_for(futures: list[Future[Any]], first_error: bool, first: bool) -> list[Future[Any]]:
    """Those that have not ended, if they must; none if enough have, see `Client.wait_for`."""
    pending = [future for future in futures if not future.record.settled]
    if first and len(pending) < len(futures):
        return []
    if first_error and any(future.record.status in (Status.ERROR, Status.CANCELLED) for future in futures):
        return []
    return pending


def countdown(futures: list[Future[Any]], first_error: bool = False, first: bool = False) -> CountDown:
    """Something to wait on until all of `futures` have ended (or the first that failed, or the first of all)."""
    return CountDown([future.record for future in futures], first_error, first)
