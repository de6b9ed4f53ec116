"""Loops in threads, and waking them from anywhere."""

import asyncio
import gc
import os
import signal
import threading

import pytest

from fastsched.net.loop import LoopThread, Waker
from tests.servers.spawned import open_fds

SECONDS = 20


@pytest.fixture
def thread():
    thread = LoopThread("test-io")
    thread.start()
    yield thread
    thread.stop()


async def answer(value):
    return value


def test_a_coroutine_runs_in_the_loops_thread_and_its_result_comes_back(thread):
    async def name():
        return threading.current_thread().name

    assert thread.run(name(), SECONDS) == "test-io"


def test_an_exception_comes_back(thread):
    async def fail():
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        thread.run(fail(), SECONDS)


def test_a_timeout_cancels_the_coroutine(thread):
    cancelled = threading.Event()

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        thread.run(forever(), 0.01)
    assert cancelled.wait(SECONDS)


def test_waiting_for_the_loop_in_its_own_thread_is_refused(thread):
    async def wrong():
        thread.run(answer(1))

    with pytest.raises(RuntimeError, match="own thread"):
        thread.run(wrong(), SECONDS)


def test_stopping_cancels_what_runs_closes_the_loop_and_may_be_repeated():
    thread = LoopThread("test-io")
    thread.start()
    ended = []

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def begin():
        return asyncio.ensure_future(forever())

    thread.run(begin(), SECONDS)
    thread.stop()
    thread.stop()
    assert ended == [True]
    assert thread.loop.is_closed()
    with pytest.raises(RuntimeError):
        thread.call_soon(print)
    with pytest.raises(RuntimeError):
        thread.run(answer(1))


def test_a_thread_that_was_never_started_can_be_stopped():
    thread = LoopThread("test-io")
    thread.stop()
    assert thread.loop.is_closed()


def test_stopping_in_a_fork_leaves_the_parents_loop_alone(thread):
    fork = os.fork()
    if fork == 0:
        thread.stop()
        os._exit(1 if thread.loop.is_closed() else 0)
    assert os.waitpid(fork, 0)[1] == 0
    assert thread.run(answer(1), SECONDS) == 1


def test_threads_leave_no_descriptor():
    before = open_fds()
    for _ in range(3):
        thread = LoopThread("test-io")
        thread.start()
        waker = Waker(thread.loop, print)
        thread.stop()
        waker.close()
        del waker, thread
    gc.collect()
    assert open_fds() == before


class Woken:
    """A waker in a running loop, and how often it called."""

    def __init__(self, thread):
        self.calls = 0
        self.called = threading.Event()
        self.threads = set()

        async def make():
            return Waker(thread.loop, self.on_wake)

        self.waker = thread.run(make(), SECONDS)

    def on_wake(self):
        self.calls += 1
        self.threads.add(threading.current_thread().name)
        self.called.set()


@pytest.fixture
def woken(thread):
    return Woken(thread)


def test_a_wake_calls_in_the_loops_thread(woken):
    woken.waker.wake()
    assert woken.called.wait(SECONDS)
    assert woken.threads == {"test-io"}


def test_a_burst_of_wakes_is_one_call(thread, woken):
    entered, leave = threading.Event(), threading.Event()

    def hold_the_loop():
        entered.set()
        leave.wait(SECONDS)

    thread.call_soon(hold_the_loop)
    assert entered.wait(SECONDS)
    for _ in range(1000):
        woken.waker.wake()
    leave.set()
    assert woken.called.wait(SECONDS)
    thread.run(answer(0), SECONDS)
    thread.run(answer(0), SECONDS)
    assert woken.calls == 1


def test_no_wake_is_lost_while_the_callback_runs(thread, woken):
    """Each item that is appended before a wake is seen by a callback after it."""
    items, seen, done = [], [], threading.Event()

    def take():
        while items:
            seen.append(items.pop())
        if len(seen) == 4 * 500:
            done.set()

    woken.waker.close()

    async def make():
        return Waker(thread.loop, take)

    waker = thread.run(make(), SECONDS)

    def feed():
        for i in range(500):
            items.append(i)
            waker.wake()

    feeders = [threading.Thread(target=feed) for _ in range(4)]
    for feeder in feeders:
        feeder.start()
    for feeder in feeders:
        feeder.join()
    assert done.wait(SECONDS)


def test_a_wake_works_from_a_destructor(woken):
    class Mortal:
        def __del__(self):
            woken.waker.wake()

    Mortal()
    gc.collect()
    assert woken.called.wait(SECONDS)


def test_a_wake_works_from_a_signal_handler(woken):
    before = signal.signal(signal.SIGUSR1, lambda signum, frame: woken.waker.wake())
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        assert woken.called.wait(SECONDS)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_wake_after_close_touches_nobodys_descriptor(thread, woken):
    fd = max(open_fds())

    async def close():
        woken.waker.close()
        woken.waker.close()

    thread.run(close(), SECONDS)
    reader, writer = os.pipe()  # takes the numbers that the waker had
    try:
        assert reader <= fd
        woken.waker.wake()
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)


def test_wakers_work_where_there_is_no_eventfd(thread, monkeypatch):
    monkeypatch.delattr(os, "eventfd", raising=False)
    woken = Woken(thread)
    leave = threading.Event()
    thread.call_soon(leave.wait, SECONDS)
    for _ in range(100_000):  # more than a pipe holds
        woken.waker.wake()
    leave.set()
    assert woken.called.wait(SECONDS)
    before = open_fds()

    async def close():
        woken.waker.close()

    thread.run(close(), SECONDS)
    assert len(open_fds()) == len(before) - 2
