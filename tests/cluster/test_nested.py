"""Tasks that launch tasks, on a real cluster."""

from __future__ import annotations

import asyncio
import operator
import os
import threading
import time
import traceback
from pathlib import Path

import pytest

from fastsched import (
    Client,
    NotInTaskError,
    SerializationError,
    as_completed,
    get_client,
    get_worker,
    rejoin,
    secede,
    wait,
    worker_client,
)
from fastsched._wait import TurnLock
from fastsched.config import Config
from fastsched.worker import context
from tests.cluster.conftest import remaining
from tests.cluster.functions import append_line, blob, child_future, fail, fib, inc, slow_inc, tree

FIB_100 = 354224848179261915075


@pytest.fixture(scope="module")
def single() -> Client:
    """One worker with one thread: whoever waits must not block the others."""
    with Client(n_workers=1, threads_per_worker=1, set_as_default=False) as client:
        yield client


@pytest.fixture(params=["one slot", "two workers"])
def somewhere(request, single: Client, client: Client) -> Client:
    return single if request.param == "one slot" else client


def test_the_recursive_fibonacci(somewhere: Client) -> None:
    assert somewhere.submit(fib, 100).result() == FIB_100


def test_a_tree_of_tasks(somewhere: Client) -> None:
    assert somewhere.submit(tree, 6, pure=False).result() == 64


def depth(n: int) -> int:
    if n == 0:
        return 0
    with worker_client() as client:
        return 1 + client.submit(depth, n - 1).result()


def test_a_deep_chain_of_waiting_parents(single: Client) -> None:
    assert single.submit(depth, 150).result() == 150


def gather_and_submit(numbers: list[int]) -> list[int]:
    with worker_client() as client:
        return client.gather(client.map(inc, numbers))


def test_children_are_gathered_inside(somewhere: Client) -> None:
    assert somewhere.submit(gather_and_submit, list(range(50))).result() == list(range(1, 51))


def test_a_result_may_be_a_future(somewhere: Client) -> None:
    inner = somewhere.submit(child_future, 41).result()
    assert inner.result() == 42
    assert inner.client is somewhere


def futures_in_a_dict(n: int) -> dict:
    client = get_client()
    return {"children": [client.submit(inc, i) for i in range(n)], "name": "x"}


def test_a_result_may_hold_futures_at_any_depth(somewhere: Client) -> None:
    outer = somewhere.submit(futures_in_a_dict, 5)
    value = outer.result()
    outer.release()
    assert somewhere.gather(value) == {"children": [1, 2, 3, 4, 5], "name": "x"}


def test_a_child_future_in_the_arguments_of_another_task(somewhere: Client) -> None:
    inner = somewhere.submit(child_future, 1).result()
    assert somewhere.submit(operator.add, inner, [inner][0]).result() == 4


def parent_of_failure() -> None:
    with worker_client() as client:
        client.submit(fail, "deep down").result()


def test_an_exception_passes_through_every_level(somewhere: Client) -> None:
    with pytest.raises(ValueError, match="deep down") as caught:
        somewhere.submit(parent_of_failure).result()
    text = "".join(traceback.format_exception(caught.value))
    assert "parent_of_failure" in text
    assert "in fail" in text


def catches_failure() -> str:
    with worker_client() as client:
        try:
            client.submit(fail, "caught inside").result()
        except ValueError as error:
            return str(error)
    return "not raised"


def test_a_parent_may_catch_what_its_child_raised(somewhere: Client) -> None:
    assert somewhere.submit(catches_failure).result() == "caught inside"


def sleep_in_block(seconds: float, path: str) -> str:
    with worker_client():
        append_line(path, "parent sleeps")
        time.sleep(seconds)
        return append_line(path, "parent wakes")


def test_a_parent_that_only_sleeps_in_the_block_lends_its_slot(single: Client, tmp_path) -> None:
    path = str(tmp_path / "lines")
    parent = single.submit(sleep_in_block, 0.6, path)
    while not Path(path).exists():
        time.sleep(0.005)
    other = single.submit(append_line, path, "other runs")
    single.gather([parent, other])
    assert Path(path).read_text().splitlines() == ["parent sleeps", "other runs", "parent wakes"]


def waits_without_block(x: int) -> int:
    return get_client().submit(inc, x).result()


def test_a_wait_outside_the_block_lends_the_slot_too(single: Client) -> None:
    assert single.submit(waits_without_block, 5).result() == 6


def counts_running(path: str) -> int:
    """The most tasks that were in user code at once."""
    mark = Path(path).with_name(f"run-{threading.get_ident()}-{os.getpid()}")
    mark.touch()
    count = len(list(mark.parent.glob("run-*")))
    time.sleep(0.002)
    mark.unlink()
    return count


def parent_of_counters(path: str, n: int) -> int:
    with worker_client() as client:
        return max(client.gather([client.submit(counts_running, path, pure=False) for _ in range(n)]))


def test_never_more_tasks_at_once_than_slots(single: Client, tmp_path) -> None:
    path = str(tmp_path / "x")
    parents = [single.submit(parent_of_counters, path, 10, pure=False) for _ in range(8)]
    assert max(single.gather(parents)) == 1


def uses_everything(x: int) -> list:
    with worker_client() as client:
        futures = client.map(inc, range(x))
        done, not_done = wait(futures)
        first = sorted(future.result() for future in as_completed(futures))
        data = client.scatter([10, 20])
        return [len(done), len(not_done), first, client.submit(operator.add, *data).result(), get_worker().nthreads]


def test_the_whole_face_works_inside_a_task(somewhere: Client) -> None:
    assert somewhere.submit(uses_everything, 3).result() == [3, 0, [1, 2, 3], 30, 1]


