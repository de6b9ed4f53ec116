"""The pulse of a simulated worker: what the thread in C of `net._pulse` does in a real one.

One concern: when a beat is put between two messages. Whoever holds something of the cluster, or was told something,
lets itself be heard; whoever has not, sleeps after a while. All of it is in the background: a run that consists of
beats is over.
"""

from __future__ import annotations

from fastsched.wire.messages import Pulse
from tests.sim.clock import Clock, Event, Process
from tests.sim.network import End

__all__ = ["Heart"]

QUIET_BEATS = 5
"""As in the real one."""

LEAST = 1e-3  # seconds: the real one sleeps for whole milliseconds


class Heart:
    """Begins at once.

    Parameters
    ----------
    clock : Clock or Process
        The worker's.
    end : End
        Its connection to the scheduler.
    every : float
        Seconds; nothing is put in if something has left within this time.
    """

    def __init__(self, clock: Clock | Process, end: End, every: float) -> None:
        self._clock = clock
        self._end = end
        self._every = every
        self._rows = self._quiet = 0
        self._owed = False
        self._next: Event | None = None  # None: it sleeps
        end.send(Pulse(0))  # that it has one
        self._beat()

    def hold(self, rows: int) -> None:
        """So much of the cluster is held now."""
        self._rows = rows
        self._wake()

    def told(self, rows: int) -> None:
        """The same, after something was received: that is answered by a beat at least."""
        self._owed = True
        self.hold(rows)

    def stop(self) -> None:
        """Beat no more."""
        if self._next is not None:
            self._next.cancel()

    def _wake(self) -> None:
        if self._next is None and (self._rows or self._owed):
            self._beat()

    def _beat(self) -> None:
        self._next = None
        left = self._every
        if self._rows or self._owed:
            self._quiet = 0
            left = self._end.said_at + self._every - self._clock.now
            if left <= 0.0:
                self._end.send(Pulse(0))
                self._owed = False
                left = self._every
        else:
            self._quiet += 1
        if self._quiet < QUIET_BEATS:
            self._next = self._clock.after(max(left, LEAST), self._beat, background=True)
