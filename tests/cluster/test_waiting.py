"""Waiting for many futures, and what may happen to them meanwhile: releases, closes, forks, signals, clutter."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections import deque, namedtuple
from collections.abc import Iterator
from typing import Any

import pytest

from fastsched import (
    CancelledError,
    Client,
    ClosedError,
    LocalCluster,
    SerializationError,
    TimeoutError,
    as_completed,
    get_client,
    wait,
)
from tests.cluster.functions import blob, fail, inc, slow_inc

Pair = namedtuple("Pair", "a b")


def test_views_deques_and_iterators_are_as_good_as_lists(client: Client) -> None:
    futures = {"a": client.submit(inc, 1), "b": client.submit(inc, 2)}
    for data in (futures.values(), deque(futures.values()), iter(futures.values())):
        assert client.gather(data) == [2, 3]
    assert wait(futures.values()).done == set(futures.values())
    assert dict(zip(futures, as_completed(futures.values()), strict=True)).keys() == futures.keys()


def test_what_cannot_be_left_out_is_none(client: Client) -> None:
    bad = client.submit(fail, "x")
    assert client.gather(bad, errors="skip") is None
    assert client.gather(Pair(bad, client.submit(inc, 1)), errors="skip") == Pair(None, 2)
    assert client.gather({"a": [bad, Pair(bad, 5)]}, errors="skip") == {"a": [Pair(None, 5)]}


def test_a_list_that_holds_itself_does_not_hang(client: Client) -> None:
    knot: list[Any] = [client.submit(inc, 1)]
    knot.append(knot)
    assert wait(knot).done == {knot[0]}
    with pytest.raises(RecursionError):
        client.gather(knot)


def test_whoever_waits_for_a_released_future_is_told(client: Client) -> None:
    future = client.submit(slow_inc, 1, 3.0)
    threading.Timer(0.1, future.release).start()
    with pytest.raises(CancelledError, match="released"):
        future.result(timeout=2)


def test_whoever_iterates_over_a_released_future_gets_it(client: Client) -> None:
    before, after = client.submit(slow_inc, 1, 3.0), client.submit(slow_inc, 2, 3.0)
    before.release()
    arriving = as_completed([before, after], timeout=2)
    after.release()
    assert {future.status for future in arriving} == {"cancelled"}


def test_a_release_while_the_value_is_fetched(client: Client) -> None:
    for _ in range(30):
        future = client.submit(blob, 3_000_000, pure=False)
        wait(future)
        threading.Timer(0.001, future.release).start()
        try:
            assert len(future.result()) == 3_000_000
        except (CancelledError, ClosedError):
            assert future.record.released


def test_a_submit_that_crosses_a_close_raises_or_ends(cluster: LocalCluster) -> None:
    for _ in range(20):
        client = Client(cluster, set_as_default=False)
        held: list[Any] = []
        started = threading.Event()

        def submit_on(client: Client = client, held: list[Any] = held, started: threading.Event = started) -> None:
            with pytest.raises(ClosedError):
                while True:
                    held[:] = [client.submit(inc, 1, pure=False)]
                    started.set()

        thread = threading.Thread(target=submit_on)
        thread.start()
        started.wait()
        client.close()
        thread.join()
        try:
            assert held[0].result(timeout=5) == 2
        except CancelledError:
            assert held[0].cancelled()


def test_short_waits_leave_nothing_behind(client: Client) -> None:
    futures = [client.submit(slow_inc, i, 0.3) for i in range(4)]
    for _ in range(50):
        with pytest.raises(TimeoutError):
            wait(futures, timeout=0)
    not_done = set(futures)
    while not_done:
        _, not_done = wait(not_done, return_when="FIRST_COMPLETED")
    assert [len(future.record.observers) for future in futures] == [0] * 4


def test_iterating_costs_the_same_for_each_of_many(client: Client) -> None:
    futures = client.map(inc, range(20_000))
    wait(futures)
    start = time.monotonic()
    assert sum(1 for _ in as_completed(futures)) == 20_000
    assert time.monotonic() - start < 4  # it took 30 s when each step counted all the others


def test_threads_may_share_an_iterator(client: Client) -> None:
    for _ in range(10):
        arriving = as_completed(client.map(slow_inc, range(4), seconds=0.01, pure=False))
        found: list[Any] = []
        threads = [threading.Thread(target=lambda a=arriving, f=found: f.extend(a)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()
        assert len(set(found)) == len(found) == 4


def test_clear_ends_the_iteration_of_another_thread(client: Client) -> None:
    future = client.submit(slow_inc, 1, 3.0)
    arriving = as_completed([future])
    threading.Timer(0.1, arriving.clear).start()
    assert list(arriving) == []
    assert not future.record.observers
    assert not arriving.has_ready()


def test_an_abandoned_iterator_keeps_no_future_alive(client: Client) -> None:
    future = client.submit(slow_inc, 1, 3.0)
    arriving = as_completed([future])
    record = future.record
    del future, arriving
    assert record.released


class Alarm(Exception):
    """Raised by a signal handler."""


@pytest.fixture
def no_gc_callbacks() -> Iterator[None]:
    """What a callback of the garbage collector raises, or a signal handler in it, is lost; the test runner has one."""
    callbacks = gc.callbacks[:]
    gc.callbacks.clear()
    yield
    gc.callbacks[:] = callbacks


@pytest.mark.usefixtures("no_gc_callbacks")
def test_a_signal_that_raises_out_of_an_iteration_loses_at_most_what_it_interrupts(client: Client) -> None:
    def ring(*_: Any) -> None:
        raise Alarm

    futures = client.map(inc, range(500), pure=False)  # held: what is raised in `__del__` is not seen by the program
    arriving = as_completed(futures, timeout=20)
    before = signal.signal(signal.SIGALRM, ring)
    found, rung = 0, 0
    try:
        while not arriving.is_empty():
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0003)
                next(arriving)
                signal.setitimer(signal.ITIMER_REAL, 0)
                found += 1
            except Alarm:
                rung += 1
            except StopIteration:
                break
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert found + rung >= 500


def test_an_await_does_not_stand_behind_callbacks(client: Client) -> None:
    release = threading.Event()

    async def main() -> int:
        slow = client.submit(inc, 1)
        slow.add_done_callback(lambda _: release.wait(10))
        client.gather(slow)
        return await asyncio.wait_for(client.submit(inc, 2), 5)

    try:
        assert asyncio.run(main()) == 3
    finally:
        release.set()


def test_a_loop_that_ended_before_the_task_is_no_trouble(client: Client, caplog: Any) -> None:
    future = client.submit(slow_inc, 1, 0.2)

    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(future, 0.05)

    asyncio.run(main())
    assert future.result() == 2
    client.gather(client.submit(inc, 1))
    assert not caplog.records
    assert not future.record.observers


def test_a_forked_child_that_asks_for_a_large_value_is_told(client: Client) -> None:
    future = client.submit(blob, 3_000_000)
    wait(future)
    pid = os.fork()
    if pid == 0:
        signal.alarm(5)
        try:
            future.result()
        except ClosedError:
            os._exit(7)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


def test_ranges_and_iterators_are_scattered_as_lists(client: Client) -> None:
    assert client.gather(client.scatter(range(3))) == [0, 1, 2]
    assert client.gather(client.scatter(x + 1 for x in range(3))) == [1, 2, 3]


def test_run_on_no_worker_is_nothing(client: Client) -> None:
    assert client.run(os.getpid, workers=[]) == {}


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(TypeError, match="not 4"):
        Client(4)


def test_a_close_with_a_wrong_timeout_can_be_repeated(cluster: LocalCluster) -> None:
    client = Client(cluster, set_as_default=False)
    with pytest.raises(ValueError, match="parsecs"):
        client.close(timeout="5 parsecs")
    client.close()
    with pytest.raises(ClosedError):
        client.submit(inc, 1)


class Broken:
    """Pickles, but does not unpickle."""

    def __reduce__(self) -> Any:
        return int, ("x",)


def make_broken() -> Broken:
    return Broken()


def test_a_value_that_cannot_be_unpickled_here_names_its_task(client: Client) -> None:
    future = client.submit(make_broken)
    with pytest.raises(SerializationError) as caught:
        future.result()
    assert any(future.key in note and "Broken" in note for note in caught.value.__notes__)


def use_and_close() -> tuple[int, str]:
    with get_client() as client:
        value = client.submit(inc, 1).result()
    return value, get_client().status


def test_a_task_cannot_close_the_client_of_its_worker(client: Client) -> None:
    assert client.submit(use_and_close).result() == (2, "running")
