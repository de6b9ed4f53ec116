"""What interrupts a thread at any moment, finalizers and signal handlers: what they may do, and what is refused."""

import gc
import os
import signal
import threading
import time

import pytest

from fastsched._wait import TurnLock, Waiter, in_turn, may_wait, serve
from fastsched.net._pump import Pump
from fastsched.net.loop import LoopThread
from tests.servers.pump_rig import SECONDS, Owner, Waiting


def test_nobody_waits_in_a_turn(pump, wire):
    owner, opened = Owner(), Waiter()
    opened.open()
    pump.join(owner)
    with TurnLock():
        with pytest.raises(RuntimeError, match="finalizer"):
            pump.wait(Waiter(), SECONDS)
        assert pump.wait(opened, SECONDS)
    assert owner.waits == 0
    assert not pump.leading


def test_nobody_reads_in_a_turn(pump, wire):
    wire.waiters["a"] = Waiter()
    wire.send("a")
    with TurnLock():
        pump.poll()
    assert not wire.waiters["a"].over
    pump.poll()
    assert wire.waiters["a"].over


def test_who_reads_is_in_a_turn_for_whatever_interrupts_it(pump, wire):
    """A finalizer that the collector runs while a message is decoded: nobody else could read what it would wait for."""
    found = []

    def interrupt():
        found.append(in_turn())
        with pytest.raises(RuntimeError, match="finalizer"):
            pump.wait(Waiter(), SECONDS)

    wire.on_read = interrupt
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    wire.waiters["b"] = Waiter()
    wire.send("b")
    pump.poll()
    assert found == [True, True]
    assert not in_turn()


def test_a_signal_handler_may_wait_for_other_news_than_the_thread_that_it_interrupts(pump, wire):
    got = []
    outer, inner = Waiter(), Waiter()
    wire.waiters = {"a": outer, "b": inner}

    def handler(number, frame):
        wire.send("b")
        got.append(pump.wait(inner, SECONDS))
        wire.send("a")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        got.append(pump.wait(outer, SECONDS))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert got == [True, True]


def test_a_signal_handler_may_take_long_while_others_read(pump, wire):
    outer = wire.waiters["a"] = Waiter()
    came = []

    def handler(number, frame):
        other = Waiting(pump, wire, "b")
        wire.send("b")
        came.append(other.done())
        came.append(wire.read_by.get("b"))
        wire.send("a")

    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        assert pump.wait(outer, SECONDS)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert came == [True, "b"]


def test_a_thread_that_serves_no_longer_may_wait():
    opened = []

    def live():
        serve()
        opened.append(may_wait())
        serve(False)
        opened.append(may_wait())

    thread = threading.Thread(target=live)
    thread.start()
    thread.join(SECONDS)
    assert opened == [False, True]


def test_the_io_thread_waits_for_nobody():
    thread = LoopThread("test-io")
    thread.start()

    async def wait():
        pump = Pump(thread.loop)
        try:
            pump.wait(Waiter(), SECONDS)
        finally:
            pump.close()

    with pytest.raises(RuntimeError, match="finalizer"):
        thread.run(wait(), SECONDS)
    thread.stop()


def test_finalizers_and_signal_handlers_may_post_and_arm(pump, loop):
    calls = []

    class Mortal:
        def __del__(self):
            pump.post(calls.append, "finalizer")
            pump.arm()

    def handler(number, frame):
        pump.post(calls.append, "handler")
        pump.arm()

    before = signal.signal(signal.SIGUSR1, handler)
    try:
        Mortal()
        gc.collect()
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert loop.settle()
    assert calls == ["finalizer", "handler"]


class Struck(Exception):
    pass


@pytest.fixture
def struck_unseen():
    """A signal that another thread takes, so that it does not wake the main thread; its handler raises there."""

    def raise_it(number, frame):
        raise Struck

    def take_it():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        os.kill(os.getpid(), signal.SIGUSR1)
        go_on.wait(SECONDS)

    go_on = threading.Event()
    taker = threading.Timer(0.05, take_it)
    handler = signal.signal(signal.SIGUSR1, raise_it)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    taker.start()
    yield
    go_on.set()
    taker.join(SECONDS)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    signal.signal(signal.SIGUSR1, handler)


@pytest.mark.usefixtures("struck_unseen")
@pytest.mark.timeout(SECONDS / 2)
def test_the_main_thread_sees_a_signal_that_did_not_wake_it_while_it_reads(pump, wire):
    with pytest.raises(Struck):
        pump.wait(Waiter())
    assert not pump.leading


@pytest.mark.usefixtures("struck_unseen")
@pytest.mark.timeout(SECONDS / 2)
@pytest.mark.parametrize("seconds", [-1.0, SECONDS])
def test_the_main_thread_sees_a_signal_that_did_not_wake_it_while_it_is_blocked(seconds):
    with pytest.raises(Struck):
        Waiter().block(seconds)


def test_the_main_thread_waits_as_long_as_it_was_told():
    """However often it looks for signals meanwhile."""
    before = time.monotonic()
    assert not Waiter().block(0.6)
    assert time.monotonic() - before >= 0.6
