"""Awaiting: what a coroutine does where a thread would wait.

One concern: futures that end wake a coroutine, in whichever event loop it runs. `Client` inherits `AsyncFace`, and
decides by `asynchronous` whether it waits or gives back something to await: inside a coroutine task it must not wait,
since the coroutines of other tasks run in the same thread. Called in the thread of a running loop.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fastsched import _late
from fastsched.client.future import Future, to_wait_for
from fastsched.client.link import Surroundings
from fastsched.client.record import FutureRecord, Status
from fastsched.client.results import at_hand
from fastsched.errors import TimeoutError

if TYPE_CHECKING:
    import asyncio

__all__ = ["Alarm", "AsyncFace", "Bell", "Nothing"]

T = TypeVar("T")


class Alarm:
    """Wakes a coroutine straight from the I/O thread: not behind users' callbacks.

    Parameters
    ----------
    records : iterable of FutureRecord
        What to look at.
    first_error, first : bool
        Ring already when the first of them fails; when the first of them ends.
    """

    __slots__ = ("_first", "_first_error", "_loop", "_missing", "_records", "rung")

    def __init__(self, records: Iterable[FutureRecord], first_error: bool = False, first: bool = False) -> None:
        self._first_error = first_error
        self._first = first
        self._loop: asyncio.AbstractEventLoop = _late.asyncio().get_running_loop()
        self._records = list(records)
        self._missing = {record.fid for record in self._records}
        self.rung: asyncio.Future[None] = self._loop.create_future()
        for record in self._records:
            record.watch(self)

    def leave(self) -> None:
        """Nobody waits here any more."""
        for record in self._records:
            record.unwatch(self)

    def notify(self, record: FutureRecord) -> None:
        """See `record.Observer`."""
        self._missing.discard(record.fid)
        if not self._missing or self._first or (self._first_error and record.status is not Status.FINISHED):
            with suppress(RuntimeError):  # the loop was closed, and nobody waits any more
                self._loop.call_soon_threadsafe(_set_if_waiting, self.rung)


def _set_if_waiting(rung: asyncio.Future[None]) -> None:
    if not rung.done():
        rung.set_result(None)


class Bell:
    """Wakes a coroutine whenever one of some records has ended, straight from the I/O thread.

    Attributes
    ----------
    rung : asyncio.Future
        What the coroutine awaits.
    """

    __slots__ = ("_loop", "rung")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop = _late.asyncio().get_running_loop()
        self.rung: asyncio.Future[None] = self._loop.create_future()

    def renew(self) -> None:
        """Before a look at what has ended, after which the coroutine awaits."""
        if self.rung.done():
            self.rung = self._loop.create_future()

    def leave(self) -> None:
        """It goes on ringing."""

    def notify(self, record: FutureRecord) -> None:
        """See `record.Observer`."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        _set_if_waiting(self.rung)


class Nothing:
    """What has been done already can be awaited, too."""

    def __await__(self) -> Generator[Any, None, None]:
        return iter(())  # type: ignore[return-value]


class AsyncFace:
    """What a client does for coroutines. What it stands on is set by `Client`."""

    _surroundings: Surroundings

    @property
    def asynchronous(self) -> bool:
        """Whether `gather`, `scatter`, `cancel` and `wait` give back something to await: in a coroutine task.

        Elsewhere they wait; in a loop of the program's own, ``await future`` and ``gather(asynchronous=True)`` do not.
        """
        return self._surroundings.asynchronous()

    async def until(
        self,
        futures: Iterable[Future[Any]],
        timeout: float | None = None,
        first_error: bool = False,
        first: bool = False,
    ) -> None:
        """`Client.wait_for`, for a coroutine.

        Raises
        ------
        TimeoutError
            After `timeout` seconds.
        """
        pending = [future.record for future in to_wait_for(list(futures), first_error, first)]
        if pending:
            await self.awaited(Alarm(pending, first_error, first), pending, timeout)

    async def awaited(self, alarm: Alarm | Bell, records: Sequence[FutureRecord], timeout: float | None) -> None:
        """Await the ring of an alarm that these records ring. See `Surroundings.begin_await`.

        Raises
        ------
        TimeoutError
            After `timeout` seconds.
        """
        try:
            awaiting = self._surroundings.begin_await(records, alarm.rung)
            try:
                if timeout is None:
                    await alarm.rung
                elif not (await _late.asyncio().wait((alarm.rung,), timeout=timeout))[0]:
                    raise TimeoutError(f"not done after {timeout} s")
            finally:
                self._surroundings.end_await(awaiting)
        finally:
            alarm.leave()

    async def once_ended(
        self, futures: list[Future[Any]], timeout: float | None, first_error: bool, then: Callable[[], T]
    ) -> T:
        """Await the futures, then call `then`: in another thread if it has to wait for values that are not here."""
        await self.until(futures, timeout, first_error)
        finished = [future for future in futures if future.record.status is Status.FINISHED]
        failed = first_error and len(finished) < len(futures)
        if failed or at_hand(finished) is not None:
            return then()
        return cast(T, await _late.asyncio().get_running_loop().run_in_executor(None, then))
