"""Who reads: threads that wait, one at a time; the I/O thread when nobody does; and nobody burns a core."""

import gc
import os
import select
import signal
import socket
import sys
import threading

import pytest

from fastsched._wait import TurnLock, Waiter
from fastsched.net._pump import BACKSTOP_SECONDS, Pump
from fastsched.net.loop import LoopThread
from tests.servers.spawned import open_fds

SECONDS = 20.0
ROUNDS = 50


class Loop:
    """An event loop that does what the test says, when the test says."""

    def __init__(self):
        self.readers = {}
        self.timers = []
        self.soon = []
        self.errors = []
        self.closed = False

    def add_reader(self, fd, callback):
        self.readers[fd] = callback

    def remove_reader(self, fd):
        return self.readers.pop(fd, None) is not None

    def call_later(self, seconds, callback):
        assert seconds == BACKSTOP_SECONDS
        self.timers.append(callback)

    def call_soon_threadsafe(self, function, *args):
        self.soon.append((function, args))

    def call_exception_handler(self, context):
        self.errors.append(context["exception"])

    def is_closed(self):
        return self.closed

    def tick(self):
        """A millisecond goes by."""
        timers, self.timers = self.timers, []
        for callback in timers:
            callback()

    def turn(self):
        """Call back everything that is readable now, as a loop does; returns how many that were."""
        ready = [callback for fd, callback in self.readers.items() if readable(fd)]
        for callback in ready:
            callback()
        return len(ready)

    def settle(self):
        """Let the I/O thread run until it would wait for a message; False if that never comes."""
        for _ in range(100):
            if not self.turn() and not self.timers:
                return True
            self.tick()
        return False


def readable(fd):
    return bool(select.select([fd], [], [], 0)[0])


class Wire:
    """A connection: each byte that comes opens the waiter of this name. Remembers who read it."""

    def __init__(self, pump):
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.waiters = {}
        self.read_by = {}
        self.on_read = lambda: None
        pump.add(self.ours.fileno(), self)

    def on_readable(self):
        for byte in self.ours.recv(64):
            name = chr(byte)
            self.read_by[name] = threading.current_thread().name
            self.on_read()
            self.waiters[name].open()

    def send(self, text):
        self.theirs.send(text.encode())

    def close(self):
        self.ours.close()
        self.theirs.close()


class Owner:
    """Counts what it is told."""

    def __init__(self):
        self.rounds = self.waits = self.ticks = 0

    def round_ended(self):
        self.rounds += 1

    def before_wait(self):
        self.waits += 1

    def tick(self):
        self.ticks += 1


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


class Waiting(threading.Thread):
    """Waits for the byte that is its name."""

    def __init__(self, pump, wire, name, patient=False):
        super().__init__(name=name, daemon=True)
        self.pump, self.patient = pump, patient
        self.waiter = wire.waiters[name] = Waiter()
        self.came = None
        self.start()

    def run(self):
        self.came = self.pump.wait(self.waiter, SECONDS, self.patient)

    def done(self):
        self.join(SECONDS)
        return self.came


# ---- waiters and locks


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


# ---- threads that wait


def test_who_waits_reads(pump, wire):
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    assert wire.read_by == {"a": "a"}


def test_who_waits_on_reads_on_when_the_reader_leaves(pump, wire):
    for _ in range(ROUNDS):
        first, second = Waiting(pump, wire, "a"), Waiting(pump, wire, "b")
        wire.send("a")
        assert first.done()
        wire.send("b")  # no I/O thread runs here: nobody else could read it
        assert second.done()
        assert wire.read_by["b"] == "b"


def test_news_for_many_wakes_each_of_them(pump, wire):
    for _ in range(ROUNDS):
        names = "abcdefgh"
        waiting = [Waiting(pump, wire, name) for name in names]
        wire.send(names)
        assert [each.done() for each in waiting] == [True] * len(names)


def test_who_is_opened_by_another_thread_reads_no_longer(pump, wire):
    for _ in range(ROUNDS):
        first, second = Waiting(pump, wire, "a"), Waiting(pump, wire, "b")
        first.waiter.open()
        assert first.done()
        wire.send("b")
        assert second.done()


def test_who_gives_up_leaves_the_reading_to_others(pump, wire):
    for _ in range(ROUNDS):
        waiting = Waiting(pump, wire, "a")
        assert not pump.wait(Waiter(), 0.0)
        assert not pump.wait(Waiter(), 0.001)
        wire.send("a")
        assert waiting.done()
        assert wire.read_by["a"] == "a"


def test_who_is_interrupted_leaves_the_reading_to_others(pump, wire, alarm):
    for _ in range(ROUNDS):
        waiting = Waiting(pump, wire, "a")
        with pytest.raises(Alarm):
            alarm.ring_in(0.001)
            pump.wait(Waiter(), SECONDS)
        wire.send("a")
        assert waiting.done()
        assert wire.read_by["a"] == "a"


