"""The interpreter's switch interval: short while threads read, and never anybody else's affair."""

import gc
import os
import sys

import pytest

from fastsched._wait import Waiter
from fastsched.net._pump import Pump
from tests.servers.pump_rig import Loop, Waiting, Wire


def test_the_switch_interval_is_short_while_threads_read_and_what_it_was_a_while_later(pump, wire, loop):
    before = sys.getswitchinterval()
    assert before > 1e-3
    found = []
    wire.on_read = lambda: found.append(sys.getswitchinterval())
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    assert found == [pytest.approx(1e-4)]
    assert loop.settle()
    assert sys.getswitchinterval() == before


def test_a_switch_interval_that_somebody_sets_meanwhile_stays(pump, wire, loop):
    before = sys.getswitchinterval()
    wire.on_read = lambda: sys.setswitchinterval(0.002)
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    assert loop.settle()
    try:
        assert sys.getswitchinterval() == pytest.approx(0.002)
    finally:
        sys.setswitchinterval(before)


def test_the_switch_interval_is_what_it_was_when_the_last_of_several_pumps_is_done(pump, wire):
    before = sys.getswitchinterval()
    other = Pump(Loop())
    other_wire = Wire(other)
    first, second = Waiting(pump, wire, "a"), Waiting(other, other_wire, "a")
    first.reads()
    second.reads()
    pump.close()
    assert sys.getswitchinterval() == pytest.approx(1e-4)
    other.close()
    assert sys.getswitchinterval() == before
    for waiting in (first, second):
        waiting.waiter.open()
        assert waiting.done()
    other_wire.close()


def test_a_switch_interval_does_not_shrink_by_being_put_back(pump, wire, loop):
    before = sys.getswitchinterval()
    sys.setswitchinterval(200.5e-6)
    odd = sys.getswitchinterval()  # set again, this would be one microsecond less
    try:
        for _ in range(3):
            waiting = Waiting(pump, wire, "a")
            wire.send("a")
            assert waiting.done()
            assert loop.settle()
        assert sys.getswitchinterval() == odd
    finally:
        sys.setswitchinterval(before)


def test_a_pump_that_nobody_has_closed_leaves_the_switch_interval_as_it_was():
    before = sys.getswitchinterval()
    pump = Pump(Loop())
    pump.wait(Waiter(), 0.0)
    assert sys.getswitchinterval() != before
    del pump
    gc.collect()
    assert sys.getswitchinterval() == before


def test_a_forked_child_has_the_usual_switch_interval_and_can_hurry_itself(pump, wire):
    before = sys.getswitchinterval()
    waiting = Waiting(pump, wire, "a").reads()
    assert sys.getswitchinterval() != before
    fork = os.fork()
    if fork == 0:
        found = [sys.getswitchinterval()]
        pump.close()
        own = Pump(Loop())
        own.wait(Waiter(), 0.0)
        found.append(sys.getswitchinterval())
        own.close()
        found.append(sys.getswitchinterval())
        os._exit(0 if found == [before, pytest.approx(1e-4), before] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    waiting.waiter.open()
    assert waiting.done()
