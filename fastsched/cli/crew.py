"""The workers of one ``fastsched-worker``: kept at the number that was asked for.

One concern: which worker processes there are, and whether a dead one is replaced. Called by the command; imports the
fork helper's handle and config.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import click

from fastsched.config import Config
from fastsched.spawn.supervisor import Died, Helper, HelperDied, Spawned

__all__ = ["Crew"]

log = logging.getLogger(__name__)

YOUNG_SECONDS = 5.0  # a worker that ends with an error before this age has failed at its start


class Crew:
    """Some worker processes.

    Parameters
    ----------
    helper : Helper
        Who forks them; whoever made it closes it.
    config : Config
        `start_failures`.
    settings : dict
        What all of them are told, without the name.
    name : str
        Of the first one; others are numbered.
    size : int
        How many.
    """

    def __init__(self, helper: Helper, config: Config, settings: dict[str, Any], name: str, size: int) -> None:
        self._helper = helper
        self._config = config
        self._settings = settings
        self._name = name
        self._size = size
        self._number = 0  # the next one's
        self._started: dict[str, float] = {}  # when those that live were asked for, by the loop's clock
        self._failures = 0  # at the start, in a row

    async def work(self) -> int:
        """Start the workers and replace those that die. Returns when none is left that should live.

        Returns
        -------
        int
            0 if all of them ended well (the scheduler is gone, or told them to), 1 if it is no use to start more.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[int] = loop.create_future()
        loop.add_reader(self._helper.fileno(), self._on_events, loop, done)
        try:
            for _ in range(self._size):
                self._spawn(loop.time())
            return await done
        finally:
            loop.remove_reader(self._helper.fileno())

    def _spawn(self, now: float) -> None:
        name = self._name if self._size == 1 and self._number == 0 else f"{self._name}-{self._number}"
        self._number += 1
        self._started[name] = now
        self._helper.spawn(name, self._settings | {"name": name})

    def _on_events(self, loop: asyncio.AbstractEventLoop, done: asyncio.Future[int]) -> None:
        for event in self._helper.read_events():
            if done.done():
                return
            if isinstance(event, Spawned):
                click.echo(f"worker {event.name} runs (pid {event.pid})")
            elif isinstance(event, Died):
                code = self._died(event, loop.time())
                if code is not None:
                    done.set_result(code)
            elif isinstance(event, HelperDied):
                log.error("the fork helper died (%s): all workers are gone", event.how)
                done.set_result(1)

    def _died(self, event: Died, now: float) -> int | None:
        """Replace a worker that should not have ended; gives back the exit code if this was the end."""
        age = now - self._started.pop(event.name, now)
        if event.code == 0:
            return None if self._started else 0
        log.warning("worker %s (pid %d) died: %s", event.name, event.pid, event.how)
        self._failures = self._failures + 1 if age < YOUNG_SECONDS else 0
        if self._failures >= self._config.start_failures:
            log.error("%d workers in a row died at their start: it is no use to start more", self._failures)
            return 1
        if self._helper.alive:
            self._spawn(now)
        return None
