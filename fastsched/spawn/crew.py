"""Worker processes that are kept at the number that was asked for.

One concern: join a `Helper`, a `Roster` and whoever oversees the workers: the scheduler, which has to know how they
ended. Called by the embedded cluster and by ``fastsched-worker``, in the thread of their loop. Imports the rest of this
room and the config.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from fastsched.config import Config
from fastsched.spawn.roster import Roster
from fastsched.spawn.supervisor import Died, Event, Helper, HelperDied, Pressed

__all__ = ["Crew", "Overseer"]

log = logging.getLogger("fastsched.spawn")

WAVE = 4  # worker processes that start at the same time, per core


class Overseer(Protocol):
    """Who is told about the workers: the scheduler, or its representative."""

    def expect(self, name: str) -> None:
        """A worker of this name is started; `worker_died` will tell how it ends."""

    def worker_died(self, name: str, how: str, executing: Sequence[int] | None, stderr: str) -> None:
        """It has ended."""

    def pressed(self, name: str, pressed: bool) -> None:
        """It should get no tasks, or may get some again."""

    def retire(self, names: Iterable[str]) -> None:
        """These workers shall leave as planned."""

    def give_up(self, text: str) -> None:
        """No more workers will be started."""


class Crew:
    """Some worker processes.

    Parameters
    ----------
    helper : Helper
        Who forks them; whoever made it closes it.
    config : Config
        See `Roster`.
    loop : asyncio.AbstractEventLoop
        All methods are called in its thread.
    settings : callable
        From a worker's name to what it is told.
    name : callable
        From a worker's number to its name.
    overseer : Overseer
        Who is told.
    may_leave : bool
        Whether a worker that ends with 0, and executes nothing, did as it was told: it is not replaced.

    Attributes
    ----------
    on_event : callable
        Told of everything that happens to the workers, after it was dealt with.
    """

    def __init__(
        self,
        helper: Helper,
        config: Config,
        loop: asyncio.AbstractEventLoop,
        settings: Callable[[str], dict[str, Any]],
        name: Callable[[int], str],
        overseer: Overseer,
        may_leave: bool,
    ) -> None:
        self.helper = helper
        self.on_event: Callable[[Event], object] = _ignore
        self._loop = loop
        self._settings = settings
        self._overseer = overseer
        self._may_leave = may_leave
        self._roster = Roster(config, name, WAVE * (os.cpu_count() or 1))
        self._killed: dict[str, str] = {}  # why we have killed a worker
        self._leaving: set[str] = set()  # workers that leave as planned
        self._start_seconds = config.start_seconds
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    def complete(self) -> bool:
        """Whether the workers that were asked for have come, or will not."""
        return self._stopped or self._roster.complete

    @property
    def empty(self) -> bool:
        """Whether no worker lives, and none will be started."""
        return self._stopped or self._roster.empty

    @property
    def given_up(self) -> str:
        """Why no more workers will be started; "" as long as they are."""
        return self._roster.given_up

    def start(self, count: int) -> None:
        """Ask for the first workers, and listen to the helper."""
        self._loop.add_reader(self.helper.fileno(), self._on_events)
        self._roster.ask_for(count, self._loop.time())
        self._go_on()

    def stop(self) -> None:
        """Replace nobody any more, and hear nothing."""
        if not self._stopped:
            self._stopped = True
            self._loop.remove_reader(self.helper.fileno())
            if self._timer is not None:
                self._timer.cancel()

    def joined(self, name: str) -> None:
        """The scheduler has let this worker in."""
        self._roster.joined(name)
        self._go_on()

    def lost(self, name: str, why: str) -> None:
        """The scheduler has lost this worker, whose process may still live: it is not to come back."""
        self._kill(name, why)

    def left(self, name: str) -> None:
        """This worker leaves as planned: however it ends, it is not replaced."""
        self._leaving.add(name)

    def leaves(self, name: str) -> bool:
        """Whether this worker leaves as planned, or has left so just now."""
        return name in self._leaving

    def retire(self) -> None:
        """All workers shall leave as planned, and none is started any more."""
        here, starting = self._roster.close()
        for name in starting:  # also for those that have been let in meanwhile: it ends them as planned
            self.helper.signal(name, signal.SIGHUP)
        self._overseer.retire(here + starting)

    def _go_on(self) -> None:
        """Start what is due, end what is late, and come back when there will be more of that."""
        if self._stopped:
            return
        now = self._loop.time()
        if self.helper.alive:
            for name in self._roster.start(now):
                self._overseer.expect(name)
                self.helper.spawn(name, self._settings(name))
            for name in self._roster.late(now):
                self._kill(name, f"it did not sign on within {self._start_seconds:g} s")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._roster.next_deadline()
        if deadline is not None and self.helper.alive:
            self._timer = self._loop.call_at(deadline, self._go_on)

    def _kill(self, name: str, why: str) -> None:
        self._killed.setdefault(name, why)
        self.helper.signal(name, signal.SIGKILL)

    def _on_events(self) -> None:
        for event in self.helper.read_events():
            if self._stopped:
                return
            if isinstance(event, Died):
                self._died(event)
            elif isinstance(event, Pressed):
                self._overseer.pressed(event.name, event.pressed)
            elif isinstance(event, HelperDied):
                self._loop.remove_reader(self.helper.fileno())
                self._give_up(f"the fork helper of the workers died ({event.how}): no worker can be started any more")
            self.on_event(event)
            if isinstance(event, Died):
                self._leaving.discard(event.name)
        self._go_on()

    def _died(self, event: Died) -> None:
        how = self._killed.pop(event.name, event.how)
        blamed = bool(event.executing)
        self._overseer.worker_died(event.name, how, event.executing, event.stderr)
        if event.joined:  # the news of it may still be under way
            self._roster.joined(event.name)
        if event.name in self._leaving or (event.code == 0 and not blamed and self._may_leave):
            self._roster.left(event.name)
            return
        had = self.given_up
        self._roster.died(event.name, _with_last_line(how, event.stderr), blamed, self._loop.time())
        if self.given_up and not had:
            self._give_up(self.given_up)

    def _give_up(self, text: str) -> None:
        self._roster.give_up(text)
        log.error("%s: no more workers are started", text)
        self._overseer.give_up(text)


def _with_last_line(how: str, stderr: str) -> str:
    """How it ended, and the last thing that it said: of a traceback that is the exception."""
    _, _, line = stderr.rpartition("\n")
    return f"{how}: {line}" if line else how


def _ignore(event: Event) -> None:
    """Nobody has asked to hear of workers."""
