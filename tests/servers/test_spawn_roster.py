"""Supervision as decisions: who is replaced, when, and when it is no use any more. No process, no clock."""

from __future__ import annotations

import pytest

from fastsched.config import Config
from fastsched.spawn.roster import LONGEST_PAUSE, STEADY_SECONDS, Roster


def roster(most: int = 100, **config: float) -> Roster:
    return Roster(Config(**config), "w{}".format, most)


def test_as_many_workers_are_started_as_were_asked_for():
    ours = roster()
    ours.ask_for(3, 0.0)
    assert ours.start(0.0) == ["w0", "w1", "w2"]
    assert ours.start(0.0) == []


def test_workers_start_in_waves():
    ours = roster(most=2)
    ours.ask_for(3, 0.0)
    assert ours.start(0.0) == ["w0", "w1"]
    assert ours.start(0.0) == []
    ours.joined("w1")
    assert ours.start(0.0) == ["w2"]


def test_the_roster_is_complete_when_all_have_come_in_spite_of_deaths():
    ours = roster()
    assert ours.complete
    ours.ask_for(2, 0.0)
    ours.start(0.0)
    ours.joined("w0")
    ours.died("w1", "exit 1", False, 0.0)
    assert not ours.complete
    assert ours.start(0.0) == ["w2"]
    ours.joined("w2")
    assert ours.complete


def test_a_worker_that_died_under_a_task_is_replaced_at_once_however_often():
    ours = roster()
    ours.ask_for(1, 0.0)
    for number in range(2000):
        assert ours.start(0.0) == [f"w{number}"]
        ours.joined(f"w{number}")
        ours.died(f"w{number}", "SIGSEGV", True, 0.0)
    assert ours.given_up == ""


def pauses(ours: Roster, joins: bool, blamed: bool = False, lives: float = 0.0) -> list[float]:
    """The pauses before the replacements of workers that die, until supervision gives up."""
    now, found = 0.0, []
    ours.ask_for(1, now)
    while not ours.given_up:
        (name,) = ours.start(now)
        if joins:
            ours.joined(name)
        now += lives
        ours.died(name, "SIGKILL", blamed, now)
        if ours.given_up or len(found) > 20:
            break
        due = ours.next_deadline()
        found.append(round(due - now, 6))
        assert ours.start(due - 0.001) == [] or found[-1] == 0
        now = due
    return found


def test_deaths_with_nothing_to_do_are_followed_by_longer_and_longer_pauses():
    ours = roster(idle_failures=12, restart_seconds=0.1)
    found = pauses(ours, joins=True)
    assert found == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert ours.given_up.startswith("12 worker processes in a row ended with nothing to do")
    assert ours.given_up.endswith("the last: SIGKILL")


def test_deaths_at_start_are_given_up_sooner():
    ours = roster(start_failures=3, restart_seconds=0.1)
    assert pauses(ours, joins=False) == [0.0, 0.1]
    assert ours.given_up == "3 worker processes in a row ended at their start, the last: SIGKILL"
    assert ours.complete
    assert ours.empty
    assert ours.start(100.0) == []
    assert ours.next_deadline() is None


def test_a_worker_that_has_lived_long_began_well():
    assert pauses(roster(), joins=True, lives=STEADY_SECONDS) == [0.0] * 21


def test_a_death_under_a_task_ends_the_row():
    ours = roster(idle_failures=3)
    ours.ask_for(1, 0.0)
    for blamed in (False, False, True, False, False):
        (name,) = ours.start(10.0)
        ours.joined(name)
        ours.died(name, "SIGKILL", blamed, 0.0)
    assert ours.given_up == ""


def test_a_worker_that_comes_ends_the_row_of_failed_starts_of_all():
    ours = roster(start_failures=2)
    ours.ask_for(2, 0.0)
    ours.start(0.0)
    ours.died("w0", "exit 1", False, 0.0)
    ours.joined("w1")
    ours.start(0.0)
    ours.died("w2", "exit 1", False, 0.0)
    assert ours.given_up == ""


def test_idle_deaths_are_counted_for_each_place():
    ours = roster(idle_failures=3)
    ours.ask_for(3, 0.0)
    names = ours.start(0.0)
    for _ in range(2):
        for name in names:
            ours.joined(name)
            ours.died(name, "SIGKILL", False, 0.0)
        names = ours.start(1.0)
    assert ours.given_up == ""
    assert len(names) == 3


def test_a_worker_that_left_is_not_replaced():
    ours = roster()
    ours.ask_for(1, 0.0)
    ours.start(0.0)
    ours.joined("w0")
    assert not ours.empty
    ours.left("w0")
    assert ours.empty
    assert ours.start(100.0) == []


def test_a_roster_that_is_closed_names_who_is_there_and_starts_nobody_any_more():
    ours = roster()
    ours.ask_for(3, 0.0)
    assert ours.start(0.0) == ["w0", "w1", "w2"]
    ours.joined("w0")
    ours.joined("w2")
    here, starting = ours.close()
    assert (here, starting) == (["w0", "w2"], ["w1"])
    ours.died("w1", "SIGKILL", False, 1.0)
    ours.died("w0", "SIGSEGV", True, 1.0)
    assert ours.start(100.0) == []
    assert ours.next_deadline() is None
    assert not ours.empty
    ours.left("w2")
    assert ours.empty


def test_a_worker_that_does_not_come_in_time_is_named_again_and_again():
    ours = roster(start_seconds=30.0)
    ours.ask_for(2, 0.0)
    ours.start(0.0)
    ours.joined("w0")
    assert ours.next_deadline() == 30.0
    assert ours.late(29.0) == []
    assert ours.late(30.0) == ["w1"]
    assert ours.late(31.0) == []  # it was told to end
    assert ours.next_deadline() == 60.0
    ours.died("w1", "SIGKILL", False, 31.0)
    assert ours.start(31.0) == ["w2"]


@pytest.mark.parametrize("call", ["joined", "left"])
def test_news_of_a_stranger_changes_nothing(call: str):
    ours = roster()
    ours.ask_for(1, 0.0)
    ours.start(0.0)
    getattr(ours, call)("nobody")
    ours.died("nobody", "SIGKILL", False, 0.0)
    assert ours.start(0.0) == []
    assert not ours.complete
