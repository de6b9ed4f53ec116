"""Fixtures of the pump's tests."""

import signal

import pytest

from fastsched.net._pump import Pump
from tests.servers.pump_rig import Alarm, Clock, Loop, Wire


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def pump(loop):
    pump = Pump(loop)
    yield pump
    pump.close()


@pytest.fixture
def wire(pump):
    wire = Wire(pump)
    yield wire
    pump.remove(wire.ours.fileno())
    wire.close()


@pytest.fixture
def alarm():
    def handler(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    yield Clock()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
