"""Deadlines of peers: they hold, but not against a process that was stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from fastsched.net.patience import Limit, within
from tests.servers.net import run, turn


class Loop:
    """A loop whose time is ours."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Timer:
        self.timers.append(Timer(self, self.now + seconds, callback))
        return self.timers[-1]

    def go_to(self, now: float) -> None:
        """As a loop does that looked the last time long ago."""
        self.now = now
        for timer in list(self.timers):
            if timer.due <= now:
                self.timers.remove(timer)
                timer.callback()


class Timer:
    def __init__(self, loop: Loop, due: float, callback: Callable[[], object]) -> None:
        self.due = due
        self.callback = callback
        self._loop = loop

    def cancel(self) -> None:
        if self in self._loop.timers:
            self._loop.timers.remove(self)


@pytest.fixture
def rung() -> list[float]:
    return []


def test_a_limit_rings_when_its_time_has_passed(rung):
    loop = Loop()
    Limit(loop, 2.0, lambda: rung.append(loop.now))
    loop.go_to(101.9)
    assert rung == []
    loop.go_to(102.1)
    assert rung == [102.1]


def test_a_process_that_was_stopped_gives_the_whole_time_once_more(rung):
    loop = Loop()
    Limit(loop, 2.0, lambda: rung.append(loop.now))
    loop.go_to(150.0)
    assert rung == []
    loop.go_to(151.9)
    assert rung == []
    loop.go_to(152.0)
    assert rung == [152.0]


def test_what_was_done_in_time_rings_no_more(rung):
    loop = Loop()
    limit = Limit(loop, 2.0, lambda: rung.append(loop.now))
    loop.go_to(150.0)
    limit.cancel()
    loop.go_to(200.0)
    assert rung == []


@run
async def test_a_block_that_takes_too_long_is_ended():
    with pytest.raises(TimeoutError):
        async with within(0.01):
            await asyncio.Event().wait()


@run
async def test_a_block_that_ends_in_time_is_not():
    async with within(5.0):
        await turn()
