"""Which worker processes there should be, and when the next one is started.

One concern: supervision as decisions over names and times: no process, no clock, no socket. Called by whoever holds a
`Helper`: the embedded cluster and ``fastsched-worker``. Imports the config.

The rules. A worker that dies while it executes tasks is replaced at once: the tasks are blamed, and each of them is
blamed `allowed_failures` times at the most. One that dies at its start, or with nothing to do, is nobody's fault but
its own: the first time it is replaced at once, then after a pause that doubles. When that has happened too often, in a
row, no more are started.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from fastsched.config import Config

__all__ = ["Roster"]

LONGEST_PAUSE = 10.0  # seconds
STEADY_SECONDS = 60.0
"""A worker that has lived so long began well: what killed it is not what killed the one before it."""


class _Place:
    """Where one worker works after the other."""

    __slots__ = ("failures", "joined", "since")

    def __init__(self) -> None:
        self.failures = 0  # in a row
        self.since = 0.0  # when the present worker was started
        self.joined = False  # it was let in


class Roster:
    """The workers of one supervisor.

    Parameters
    ----------
    config : Config
        `start_failures`, `idle_failures`, `start_seconds`, `restart_seconds`.
    name : callable
        From the number of a worker to its name.
    most : int
        Workers that start at the same time: a machine that is busy starting processes starts none of them in time.

    Attributes
    ----------
    given_up : str
        Why no more workers will be started; "" as long as they are.
    """

    def __init__(self, config: Config, name: Callable[[int], str], most: int) -> None:
        self._config = config
        self._name = name
        self._most = most
        self._due: list[tuple[float, int, _Place]] = []  # when the next worker of a place may start; a heap
        self._asked = 0  # numbers the entries above
        self._number = 0  # of the next worker
        self._places: dict[str, _Place] = {}  # by the name of the worker that is in it
        self._starting: set[str] = set()
        self._failures = 0  # workers that died at their start, in a row
        self._expected = 0  # of the first workers, those that have not come yet
        self.given_up = ""
        self._closed = False  # no more workers are wanted

    @property
    def complete(self) -> bool:
        """Whether the workers that were asked for have come, or will not."""
        return self._expected <= 0 or bool(self.given_up)

    @property
    def empty(self) -> bool:
        """Whether no worker lives, and none will be started."""
        return not self._places and (not self._due or self._closed or bool(self.given_up))

    def ask_for(self, count: int, now: float) -> None:
        """So many more workers."""
        self._expected += count
        for _ in range(count):
            self._push(now, _Place())

    def start(self, now: float) -> list[str]:
        """The names of workers that are to be started now."""
        names: list[str] = []
        while self._due and self._due[0][0] <= now and self._may_start():
            _, _, place = heapq.heappop(self._due)
            name = self._name(self._number)
            self._number += 1
            place.since = now
            place.joined = False
            self._places[name] = place
            self._starting.add(name)
            names.append(name)
        return names

    def joined(self, name: str) -> None:
        """The scheduler has let this worker in."""
        place = self._places.get(name)
        if place is not None and not place.joined:
            place.joined = True
            self._starting.discard(name)
            self._failures = 0
            self._expected -= 1

    def died(self, name: str, how: str, blamed: bool, now: float) -> None:
        """A worker has died, though nobody told it to.

        Parameters
        ----------
        name : str
            Which.
        how : str
            For people.
        blamed : bool
            Whether a task was executing.
        now : float
            The time.
        """
        place = self._places.pop(name, None)
        if place is None:
            return
        self._starting.discard(name)
        if self._closed:  # it was told to, or would have been
            return
        if blamed:
            place.failures = 0
            self._push(now, place)
            return
        if not place.joined:
            self._failures += 1
        elif now - place.since >= STEADY_SECONDS:
            place.failures = 0
        place.failures += 1
        if self._failures >= self._config.start_failures:
            self.give_up(f"{self._failures} worker processes in a row ended at their start, the last: {how}")
        elif place.failures >= self._config.idle_failures:
            self.give_up(
                f"{place.failures} worker processes in a row ended with nothing to do, each soon after its start, "
                f"the last: {how}"
            )
        else:
            self._push(now + self._pause(place.failures), place)

    def left(self, name: str) -> None:
        """A worker has ended as it was told to: it is not replaced."""
        self._places.pop(name, None)
        self._starting.discard(name)

    def close(self) -> tuple[list[str], list[str]]:
        """No more workers are wanted: those that have been let in, and those that are still starting."""
        self._closed = True
        return [name for name, place in self._places.items() if place.joined], list(self._starting)

    def give_up(self, text: str) -> None:
        """No more workers will be started."""
        self.given_up = self.given_up or text

    def late(self, now: float) -> list[str]:
        """The workers that have taken too long to start, and are to be killed; if they live on, they are late again."""
        limit = self._config.start_seconds
        names = [name for name in self._starting if now - self._places[name].since >= limit]
        for name in names:
            self._places[name].since = now
        return names

    def next_deadline(self) -> float | None:
        """When `start` or `late` will have something new to say."""
        times = [self._places[name].since + self._config.start_seconds for name in self._starting]
        if self._due and self._may_start():
            times.append(self._due[0][0])
        return min(times, default=None)

    def _may_start(self) -> bool:
        return len(self._starting) < self._most and not self._closed and not self.given_up

    def _push(self, when: float, place: _Place) -> None:
        self._asked += 1
        heapq.heappush(self._due, (when, self._asked, place))

    def _pause(self, failures: int) -> float:
        """Before the next worker of a place is started, after so many failures in a row."""
        if failures < 2:
            return 0.0
        return min(self._config.restart_seconds * 2.0 ** min(failures - 2, 30), LONGEST_PAUSE)
