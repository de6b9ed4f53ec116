"""Who reads: threads that wait, one at a time; the I/O thread when nobody does; and nobody burns a core."""

import gc
import threading

import pytest

from fastsched._wait import Waiter
from fastsched.net._pump import Pump
from fastsched.net.loop import LoopThread
from tests.servers.pump_rig import ROUNDS, SECONDS, Alarm, Loop, Owner, Waiting, Wire
from tests.servers.spawned import open_fds

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


def test_a_nudge_that_is_left_over_keeps_nobody_reading_when_it_is_over(pump, wire):
    waiter = Waiter()
    waiter.nudge()
    waiting = Waiting(pump, wire, "a", waiter=waiter).reads()
    waiter.open()
    assert waiting.done()


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


def test_an_owner_that_fails_is_reported_and_who_reads_goes_on(pump, wire, loop):
    broken, sound = Broken(), Owner()
    pump.join(broken)
    pump.join(sound)
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    assert sound.rounds == 1
    loop.settle()
    assert sound.ticks > 0
    assert {str(error) for error in loop.errors} == {"round", "tick"}


class Broken:
    """An owner with bugs."""

    def round_ended(self):
        raise LookupError("round")

    def tick(self):
        raise LookupError("tick")


# ---- the I/O thread


def test_the_io_thread_is_known_from_the_start(pump):
    assert pump.is_current()


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


def fail():
    raise LookupError("here")


def interrupt():
    raise KeyboardInterrupt


def test_a_post_that_fails_is_reported_and_costs_nobody_else_anything(pump, wire, loop):
    calls = []
    pump.post(fail)
    pump.post(calls.append, 1)
    wire.waiters["a"] = Waiter()
    wire.send("a")
    assert loop.settle()
    assert calls == [1]
    assert [str(error) for error in loop.errors] == ["here"]
    assert wire.waiters["a"].over


def test_an_interrupted_io_thread_loses_no_post_and_reads_on(pump, wire, loop):
    calls = []
    pump.post(interrupt)
    pump.post(calls.append, 1)
    with pytest.raises(KeyboardInterrupt):
        loop.turn()
    assert loop.settle()
    assert calls == [1]
    assert pump.watching


def test_an_interrupted_tick_leaves_somebody_reading(pump, wire, loop):
    owner = Owner()
    owner.tick = interrupt
    waiting = Waiting(pump, wire, "a")
    wire.send("a")
    assert waiting.done()
    wire.waiters |= {"b": Waiter(), "c": Waiter()}
    wire.send("b")
    loop.turn()  # finds that a thread has read, and lets go
    assert not pump.watching
    pump.join(owner)
    with pytest.raises(KeyboardInterrupt):
        loop.tick()
    pump.part(owner)
    wire.send("c")
    assert loop.settle()
    assert wire.waiters["c"].over


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


def test_what_is_posted_while_the_pump_closes_is_called(pump, loop):
    calls = []

    class Closing(dict):
        def pop(self, fd, default):
            pump.post(calls.append, fd)
            return super().pop(fd, default)

    fds = set(loop.readers)
    loop.readers = Closing(loop.readers)
    pump.close()
    assert {args[0] for _, args in loop.soon} == fds


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
