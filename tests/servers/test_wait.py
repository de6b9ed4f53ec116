"""One thread that waits, and one lock: what `_wait` promises."""

import threading

import pytest

from fastsched._wait import TurnLock, Waiter, in_turn, may_wait
from tests.servers.pump_rig import SECONDS, Alarm


def test_what_is_open_is_not_waited_for():
    waiter = Waiter()
    waiter.open()
    assert waiter.over
    assert waiter.block(SECONDS)


def test_a_wait_ends_with_its_time():
    assert not Waiter().block(0.0)
    assert not Waiter().block(0.001)


def test_a_closed_waiter_waits_again():
    waiter = Waiter()
    waiter.open()
    waiter.close()
    assert not waiter.over
    assert not waiter.block(0.0)


def test_a_nudge_wakes_once_and_opens_nothing():
    waiter = Waiter()
    waiter.nudge()
    waiter.nudge()
    assert waiter.block(SECONDS)
    assert not waiter.over
    assert not waiter.block(0.0)


def test_another_thread_opens():
    waiter = Waiter()
    threading.Thread(target=waiter.open).start()
    assert waiter.block(SECONDS)


def test_a_signal_handler_that_raises_ends_the_wait_and_spoils_nothing(alarm):
    waiter = Waiter()
    with pytest.raises(Alarm):
        alarm.ring_in(0.001)
        waiter.block(SECONDS)
    assert not waiter.block(0.0)
    waiter.open()
    assert waiter.block(0.0)


def test_one_turn_at_a_time():
    lock, inside, most, together = TurnLock(), [], [], threading.Barrier(4)

    def take_turns():
        together.wait(SECONDS)
        for _ in range(200):
            with lock:
                inside.append(None)
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=take_turns) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(most) == 800
    assert max(most) == 1


def test_a_turn_within_a_turn_is_refused_and_not_waited_for():
    lock = TurnLock()
    with lock:
        assert lock.mine()
        with pytest.raises(RuntimeError, match="inside another"):
            lock.acquire()
    assert not lock.mine()
    with lock:
        pass


def test_a_lock_of_another_thread_is_not_mine():
    lock, seen = TurnLock(), []
    with lock:
        other = threading.Thread(target=lambda: seen.append(lock.mine()))
        other.start()
        other.join(SECONDS)
    assert seen == [False]


def test_a_thread_knows_whether_it_is_in_a_turn_of_any_lock():
    first, second, seen = TurnLock(), TurnLock(), []
    assert not in_turn()
    with first:
        assert in_turn()
        assert not may_wait()
        with second:
            pass
        assert in_turn()
        other = threading.Thread(target=lambda: seen.append(in_turn()))
        other.start()
        other.join(SECONDS)
        with pytest.raises(RuntimeError):
            first.acquire()
    assert not in_turn()
    assert may_wait()
    assert seen == [False]
