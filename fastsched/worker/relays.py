"""A thread that is too deep for more children has another one run them, and waits for it.

One concern: this relay. Children that run inside each other share a thread, its stack and its recursion limit, so only
so many fit. The next ones go on in another thread of the same worker, in the slot of the same task: nothing else
changes for them, and nobody outside hears of it. (Handed over to the scheduler they would come back one by one, in
some order: of equal calls that all of them make, the last future may be gone before the next one makes it.)

Held by `executor`, whose threads call it. May import the nest, the desk and the context.
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import Iterable
from threading import get_ident
from typing import Protocol

from fastsched._wait import monotonic
from fastsched.page import NO_SEAT
from fastsched.worker.context import CurrentTask, Host
from fastsched.worker.desk import Desk
from fastsched.worker.nest import Nest

__all__ = ["Relay", "Relays"]


class Relay:
    """What the other thread shall do.

    Attributes
    ----------
    task : CurrentTask
        Whose children: that of the thread that waits.
    fids : list of int
        Futures of these children.
    until_error, most
        As in `Host.run_children`.
    """

    __slots__ = ("fids", "most", "task", "until_error")

    def __init__(self, task: CurrentTask, fids: list[int], until_error: bool, most: int) -> None:
        self.task = task
        self.fids = fids
        self.until_error = until_error
        self.most = most


class Threads(Protocol):
    """What the executor does for a relay."""

    def next_parked(self) -> Desk | None:
        """A thread that has nothing to do."""

    def new_thread(self, desk: Desk) -> None:
        """Begin one, or raise RuntimeError or MemoryError."""

    def run_children(self, task: CurrentTask, fids: Iterable[int], until_error: bool, most: int) -> None:
        """See `Host`."""

    def hand_over(self, fids: Iterable[int]) -> None:
        """See `Host`."""

    def may_lend(self, desk: Desk) -> None:
        """The slot of this thread's task is lent when the backstop finds it idle."""


class Relays:
    """The threads that have passed on their children.

    Parameters
    ----------
    nest : Nest
        Where the children are.
    host : Host
        Its lock and its pump.
    parked : dict of Desk
        The executor's threads without a job, by identity.
    threads : Threads
        The executor.
    """

    __slots__ = ("_host", "_lock", "_nest", "_parked", "_pump", "_threads")

    def __init__(self, nest: Nest, host: Host, parked: dict[int, Desk], threads: Threads) -> None:
        self._nest = nest
        self._host = host
        self._lock = host.lock
        self._pump = host.pump
        self._parked = parked
        self._threads = threads

    def pass_on(self, task: CurrentTask, fids: list[int], until_error: bool, most: int) -> None:
        """Have another thread run those that can be run, and wait for it; others, if the thread has an event loop."""
        if _get_running_loop() is not None:  # its tasks go on only if the thread does
            self._threads.hand_over(fids)
            return
        with self._lock:
            if not self._nest.children(fids):
                return
        desk: Desk = task.thread
        found = self._threads.next_parked()
        other = Desk(desk.root) if found is None else found
        other.job = None
        other.relay = Relay(task, fids, until_error, most)
        began = monotonic()
        self._move(desk, other)
        other.waiter.open()
        if found is None:
            try:
                self._threads.new_thread(other)
            except (RuntimeError, MemoryError):
                self._move(other, desk)
                self._threads.hand_over(fids)
                return
        self._pump.wait(desk.waiter, -1.0, True)
        desk.waiter.close()
        desk.away += monotonic() - began
        desk.steps += 1
        if desk.lendable and not desk.root.seceded:
            self._threads.may_lend(desk)

    def carry_on(self, desk: Desk) -> None:
        """In the other thread: do it. Then it is among the parked."""
        relay: Relay = desk.relay
        desk.relay = None
        desk.depth = 0
        desk.away = 0.0
        outer = relay.task
        task = CurrentTask(outer.job, self._host, desk, desk.root, outer.outer)
        waiting: Desk = outer.thread
        desk.place.task = task
        try:
            self._threads.run_children(task, relay.fids, relay.until_error, relay.most)
        finally:
            desk.place.task = None
            self._move(desk, waiting)
            self._parked[get_ident()] = desk  # before the other thread may need one again
            waiting.waiter.open()

    def _move(self, desk: Desk, other: Desk) -> None:
        """The slot of the task, and the children that wait for its thread, go from one thread to another."""
        with self._lock:
            other.root = desk.root
            other.brood, desk.brood = desk.brood, None
            other.seat, desk.seat = desk.seat, NO_SEAT
            other.lendable, desk.lendable = desk.lendable, False
