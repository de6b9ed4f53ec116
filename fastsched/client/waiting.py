"""Waiting for many futures: `wait`, `as_completed`, `fire_and_forget`.

The functions that dask.distributed has beside its client. They work outside and inside tasks; inside, a waiting
thread lends its slot.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

from fastsched._wait import Waiter
from fastsched.client import binding
from fastsched.client.asynchronous import Bell
from fastsched.client.client import Client
from fastsched.client.containers import futures_of
from fastsched.client.future import Future
from fastsched.client.record import Arrival, Next, Status
from fastsched.timing import Timeout, seconds

__all__ = ["ALL_COMPLETED", "FIRST_COMPLETED", "DoneAndNotDoneFutures", "as_completed", "fire_and_forget", "wait"]

ALL_COMPLETED = "ALL_COMPLETED"
FIRST_COMPLETED = "FIRST_COMPLETED"


class DoneAndNotDoneFutures(NamedTuple):
    """What `wait` returns."""

    done: set[Future[Any]]
    not_done: set[Future[Any]]


def wait(fs: Any, timeout: Timeout = None, return_when: str = ALL_COMPLETED) -> Any:
    """Wait until futures have ended, in whatever way. Follows ``dask.distributed.wait``.

    Parameters
    ----------
    fs : Future or container of futures
        What to wait for.
    timeout : float or str, optional
        Seconds, or a text such as ``"10 minutes"``.
    return_when : {"ALL_COMPLETED", "FIRST_COMPLETED"}
        When to come back.

    Returns
    -------
    DoneAndNotDoneFutures
        Two sets, ``done`` and ``not_done``; in a coroutine task, something to await for it.

    Raises
    ------
    TimeoutError
        If it took longer.
    ValueError
        For another `return_when`.
    TypeError
        If `fs` holds no future.
    """
    if return_when not in (ALL_COMPLETED, FIRST_COMPLETED):
        raise ValueError(f"return_when must be {ALL_COMPLETED!r} or {FIRST_COMPLETED!r}, not {return_when!r}")
    futures = futures_of(fs, "wait")
    first = return_when == FIRST_COMPLETED
    if binding.asynchronous():
        return _wait_async(futures, seconds(timeout), first)
    if futures and not (first and any(future.record.settled for future in futures)):
        futures[0].client.wait_for(futures, seconds(timeout), first=first)
    return _parted(futures)


async def _wait_async(futures: list[Future[Any]], timeout: float | None, first: bool) -> DoneAndNotDoneFutures:
    if futures:
        await futures[0].client.until(futures, timeout, first=first)
    return _parted(futures)


def _parted(futures: list[Future[Any]]) -> DoneAndNotDoneFutures:
    done = {future for future in futures if future.record.settled}
    return DoneAndNotDoneFutures(done, set(futures) - done)


def fire_and_forget(obj: Any) -> None:
    """Have the scheduler run these tasks to their end even if nobody holds their futures.

    Follows ``dask.distributed.fire_and_forget``.

    Parameters
    ----------
    obj : Future or container of futures
        What to keep.

    Raises
    ------
    TypeError
        If `obj` holds no future.
    """
    by_client: dict[Client, list[Future[Any]]] = {}
    for future in futures_of(obj, "fire_and_forget"):
        by_client.setdefault(future.client, []).append(future)
    for client, futures in by_client.items():
        client.keep(futures)


class as_completed:  # noqa: N801  dask's name
    """Iterate over futures in the order in which they end. Follows ``dask.distributed.as_completed``.

    With ``for``, or in a coroutine with ``async for``.

    Parameters
    ----------
    futures : iterable of Future, optional
        What to iterate over; more can be added while iterating.
    loop
        Accepted for dask's sake, without effect.
    with_results : bool
        Yield ``(future, result)`` pairs.
    raise_errors : bool
        With results: raise a task's exception (True) or yield the exception as the result (False).
    timeout : float or str, optional
        Seconds from now after which iterating raises TimeoutError.

    Examples
    --------
    >>> from fastsched import Client, as_completed
    >>> with Client(n_workers=1) as client:
    ...     sorted(future.result() for future in as_completed(client.map(abs, [-1, -2])))
    [1, 2]
    """

    def __init__(
        self,
        futures: Iterable[Future[Any]] | None = None,
        loop: Any = None,
        with_results: bool = False,
        raise_errors: bool = True,
        *,
        timeout: Timeout = None,
    ) -> None:
        self.with_results = with_results
        self.raise_errors = raise_errors
        limit = seconds(timeout)
        self._deadline = None if limit is None else monotonic() + limit
        self._open: dict[Arrival, Future[Any]] = {}  # not yielded yet
        self._ended: deque[Arrival] = deque()  # in the order of the ends; may hold what is not open any more
        self._waiting: list[Waiter] = []  # opened at each end: whoever waits looks again
        self._lock = threading.Lock()  # between threads that iterate; whoever settles futures never takes it
        self._client: Client | None = None  # of the futures
        self._bell: Bell | None = None  # once a coroutine iterates
        if futures is not None:
            self.update(futures)

    def add(self, future: Future[Any]) -> None:
        """One more future; a future added twice is yielded twice."""
        if not isinstance(future, Future):
            raise TypeError(f"as_completed takes futures, not {type(future).__name__}")
        entry = Arrival(self._ended, self._waiting)
        self._open[entry] = future
        self._client = future.client
        future.record.watch(entry)
        if self._bell is not None:
            future.record.watch(self._bell)  # second: who is woken finds it among those that have ended

    def update(self, futures: Iterable[Future[Any]]) -> None:
        """More futures."""
        for future in futures:
            self.add(future)

    def count(self) -> int:
        """How many have not been yielded yet."""
        return len(self._open)

    def is_empty(self) -> bool:
        """True if all have been yielded."""
        return not self._open

    def has_ready(self) -> bool:
        """True if `next` would not wait."""
        with self._lock:
            self._skip()
            return bool(self._ended)

    def clear(self) -> None:
        """Forget all futures."""
        with self._lock:
            for entry, future in list(self._open.items()):
                future.record.unwatch(entry)
                if self._bell is not None:
                    future.record.unwatch(self._bell)
                self._open.pop(entry, None)
        self._look_again()

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            future = self._take()
            if future is not None:
                return self._yielded(future)
            if self.is_empty():
                self._look_again()  # another thread may wait for the last that this one took
                raise StopIteration
            self._wait()

    next = __next__

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        bell = self._bell
        if bell is None:
            bell = self._bell = Bell()
            for future in list(self._open.values()):
                future.record.watch(bell)
        while True:
            bell.renew()
            ended = self._take()
            if ended is not None:
                return await self._yielded_async(ended)
            if self.is_empty():
                raise StopAsyncIteration
            assert self._client is not None
            await self._client.awaited(bell, [future.record for future in self._open.values()], self._remaining())

    def next_batch(self, block: bool = True) -> list[Any]:
        """All that have ended and were not yielded yet; at least one if `block`."""
        batch = [next(self)] if block else []
        while (future := self._take()) is not None:
            batch.append(self._yielded(future))
        return batch

    def batches(self) -> Iterator[list[Any]]:
        """Iterate over lists of futures (or pairs) that have ended."""
        while not self.is_empty():
            yield self.next_batch(block=True)

    def _skip(self) -> None:
        """Drop what has ended but is not open any more: cleared, or told twice."""
        while self._ended and self._ended[0] not in self._open:
            self._ended.popleft()

    def _take(self) -> Future[Any] | None:
        """The next that has ended, which counts as yielded from here on; None if there is none yet.

        Closed first, dropped second: where a signal handler raises in between, the other calls go on.
        """
        with self._lock:
            self._skip()
            if not self._ended:
                return None
            future = self._open.pop(self._ended[0])
            self._ended.popleft()
            return future

    def _look_again(self) -> None:
        """Whoever waits may wait in vain."""
        for waiter in list(self._waiting):
            waiter.open()

    def _wait(self) -> None:
        """Until one more has ended, or there is nothing left to wait for."""
        assert self._client is not None
        self._client.run_children([future.record for future in self._open.values()], self._remaining(), most=1)
        if self._ended:
            return
        remaining = self._remaining()
        waiter = Next(self._open)
        self._waiting.append(waiter)  # first; who ends enters itself first, and looks for us second
        try:
            if not (self._ended or self.is_empty()) and not self._client.wait_on(waiter, remaining):
                raise TimeoutError(f"{self.count()} futures are not done")
        finally:
            self._waiting.remove(waiter)

    def _remaining(self) -> float | None:
        return None if self._deadline is None else max(self._deadline - monotonic(), 0.0)

    async def _yielded_async(self, future: Future[Any]) -> Any:
        return await future.client.once_ended([future], None, True, partial(self._yielded, future))

    def _yielded(self, future: Future[Any]) -> Any:
        if not self.with_results:
            return future
        if self.raise_errors or future.record.status is Status.FINISHED:
            return future, future.result()
        return future, future.client.exception_of(future.record)
