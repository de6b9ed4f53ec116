"""A session without a scheduler: who may carry out what where, and what becomes of those who wait when it ends."""

import gc
import threading

import pytest

from fastsched._wait import TurnLock, in_turn
from fastsched.client.record import Reply
from fastsched.client.session import CALLBACK_SECONDS, Session
from fastsched.closing import closes_elsewhere
from fastsched.config import Config
from fastsched.errors import SerializationError
from fastsched.net._pump import Pump
from fastsched.net.loop import LoopThread
from fastsched.wire.messages import Call, Verb

SECONDS = 20.0


class Channel:
    """Keeps what is sent, and in which thread."""

    def __init__(self):
        self.sent = []
        self.closed = False
        self.has_sent = threading.Event()

    def send_all(self, messages):
        for message in messages:
            if len(message.args) > 1:
                raise SerializationError("too large")
        self.sent += messages
        self.has_sent.set()

    def send(self, message):
        self.send_all([message])

    def close(self):
        self.closed = True


class Data:
    """No values anywhere."""

    def close(self):
        pass


class World:
    """A session, its lock and its I/O thread."""

    def __init__(self):
        self.io = LoopThread("test-io")
        self.io.start()
        self.lock = TurnLock()
        self.channel = Channel()
        self.session = self.io.run(self._make(), SECONDS)

    async def _make(self):
        self.pump = Pump(self.io.loop)
        return Session(self.io.loop, Config(), self.pump, self.lock, self.channel, Data())

    def call(self):
        """A thread that asks the scheduler, and waits; what it gets is in `told`."""
        asking = Asking(self.session)
        assert self.channel.has_sent.wait(SECONDS)
        return asking

    async def end(self):
        self.pump.close()


class Asking(threading.Thread):
    """Waits for an answer."""

    def __init__(self, session):
        super().__init__(daemon=True)
        self.session = session
        self.told = None
        self.start()

    def run(self):
        try:
            self.session.call(Verb.NTHREADS)
        except RuntimeError as error:
            self.told = str(error)


@pytest.fixture
def world():
    world = World()
    yield world
    world.session.close(SECONDS)
    if not world.io.loop.is_closed():
        world.io.run(world.end(), SECONDS)
    world.io.stop()


def test_a_command_is_carried_out_at_once(world):
    world.session.post(world.session.machine.call, 1, Verb.NTHREADS, (), None)
    assert [type(message) for message in world.channel.sent] == [Call]


@pytest.mark.parametrize("whose", ["its own", "another"])
def test_a_command_that_comes_in_a_turn_is_carried_out_after_it(world, whose):
    with world.lock if whose == "its own" else TurnLock():
        world.session.post(world.session.machine.call, 1, Verb.NTHREADS, (), None)
        assert world.channel.sent == []
    assert world.channel.has_sent.wait(SECONDS)  # by the next tick, at the latest
    assert [type(message) for message in world.channel.sent] == [Call]


def test_of_several_messages_only_the_one_that_cannot_leave_stays(world):
    call = world.session.machine.call
    with world.lock:
        world.session.post(call, 1, Verb.NTHREADS, (), None)
    with pytest.raises(SerializationError):
        world.session.post(call, 2, Verb.NTHREADS, (1, 2), None)
    assert [message.request for message in world.channel.sent] == [1]


def test_a_turn_does_not_wait_for_the_lock_of_another(world):
    """Two finalizers, each in the middle of a turn of the other's client: neither may wait."""
    other, both, done = World(), threading.Barrier(2), []

    def cross(lock, session):
        with lock:
            both.wait(SECONDS)
            session.post(session.machine.call, 1, Verb.NTHREADS, (), None)
            both.wait(SECONDS)
            done.append(True)

    sides = ((world.lock, other.session), (other.lock, world.session))
    threads = [threading.Thread(target=cross, args=side, daemon=True) for side in sides]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert done == [True, True]
    assert world.channel.has_sent.wait(SECONDS)
    assert other.channel.has_sent.wait(SECONDS)
    other.session.close(SECONDS)
    other.io.run(other.end(), SECONDS)
    other.io.stop()


def test_a_question_in_a_turn_is_refused(world):
    with world.lock, pytest.raises(RuntimeError, match="finalizer"):
        world.session.call(Verb.NTHREADS)


def test_a_finalizer_in_a_turn_may_do_anything(world):
    """What it cannot do raises there, as whatever a finalizer raises, and the turn goes on."""
    found = []

    class Mortal:
        def __del__(self):
            found.append(in_turn())
            world.session.post(world.session.machine.call, 1, Verb.NTHREADS, (), None)
            try:
                world.session.call(Verb.NTHREADS)
            except RuntimeError as error:
                found.append(str(error))
            found.append(closes_elsewhere(world.session.close, SECONDS))

    mortal = Mortal()
    mortal.cycle = mortal
    del mortal
    with world.lock:
        gc.collect()
    inside, refused, elsewhere = found
    assert inside
    assert elsewhere
    assert "finalizer" in refused
    assert not in_turn()
    for thread in threading.enumerate():
        if thread.name == "fastsched-close":
            thread.join(SECONDS)
    assert world.channel.closed


def test_what_may_wait_closes_itself():
    assert not closes_elsewhere(print, None)


def test_an_io_thread_does_not_close_what_it_has_to_close(world):
    closed = threading.Event()

    async def close():
        return closes_elsewhere(lambda timeout: closed.set(), None)

    assert world.io.run(close(), SECONDS)
    assert closed.wait(SECONDS)


def test_a_close_tells_who_waits(world):
    asking = world.call()
    world.session.close(SECONDS)
    asking.join(SECONDS)
    assert asking.told == "this client is closed"
    assert world.channel.closed


def test_who_waits_is_told_though_the_io_thread_does_not_come_to_it(world):
    asking, busy = world.call(), threading.Event()
    world.io.call_soon(busy.wait, SECONDS)
    world.session.close(0.01)
    asking.join(SECONDS / 2)
    assert asking.told == "this client is closed"
    busy.set()


@pytest.mark.timeout(CALLBACK_SECONDS * 5)
def test_who_waits_is_told_though_the_io_thread_is_gone(world):
    asking = world.call()
    world.session.run_callback(print, "")
    world.io.stop()
    world.session.close()
    asking.join(SECONDS)
    assert asking.told == "this client is closed"
    names = [thread.name for thread in threading.enumerate()]
    assert "fastsched-callbacks" not in names


def test_a_wait_for_what_is_there_is_none_even_in_a_turn(world):
    reply = Reply()
    reply.set(True, 1)
    with world.lock:
        assert world.session.wait(reply, None)
