"""Virtual time: nothing waits, the clock jumps to what is due next.

One concern: events by time, and of those due at the same time in the order in which they were planned. So a run is
decided by its seed alone. Some events are in the *background*: they come again and again though nothing happens, as
beats of a pulse do. What is planned during such an event is in the background, too, unless somebody says otherwise.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

__all__ = ["Alarm", "Clock", "Event", "Process"]


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
        self.busy_at = 0.0  # when something happened last that was not in the background
        self._heap: list[tuple[float, int, Event]] = []
        self._background: list[tuple[float, int, Event]] = []
        self._in_background = False
        self._planned = 0

    def at(self, when: float, action: Callable[[], object], background: bool | None = None) -> Event:
        """Have something happen at a time; what is late happens now. `background`: None: as what happens now is."""
        event = Event(max(when, self.now), action)
        self._planned += 1
        heap = self._background if (self._in_background if background is None else background) else self._heap
        heapq.heappush(heap, (event.when, self._planned, event))
        return event

    def after(self, seconds: float, action: Callable[[], object], background: bool | None = None) -> Event:
        """Have something happen later."""
        return self.at(self.now + seconds, action, background)

    def step(self) -> bool:
        """Jump to the next event and let it happen. False: nothing is planned."""
        while self._heap or self._background:
            self._in_background = not self._heap or (bool(self._background) and self._background[0] < self._heap[0])
            when, _, event = heapq.heappop(self._background if self._in_background else self._heap)
            action = event.action
            if action is not None:
                self.now = when
                self.steps += 1
                if not self._in_background:
                    self.busy_at = when
                action()
                break
        else:
            return False
        self._in_background = False
        return True

    @property
    def quiet_for(self) -> float:
        """Seconds in which nothing has happened but in the background; 0: something else is planned."""
        while self._heap and self._heap[0][2].action is None:
            heapq.heappop(self._heap)
        return 0.0 if self._heap else self.now - self.busy_at


class Process:
    """The time of a process that can be stopped: what happens to it meanwhile, happens when it goes on.

    Parameters
    ----------
    clock : Clock
        Goes on in any case.
    """

    def __init__(self, clock: Clock) -> None:
        self.stopped = False
        self._clock = clock
        self._arrived: list[tuple[Event, Callable[[], object]]] = []  # while it was stopped
        self._rang: list[tuple[Event, Callable[[], object]]] = []

    @property
    def now(self) -> float:
        """The time."""
        return self._clock.now

    def at(self, when: float, action: Callable[[], object], background: bool | None = None) -> Event:
        """See `Clock.at`."""
        return self._plan(when, action, background, self._rang)

    def after(self, seconds: float, action: Callable[[], object], background: bool | None = None) -> Event:
        """See `Clock.after`."""
        return self._plan(self._clock.now + seconds, action, background, self._rang)

    def arrival(self, when: float, action: Callable[[], object], background: bool | None = None) -> Event:
        """Have something arrive from elsewhere."""
        return self._plan(when, action, background, self._arrived)

    def stop(self) -> None:
        """As by SIGSTOP."""
        self.stopped = True

    def go_on(self) -> None:
        """As by SIGCONT: it reads what has come, and then looks at the clock."""
        self.stopped = False
        for missed in (self._arrived, self._rang):
            events, missed[:] = list(missed), []
            for event, action in events:
                if event.action is not None:
                    action()

    def _plan(
        self,
        when: float,
        action: Callable[[], object],
        background: bool | None,
        missed: list[tuple[Event, Callable[[], object]]],
    ) -> Event:
        def happen() -> None:
            if self.stopped:
                missed.append((event, action))
            else:
                action()

        event = self._clock.at(when, happen, background)
        return event


class Alarm:
    """Rings at the next deadline of a machine, which may change at each step.

    Parameters
    ----------
    clock : Clock or Process
        The time.
    ring : callable
        Told that the deadline has come.
    background : bool
        Whether it may ring again and again though nothing happens.
    """

    def __init__(self, clock: Clock | Process, ring: Callable[[], object], background: bool = False) -> None:
        self._clock = clock
        self._ring = ring
        self._background = background
        self._event: Event | None = None

    def set(self, deadline: float | None) -> None:
        """Ring at this time instead of any that was set before; None: not at all."""
        if self._event is not None:
            self._event.cancel()
        self._event = None if deadline is None else self._clock.at(deadline, self._ring, self._background)
