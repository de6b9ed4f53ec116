"""What the kernel counted is put down to the right thread, and the parts of a task's time add up."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks import breakdown, kernel, wakeups
from benchmarks.wakeups import Process
from benchmarks.workloads.measuring import each
from benchmarks.workloads.stamps import between

needs_counts = pytest.mark.skipif(not kernel.available(), reason="this system has no /proc/self/schedstat")


class Answered:
    """A future that is done."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def result(self) -> Any:
        return self._value


class AtOnce:
    """A client that calls the function itself."""

    def submit(self, function: Callable[..., Any], *args: Any, pure: bool = True) -> Answered:
        return Answered(function(*args))


def test_the_parts_of_a_task_add_up() -> None:
    parts = breakdown.parts(AtOnce(), 10)
    sums = [sum(spans) for spans in zip(parts["submit"], parts["there"], parts["back"], strict=True)]
    assert sums == pytest.approx(parts["together"], abs=1e-9)
    assert max(parts["there"]) < 0  # called before submit returned


def test_the_finer_parts_of_a_trip_are_told_by_what_was_sent_and_received() -> None:
    worker = ([0.5, 4.0, 9.0], [0.1, 1.0, 8.0])  # it sent; it had received
    assert between(worker, 0.2, 2.0, 3.0, 6.0) == (1.0, 4.0)
    assert between(worker, 1.5, 2.0, 3.0, 6.0) is None  # received before the trip began
    assert between(worker, 0.2, 2.0, 5.0, 6.0) is None  # sent after it ended
    client = ([0.0, 0.4, 7.0], [0.3, 5.0])
    assert between(client, 0.2, 1.0, 4.0, 6.0, ours=True) == (0.4, 5.0)
    assert between(client, 0.5, 1.0, 4.0, 6.0, ours=True) is None


@needs_counts
def test_a_thread_that_waits_is_woken_as_often_as_it_was_called() -> None:
    asked, answered = threading.Semaphore(0), threading.Semaphore(0)
    ids: list[int] = []

    def answer() -> None:
        ids.append(threading.get_native_id())
        while asked.acquire(timeout=10) and not done.is_set():
            answered.release()

    done = threading.Event()
    thread = threading.Thread(target=answer)
    thread.start()

    def trip(_: int) -> None:
        asked.release()
        answered.acquire(timeout=10)

    trip(0)
    times, used = wakeups.used_for({"us": Process.this()}, lambda n: each(trip, range(n)), 200)
    done.set()
    asked.release()
    thread.join()
    assert len(times) == 200 and times == sorted(times)
    assert used["us"][ids[0]].wakeups >= 150  # sometimes the answer is asked for before it has gone to sleep


@needs_counts
def test_counts_are_those_of_all_threads_together() -> None:
    before = kernel.counts(os.getpid())
    assert kernel.together(kernel.counts_by_thread(os.getpid()).values()).nanoseconds >= before.nanoseconds > 0
    assert kernel.Counts(3, 5) - kernel.Counts(1, 2) + kernel.Counts(0, 1) == kernel.Counts(2, 4)