def test_a_wait_for_what_is_there_reads_nothing(pump, wire):
    wire.waiters["a"] = Waiter()
    wire.send("a")
    opened = Waiter()
    opened.open()
    assert pump.wait(opened, 0.0)
    assert wire.read_by == {}


def test_a_poll_reads_what_is_there(pump, wire):
    wire.waiters["a"] = Waiter()
    pump.poll()
    assert not wire.waiters["a"].over
    wire.send("a")
    pump.poll()
    assert wire.waiters["a"].over


def test_an_owner_hears_of_rounds_and_waits(pump, wire):
    owner = Owner()
    pump.join(owner)
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    assert (owner.rounds, owner.waits) == (1, 1)
    pump.part(owner)
    assert not pump.wait(Waiter(), 0.0)
    assert owner.waits == 1


def test_a_source_that_fails_is_reported_and_costs_nobody_else_anything(pump, wire, loop):
    broken = Wire(pump)
    broken.send("x")  # nobody waits for that: a KeyError
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    loop.settle()
    assert [type(error) for error in loop.errors] == [KeyError]
    pump.remove(broken.ours.fileno())
    broken.close()


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


# ---- the I/O thread


def test_when_nobody_waits_the_io_thread_reads(pump, wire, loop):
    wire.waiters["a"] = Waiter()
    wire.send("a")
    assert loop.turn() == 1
    assert wire.waiters["a"].over


def test_the_io_thread_gives_way_to_who_waits_and_comes_back(pump, wire, loop):
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    wire.waiters["b"] = Waiter()
    wire.send("b")
    assert loop.settle()
    assert pump.watching
    assert wire.waiters["b"].over


def test_an_idle_pump_does_not_tick(pump, wire, loop):
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    assert loop.settle()
    assert pump.is_idle
    assert loop.timers == []


def test_while_a_thread_waits_for_long_nothing_ticks(pump, wire, loop):
    waiting = Waiting(pump, wire, "a")
    assert loop.settle()
    assert loop.timers == []
    wire.send("a")
    assert waiting.done()


def test_who_is_patient_reads_when_nobody_else_has_for_a_while(pump, wire, loop):
    for _ in range(ROUNDS):
        first = Waiting(pump, wire, "a")
        wire.send("a")
        assert first.done()
        patient = Waiting(pump, wire, "p", patient=True)
        assert loop.settle()
        wire.send("p")
        while not loop.settle() or patient.is_alive():
            patient.join(0.001)
        assert patient.came


def test_an_armed_pump_ticks_once(pump, loop):
    owner = Owner()
    pump.join(owner)
    pump.arm()
    pump.arm()
    assert loop.settle()
    assert owner.ticks == 1
    assert pump.is_idle


def test_posts_are_called_in_order_by_the_io_thread():
    thread = LoopThread("test-io")
    thread.start()

    async def make():
        return Pump(thread.loop)

    pump = thread.run(make(), SECONDS)
    calls, done = [], threading.Event()

    def note(item):
        calls.append((item, threading.current_thread().name, pump.is_current()))
        if item == 99:
            done.set()

    for item in range(100):
        pump.post(note, item)
    assert done.wait(SECONDS)
    assert calls == [(item, "test-io", True) for item in range(100)]
    assert not pump.is_current()
    thread.run(closed(pump), SECONDS)
    thread.stop()


async def closed(pump):
    pump.close()
    pump.close()


def test_a_burst_of_posts_wakes_the_io_thread_once(pump, loop):
    calls = []
    for item in range(1000):
        pump.post(calls.append, item)
    loop.turn()
    assert calls == list(range(1000))
    assert not pump.watching or loop.turn() == 0


def test_a_post_while_posts_are_called_is_called_too(pump, loop):
    calls = []

    def again():
        if len(calls) < 5:
            pump.post(again)
        calls.append(None)

    pump.post(again)
    assert loop.settle()
    assert len(calls) == 6


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


# ---- the end


def test_after_the_end_the_loop_is_told_and_nobody_once_it_is_closed_too(pump, loop):
    calls = []
    pump.post(calls.append, 1)
    pump.close()
    pump.post(calls.append, 2)
    loop.closed = True
    pump.post(calls.append, 3)
    assert [args for _, args in loop.soon] == [(1,), (2,)]
    assert loop.readers == {}


def test_who_reads_at_the_end_goes_on_waiting_for_what_others_tell(pump, wire):
    for _ in range(ROUNDS):
        waiting = Waiting(pump, wire, "a")
        pump.close()
        waiting.waiter.open()
        assert waiting.done()


def test_a_pump_leaves_no_descriptor():
    gc.collect()
    before = open_fds()
    for _ in range(3):
        pump = Pump(Loop())
        pump.close()
        pump.arm()
        del pump
    gc.collect()
    assert open_fds() == before


class Alarm(Exception):
    """What the timer raises."""


class Clock:
    """A timer whose handler raises."""

    def ring_in(self, seconds):
        signal.setitimer(signal.ITIMER_REAL, seconds)


@pytest.fixture
def alarm():
    def handler(number, frame):
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    yield Clock()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
