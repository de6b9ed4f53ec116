"""What a client stands on: its link to the scheduler, and where its caller is.

One concern: these two interfaces. `remote`, `local` and `nested` have them; `client` sees nothing else of its
surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from fastsched._wait import Waiter
from fastsched.client.record import FutureRecord
from fastsched.client.session import Session

if TYPE_CHECKING:
    import asyncio

__all__ = ["Link", "Outside", "Surroundings"]


class Link(Protocol):
    """A session, and what must be closed after it."""

    session: Session
    scheduler: str  # the scheduler's address

    def wait_ready(self, timeout: float | None) -> None:
        """Wait until the workers are there that the user has reason to expect."""

    def close(self, timeout: float | None) -> None:
        """End the session and its connection."""


class Surroundings(Protocol):
    """Where the calling thread stands: outside, or inside a task of a worker."""

    def parent(self) -> int:
        """Task id of the running task, 0 outside."""

    def wait(self, session: Session, waiter: Waiter, timeout: float | None) -> bool:
        """`Session.wait`; inside a task the slot is lent meanwhile."""

    def asynchronous(self) -> bool:
        """Whether the calling thread must not wait, since the coroutines of other tasks run there."""

    def begin_await(self, records: Sequence[FutureRecord], rung: asyncio.Future[None]) -> Any:
        """A coroutine is about to await the ring of an alarm that these records ring; gives back what ends that.

        Inside a task others run what has not begun, the slot is lent meanwhile, and the alarm rings, too, if nobody
        wants the task any more.

        Raises
        ------
        CyclicWait
            One of them is what this thread runs.
        """

    def end_await(self, awaiting: Any) -> None:
        """It awaits it no longer."""

    def hand_over(self, records: Sequence[FutureRecord]) -> None:
        """Inside a task: others shall run these, as far as they have not begun. Nobody waits."""

    def run_children(
        self, records: Sequence[FutureRecord], timeout: float | None, until_error: bool = False, most: int = 0
    ) -> None:
        """The calling thread is about to wait for these: inside a task it runs itself what has not begun.

        Parameters
        ----------
        records : sequence of FutureRecord
            What it will wait for.
        timeout : float or None
            A wait with a limit leaves them to others: who runs a task cannot stop in the middle.
        until_error : bool
            Stop at the first that fails.
        most : int
            Stop after so many; 0: never. Else any of them will do, and what may be long is left to others.

        Raises
        ------
        CyclicWait
            One of them is what this thread runs.
        """


class Outside:
    """The surroundings of an ordinary program."""

    def parent(self) -> int:
        """No task."""
        return 0

    def wait(self, session: Session, waiter: Waiter, timeout: float | None) -> bool:
        """Nothing to lend."""
        return session.wait(waiter, timeout)

    def asynchronous(self) -> bool:
        """Whoever runs a loop of their own knows."""
        return False

    def begin_await(self, records: Sequence[FutureRecord], rung: asyncio.Future[None]) -> None:
        """Nothing to lend."""

    def end_await(self, awaiting: Any) -> None:
        """Nothing was lent."""

    def hand_over(self, records: Sequence[FutureRecord]) -> None:
        """They were sent."""

    def run_children(
        self, records: Sequence[FutureRecord], timeout: float | None, until_error: bool = False, most: int = 0
    ) -> None:
        """There are none."""