def secedes_by_hand() -> str:
    secede()
    secede()
    inner = get_client().submit(inc, 1)
    value = inner.result()
    rejoin()
    rejoin()
    return f"{value} on {get_worker().name}"


def test_secede_and_rejoin_by_hand(single: Client) -> None:
    assert single.submit(secedes_by_hand).result() == "2 on worker-0"


def nested_blocks() -> int:
    with worker_client() as outer:
        a = outer.submit(inc, 1)
        with worker_client() as inner:
            assert inner is outer
            b = inner.submit(inc, a)
        return b.result()


def test_blocks_may_be_nested(single: Client) -> None:
    assert single.submit(nested_blocks).result() == 3


def large_child() -> int:
    with worker_client() as client:
        future = client.submit(blob, 2_000_000)
        return len(future.result()) + client.submit(len, future).result()


def test_large_values_of_children(somewhere: Client) -> None:
    assert somewhere.submit(large_child).result() == 4_000_000


def async_child() -> int:
    async def main() -> int:
        return await get_client().submit(inc, 1)

    return asyncio.run(main())


def test_await_inside_a_task(client: Client) -> None:
    assert client.submit(async_child).result() == 2


async def coroutine_task(x: int) -> int:
    return x + 1


def test_a_coroutine_function_is_run(client: Client) -> None:
    assert client.submit(coroutine_task, 1).result() == 2


@pytest.mark.parametrize("call", [worker_client, get_worker, secede, rejoin])
def test_outside_a_task_there_is_a_clear_error(call) -> None:
    with pytest.raises(NotInTaskError, match="only inside a task"):
        entered = call()
        if hasattr(entered, "__enter__"):
            entered.__enter__()


def ten_parents(n: int) -> int:
    with worker_client() as client:
        return sum(client.gather([client.submit(fib, 8, pure=False) for _ in range(n)]))


def test_many_parents_wait_at_once(somewhere: Client) -> None:
    assert somewhere.submit(ten_parents, 20).result() == 21 * 20


def submit_too_much(sizes: list[int]) -> list[int | str]:
    """By keys of these lengths: what came back, or what was said."""
    told: list[int | str] = []
    with worker_client() as client:
        for size in sizes:
            kept, let_go = client.submit(inc, size, pure=False), client.submit(inc, -size, pure=False)
            del let_go  # leaves with what follows
            try:
                told.append(client.submit(inc, size, key=f"{size:0{size}}").result())
            except SerializationError:
                told.append("too much")
            told.append(kept.result())
    return told


def test_a_task_that_submits_too_much_is_told_and_may_go_on() -> None:
    """What its own worker had to report meanwhile is not lost, and not said twice."""
    sizes = [10, 200_000, 20, 200_000, 30]
    with Client(n_workers=1, threads_per_worker=2, config=Config(control_bytes=100_000)) as client:
        parents = [client.submit(submit_too_much, sizes, pure=False) for _ in range(4)]
        told = [11, 11, "too much", 200_001, 21, 21, "too much", 200_001, 31, 31]
        assert client.gather(parents) == [told] * 4
        del parents
        client.cluster.check()
        assert remaining(client) == {}


def wait_in_a_turn() -> tuple[str, bool]:
    """As a finalizer does that interrupts the worker itself."""
    client = get_client()
    child = client.submit(inc, 1, pure=False)
    with TurnLock():
        try:
            child.result()
        except RuntimeError as error:
            return str(error), context.current().seceded
    return "", True


def test_a_wait_that_is_refused_keeps_the_slot(single: Client) -> None:
    for _ in range(3):
        told, seceded = single.submit(wait_in_a_turn, pure=False).result()
        assert "finalizer" in told
        assert not seceded
    assert single.submit(fib, 10).result() == 55


def cancelled_child() -> str:
    with worker_client() as client:
        future = client.submit(slow_inc, 1, 30.0)
        future.cancel()
        return future.status


def test_a_parent_cancels_its_child(client: Client) -> None:
    assert client.submit(cancelled_child).result() == "cancelled"


started: list[int] = []


def parents_waiting(i: int) -> int:
    """How many parents have started and not ended, in this worker."""
    started.append(i)
    with worker_client() as client:
        client.submit(inc, i, pure=False).result()
    count = len(started)
    started.remove(i)
    return count


def test_children_of_the_oldest_parent_go_first(single: Client) -> None:
    """Not all parents start before the first child runs: their threads would pile up."""
    parents = [single.submit(parents_waiting, i) for i in range(400)]
    assert max(single.gather(parents)) < 200


def first_of_two() -> tuple[int, int, float]:
    with worker_client() as client:
        began = time.monotonic()
        slow, quick = client.submit(slow_inc, 1, 5.0, local=False), client.submit(inc, 1)
        done, others = wait([slow, quick], return_when="FIRST_COMPLETED")
        return len(done), len(others), time.monotonic() - began


def test_a_child_that_runs_inside_may_be_the_first_that_is_waited_for(single: Client) -> None:
    done, others, seconds = single.submit(first_of_two, pure=False).result()
    assert (done, others) == (1, 1)
    assert seconds < 3.0


def first_failure() -> float:
    with worker_client() as client:
        began = time.monotonic()
        slow, broken = client.submit(slow_inc, 1, 5.0, local=False), client.submit(fail, "inside")
        with pytest.raises(ValueError, match="inside"):
            client.gather([slow, broken])
        return time.monotonic() - began


def test_a_failure_inside_ends_a_gather_at_once(single: Client) -> None:
    assert single.submit(first_failure, pure=False).result() < 3.0
