"""Virtual time: nothing waits, the clock jumps to what is due next.

One concern: events by time, and of those due at the same time in the order in which they were planned. So a run is
decided by its seed alone.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["Alarm", "Clock", "Event"]


class Event:
    """Something planned. It can be called off."""

    __slots__ = ("action", "when")

    def __init__(self, when: float, action: Callable[[], object]) -> None:
        self.when = when
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        """It does not happen."""
        self.action = None


class Clock:
    """The time of a simulated world, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self._heap: list[tuple[float, int, Event]] = []
        self._planned = 0

    def at(self, when: float, action: Callable[[], object]) -> Event:
        """Have something happen at a time; what is late happens now."""
        event = Event(max(when, self.now), action)
        self._planned += 1
        heapq.heappush(self._heap, (event.when, self._planned, event))
        return event

    def after(self, seconds: float, action: Callable[[], object]) -> Event:
        """Have something happen later."""
        return self.at(self.now + seconds, action)

    def step(self) -> bool:
        """Jump to the next event and let it happen. False: nothing is planned."""
        while self._heap:
            when, _, event = heapq.heappop(self._heap)
            action = event.action
            if action is not None:
                self.now = when
                self.steps += 1
                action()
                return True
        return False


class Alarm:
    """Rings at the next deadline of a machine, which may change at each step.

    Parameters
    ----------
    clock : Clock
        The time.
    ring : callable
        Told that the deadline has come.
    """

    def __init__(self, clock: Clock, ring: Callable[[], object]) -> None:
        self._clock = clock
        self._ring = ring
        self._event: Event | None = None

    def set(self, deadline: float | None) -> None:
        """Ring at this time instead of any that was set before; None: not at all."""
        if self._event is not None:
            self._event.cancel()
        self._event = None if deadline is None else self._clock.at(deadline, self._ring)
