"""Deadlines of others that forgive our own absence.

One concern: a limit of time for what a peer has to do. When this process was stopped (Ctrl-Z, SIGSTOP, a debugger), its
timers fire as soon as it goes on, before what came meanwhile is read: then the peer gets the whole time once more.

Called by whoever waits for peers. Imports nothing of fastsched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

__all__ = ["Limit", "within"]

LATE_SECONDS = 0.5
"""A loop that comes so much too late was not there. (A busy one is a little late all the time.)"""


class Limit:
    """Calls `late` when this time has passed, and we were there to see it.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The loop of the calling thread.
    seconds : float
        How long.
    late : callable
        Without arguments.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, late: Callable[[], object]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._late = late
        self._begin()

    def _begin(self) -> None:
        self._due = self._loop.time() + self._seconds
        self._handle = self._loop.call_later(self._seconds, self._ring)

    def _ring(self) -> None:
        if self._loop.time() - self._due > LATE_SECONDS:
            self._begin()
        else:
            self._late()

    def cancel(self) -> None:
        """It was done in time."""
        self._handle.cancel()


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError if the block takes longer, as `asyncio.timeout` does."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as timeout:
        limit = Limit(loop, seconds, lambda: timeout.reschedule(loop.time()))
        try:
            yield
        finally:
            limit.cancel()
