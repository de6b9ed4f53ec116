"""Memory against its limit: when workers are looked at, paused, ended, and left alone."""

from __future__ import annotations

import pytest

from fastsched.spawn import watch
from fastsched.spawn.watch import BUSY_SECONDS, QUIET_LOOKS, Finding, MemoryWatch

PID, LIMIT, PAUSE = 17, 1_000_000_000, 800_000_000


class Peephole:
    """A worker's page, as a test likes it."""

    def __init__(self) -> None:
        self.is_busy = self.is_asleep = False

    def busy(self) -> bool:
        return self.is_busy

    def doze(self) -> None:
        self.is_asleep = True

    def asleep(self) -> bool:
        return self.is_asleep


class Rig:
    """One worker that is watched, and time that stands still."""

    def __init__(self) -> None:
        self.used = 0
        self.now = 100.0
        self.peephole = Peephole()
        self.watch = MemoryWatch()
        self.watch.add(PID, LIMIT, PAUSE, self.peephole, self.now)

    def look(self) -> list[Finding]:
        """At the next time that one is due."""
        self.now += self.watch.timeout(self.now)
        return self.watch.look(self.now)


@pytest.fixture
def rig(monkeypatch) -> Rig:
    rig = Rig()
    monkeypatch.setattr(watch, "used_bytes", lambda pid: rig.used if pid == PID else 0)
    return rig


def test_without_workers_nothing_is_ever_due():
    assert MemoryWatch().timeout(0.0) is None
    assert MemoryWatch().look(0.0) == []


def test_a_look_that_is_not_due_costs_nothing(rig):
    rig.used = 2 * LIMIT
    assert rig.watch.look(rig.now) == []
    assert rig.watch.look(rig.now + BUSY_SECONDS) != []


def test_a_busy_worker_is_paused_above_the_mark_and_goes_on_below_it(rig):
    rig.peephole.is_busy = True
    rig.used = PAUSE + 1
    assert rig.look() == [Finding(PID, True, "")]
    assert rig.look() == []
    rig.used = PAUSE
    assert rig.look() == [Finding(PID, False, "")]


def test_a_worker_that_executes_nothing_is_not_paused_however_much_it_holds(rig):
    rig.used = LIMIT
    assert rig.look() == []
    rig.peephole.is_busy = True
    assert rig.look() == [Finding(PID, True, "")]
    rig.peephole.is_busy = False
    assert rig.look() == [Finding(PID, False, "")]


@pytest.mark.parametrize("busy", [True, False])
def test_a_worker_above_its_limit_must_end_and_the_reason_has_the_figures(rig, busy):
    rig.peephole.is_busy = busy
    rig.used = 1_200_000_000
    assert rig.look() == [Finding(PID, busy, "out of memory: used 1.2 GB of 1 GB")]
    assert rig.watch.timeout(rig.now) is None  # it is told once


def test_busy_workers_are_looked_at_ten_times_a_second(rig):
    rig.peephole.is_busy = True
    times = []
    for _ in range(50):
        rig.look()
        times.append(rig.now)
    assert times[-1] - times[0] == pytest.approx(49 * BUSY_SECONDS)


def test_idle_workers_are_left_alone_until_they_wake_us(rig):
    for _ in range(QUIET_LOOKS):
        assert not rig.peephole.asleep()
        rig.look()
        assert rig.watch.timeout(rig.now) == pytest.approx(BUSY_SECONDS)  # at the end, too: it may have begun
    assert rig.peephole.asleep()
    rig.look()
    assert rig.watch.timeout(rig.now) is None
    rig.peephole.is_busy, rig.peephole.is_asleep = True, False
    rig.watch.woken(rig.now)
    assert rig.watch.timeout(rig.now) == pytest.approx(BUSY_SECONDS)
    rig.look()
    assert rig.watch.timeout(rig.now) == pytest.approx(BUSY_SECONDS)


def test_somebody_elses_wake_up_call_wakes_no_sleeper(rig):
    for _ in range(QUIET_LOOKS + 1):
        rig.look()
    rig.watch.woken(rig.now)
    rig.look()
    assert rig.watch.timeout(rig.now) is None


def test_what_others_put_into_an_idle_worker_is_noticed(rig):
    for _ in range(QUIET_LOOKS + 1):
        rig.look()
    rig.used = LIMIT + 1
    rig.peephole.is_asleep = False
    rig.watch.woken(rig.now)
    assert rig.look()[0].over


def test_a_worker_that_has_ended_is_looked_at_no_more(rig):
    rig.watch.remove(PID)
    assert rig.watch.timeout(rig.now) is None
    rig.watch.remove(PID)
