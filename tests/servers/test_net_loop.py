"""Loops in threads."""

import asyncio
import gc
import os
import threading

import pytest

from fastsched._wait import TurnLock
from fastsched.net.loop import LoopThread
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


def test_nobody_waits_for_a_loop_in_a_turn(thread):
    """The loop's thread may need the same lock."""
    with TurnLock(), pytest.raises(RuntimeError, match="interrupts"):
        thread.run(answer(1), SECONDS)
    assert thread.run(answer(1), SECONDS) == 1


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
        thread.stop()
        del thread
    gc.collect()
    assert open_fds() == before
