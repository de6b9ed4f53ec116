"""Coroutine tasks: they take turns in one thread of their worker, and hold no slot while they await."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsched import (
    CancelledError,
    Client,
    CyclicWait,
    NotInTaskError,
    WorkerLost,
    as_completed,
    get_client,
    get_worker,
    rejoin,
    secede,
    wait,
    worker_client,
)
from fastsched.worker.context import current, host
from tests.cluster.functions import Attempts, append_line, blob, fail, inc, slow_inc
from tests.cluster.nested_clusters import cluster_of, emptied

SECONDS = 60.0


@pytest.fixture(scope="module")
def single_cluster() -> Iterator[Client]:
    yield from cluster_of(1)


@pytest.fixture(scope="module")
def pair_cluster() -> Iterator[Client]:
    yield from cluster_of(2)


@pytest.fixture
def single(single_cluster: Client) -> Iterator[Client]:
    """One worker with one thread."""
    yield from emptied(single_cluster)


@pytest.fixture
def pair(pair_cluster: Client) -> Iterator[Client]:
    """Two workers with one thread each."""
    yield from emptied(pair_cluster)


@pytest.fixture(params=["single", "pair"])
def anywhere(request) -> Client:
    """Each of them."""
    return request.getfixturevalue(request.param)


# -- where they run ---------------------------------------------------------------------------------------------------


async def where() -> tuple[str, bool]:
    await asyncio.sleep(0)
    return threading.current_thread().name, asyncio.get_running_loop().is_running()


async def adds_one(x: int) -> int:
    await asyncio.sleep(0)
    return x + 1


async def never_awaits(x: int) -> int:
    return x + 1


def gives_back_a_coroutine(x: int) -> Any:
    return adds_one(x)


class Callable:
    async def __call__(self, x: int) -> int:
        return await adds_one(x)

    async def method(self, x: int) -> int:
        return await adds_one(x)


def test_all_run_in_one_loop_beside_the_slots(single: Client) -> None:
    names = {name for name, running in single.gather([single.submit(where, pure=False) for _ in range(5)])}
    assert names == {"fastsched-coroutines"}
    assert single.submit(threading.get_ident).result() != single.submit(loop_thread).result()


async def loop_thread() -> int:
    return threading.get_ident()


@pytest.mark.parametrize(
    "function",
    [never_awaits, gives_back_a_coroutine, Callable(), Callable().method, functools.partial(adds_one)],
    ids=["never awaits", "plain function", "object", "method", "partial"],
)
def test_whatever_makes_a_coroutine_is_a_coroutine_task(anywhere: Client, function: Any) -> None:
    assert anywhere.submit(function, 1, pure=False).result(SECONDS) == 2
    assert anywhere.gather(anywhere.map(function, range(100), pure=False)) == list(range(1, 101))


def parent_of_coroutines(n: int) -> list[int]:
    with worker_client() as client:
        return client.gather(client.map(adds_one, range(n), pure=False))


def test_coroutines_as_children_of_a_thread(anywhere: Client) -> None:
    assert anywhere.submit(parent_of_coroutines, 300, pure=False).result(SECONDS) == list(range(1, 301))


def one_after_the_other(n: int) -> int:
    with worker_client() as client:
        for _ in range(n):
            assert client.submit(adds_one, 1, pure=False).result() == 2
            assert client.submit(inc, 1, pure=False).result() == 2
    return n


def test_a_thread_that_waits_for_coroutines_and_others_in_turn(anywhere: Client) -> None:
    assert anywhere.submit(one_after_the_other, 200, pure=False).result(SECONDS) == 200


# -- slots ------------------------------------------------------------------------------------------------------------


async def meets(n: int, path: str) -> int:
    """Goes on when so many are here at once."""
    append_line(path, "here")
    while len(Path(path).read_text().splitlines()) < n:
        await asyncio.sleep(0.002)
    return n


def test_those_that_await_hold_no_slot(single: Client, tmp_path: Path) -> None:
    path = str(tmp_path / "lines")
    futures = [single.submit(meets, 51, path, pure=False) for _ in range(50)]
    while not Path(path).exists() or len(Path(path).read_text().splitlines()) < 50:
        time.sleep(0.002)
    assert single.submit(append_line, path, "a plain task").result(SECONDS) == "a plain task"
    assert single.gather(futures) == [51] * 50


def test_there_is_an_end_to_those_without_a_slot(tmp_path: Path) -> None:
    """The others keep the slot in which they have begun; but not while they await tasks."""
    path = str(tmp_path / "lines")
    for client in cluster_of(1, coroutines=3):
        futures = [client.submit(meets, 10, path, pure=False) for _ in range(10)]
        read(Path(path), 4)
        time.sleep(0.2)
        assert len(Path(path).read_text().splitlines()) == 4
        client.cancel(futures)
        assert client.gather([client.submit(awaits_child, i, pure=False) for i in range(30)]) == list(range(1, 31))


async def awaits_child(x: int) -> int:
    async with worker_client() as client:
        return await client.submit(inc, x, pure=False)


async def awaits_in_depth(n: int) -> int:
    return 0 if n == 0 else 1 + await get_client().submit(awaits_in_depth, n - 1, pure=False)


def test_a_chain_of_awaiting_parents_on_one_slot(single: Client) -> None:
    assert single.submit(awaits_in_depth, 300).result(SECONDS) == 300


async def awaits_many(n: int) -> int:
    client = get_client()
    return sum(await client.gather(client.map(inc, range(n), pure=False)))


def test_a_coroutine_that_gathers_many(anywhere: Client) -> None:
    assert anywhere.submit(awaits_many, 2000).result(SECONDS) == sum(range(2001))


async def by_hand() -> list[bool]:
    before = current().seceded
    secede()
    during = current().seceded
    rejoin()
    with worker_client() as client:
        assert client is get_client()
        await client.submit(inc, 1)
    return [before, during]


def test_secede_and_rejoin_do_not_stop_the_loop(single: Client) -> None:
    assert single.submit(by_hand).result(SECONDS) == [False, True]


# -- what a coroutine may do ------------------------------------------------------------------------------------------


async def uses_everything(n: int) -> dict[str, Any]:
    client = get_client()
    assert client.asynchronous
    futures = client.map(inc, range(n), pure=False)
    found: dict[str, Any] = {"gathered": await client.gather(futures)}
    found["asyncio"] = list(await asyncio.gather(*futures))
    done, not_done = await wait(client.map(slow_inc, range(n), seconds=0.01, pure=False))
    found["waited"] = len(done), len(not_done)
    found["nothing"] = [*await wait([])]
    found["completed"] = sorted([await future async for future in as_completed(client.map(inc, range(n), pure=False))])
    pairs = as_completed(client.map(inc, range(n), pure=False), with_results=True)
    found["pairs"] = sorted([value async for _, value in pairs])
    data = await client.scatter({"coroutine-a": 1, "coroutine-b": [2]})
    found["scattered"] = await client.gather(data)
    found["dict"] = await client.gather({"x": [futures[0]]})
    found["skipped"] = await client.gather([futures[0], client.submit(fail, "skip", pure=False)], errors="skip")
    cancelled = client.submit(asyncio.sleep, 60.0, pure=False)
    await cancelled.cancel()
    found["cancelled"] = cancelled.status
    found["threads"] = len(client.nthreads())
    return found


def test_the_whole_face_can_be_awaited(single: Client) -> None:
    ones = [1, 2, 3]
    assert single.submit(uses_everything, 3).result(SECONDS) == {
        "gathered": ones,
        "asyncio": ones,
        "waited": (3, 0),
        "nothing": [set(), set()],
        "completed": ones,
        "pairs": ones,
        "scattered": {"coroutine-a": 1, "coroutine-b": [2]},
        "dict": {"x": [1]},
        "skipped": [1],
        "cancelled": "cancelled",
        "threads": 1,
    }


async def first_of_two(path: str) -> tuple[int, int]:
    client = get_client()
    slow = client.submit(waits_for, path, pure=False)
    done, not_done = await wait([slow, client.submit(inc, 1, pure=False)], return_when="FIRST_COMPLETED")
    Path(path).touch()
    await slow
    return len(done), len(not_done)


async def waits_for(path: str) -> str:
    while not Path(path).exists():
        await asyncio.sleep(0.002)
    return path


def test_waiting_for_the_first(anywhere: Client, tmp_path: Path) -> None:
    assert anywhere.submit(first_of_two, str(tmp_path / "go")).result(SECONDS) == (1, 1)


async def runs_out_of_time() -> list[str]:
    client = get_client()
    slow = client.submit(asyncio.sleep, 60.0, pure=False)
    told = []
    for awaitable in (wait([slow], timeout=0.02), asyncio.wait_for(slow, 0.02)):
        try:
            await awaitable
        except TimeoutError:
            told.append(slow.status)
    try:
        told += ["ended" async for _ in as_completed([slow], timeout=0.02)]
    except TimeoutError:
        told.append(slow.status)
    return told


def test_awaiting_with_a_limit(anywhere: Client) -> None:
    assert anywhere.submit(runs_out_of_time, pure=False).result(SECONDS) == ["pending"] * 3


async def large_values() -> int:
    client = get_client()
    futures = [client.submit(blob, 2_000_000, fill=i, pure=False) for i in range(3)]
    gathered = await client.gather(futures)
    return sum(map(len, gathered)) + len(await futures[0]) + sum([len(await f) async for f in as_completed(futures)])


def test_large_values_do_not_stop_the_loop(anywhere: Client) -> None:
    assert anywhere.submit(large_values, pure=False).result(SECONDS) == 14_000_000


async def blocks() -> list[str]:
    client = get_client()
    future = client.submit(slow_inc, 1, 0.05, pure=False)
    told = []
    for call in (future.result, future.exception, lambda: list(as_completed([future]))):
        try:
            call()
        except RuntimeError as error:
            told.append(str(error))
    await future
    return [*told, str(future.result())]


def test_what_would_stop_the_loop_is_refused(single: Client) -> None:
    *told, value = single.submit(blocks, pure=False).result(SECONDS)
    assert len(told) == 3
    assert all("await" in text for text in told)
    assert value == "2"


async def starts_a_process() -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(40 + 2)", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().strip()


def test_a_coroutine_may_start_processes(single: Client) -> None:
    assert single.submit(starts_a_process).result(SECONDS) == "42"


async def in_a_thread() -> list[Any]:
    def work() -> list[Any]:
        try:
            worker_client().__enter__()
        except NotInTaskError:
            return ["no task", get_client().submit(inc, 1, pure=False).result(SECONDS)]
        return []

    return await asyncio.to_thread(work)


def test_a_thread_of_a_coroutine_runs_no_task(single: Client) -> None:
    assert single.submit(in_a_thread, pure=False).result(SECONDS) == ["no task", 2]


# -- what it finds around it ------------------------------------------------------------------------------------------

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def looks_around(text: str) -> list[Any]:
    found = [variable.get()]
    variable.set(text)
    for _ in range(3):
        await asyncio.sleep(0.001)
        found.append((variable.get(), current().key, get_worker().name))

    async def part() -> tuple[str, str]:
        await asyncio.sleep(0.001)
        return variable.get(), current().key

    found += await asyncio.gather(part(), part())
    return found


def test_each_has_a_context_of_its_own(single: Client) -> None:
    futures = [single.submit(looks_around, f"{i}", key=f"around-{i}") for i in range(20)]
    for i, found in enumerate(single.gather(futures)):
        own = (f"{i}", f"around-{i}")
        assert found == ["unset", *[(*own, "worker-0")] * 3, own, own]


left_behind: list[Any] = []


async def leaves_something_running(seconds: float) -> str:
    async def later() -> None:
        await asyncio.sleep(seconds)
        left_behind.append(current())

    left_behind.append(asyncio.create_task(later()))
    return current().key


async def what_was_left() -> Any:
    await left_behind[0]
    return left_behind[1]


def test_what_a_coroutine_leaves_in_the_loop_runs_no_task(single: Client) -> None:
    assert single.submit(leaves_something_running, 0.1, key="leaver").result(SECONDS) == "leaver"
    assert single.submit(what_was_left).result(SECONDS) is None


async def waits_for_itself() -> str:
    try:
        await get_client().attach(current().key)
    except CyclicWait as error:
        return str(error)
    return ""


def test_awaiting_oneself_is_an_error(single: Client) -> None:
    assert "cannot wait" in single.submit(waits_for_itself, key="self").result(SECONDS)


# -- how they end -----------------------------------------------------------------------------------------------------


async def raises(kind: type[BaseException]) -> None:
    await asyncio.sleep(0)
    raise kind("of a coroutine")


@pytest.mark.parametrize(
    "kind", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit, BaseException, asyncio.CancelledError]
)
def test_what_a_coroutine_raises_is_its_own(anywhere: Client, kind: type[BaseException]) -> None:
    other = anywhere.submit(asyncio.sleep, 0.1, pure=False)
    with pytest.raises(kind, match="of a coroutine") as caught:
        anywhere.submit(raises, kind).result(SECONDS)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "raises"
    assert "_live" not in frames
    assert "__await__" not in frames
    assert other.result(SECONDS) is None


async def interrupts_the_loop() -> None:
    async def part() -> None:
        raise KeyboardInterrupt

    asyncio.create_task(part())  # noqa: RUF006  it ends at once
    await asyncio.sleep(0.01)


def test_an_interrupt_in_the_loop_does_not_end_it(single: Client) -> None:
    assert single.submit(interrupts_the_loop).result(SECONDS) is None
    assert single.submit(adds_one, 1).result(SECONDS) == 2


async def passes_on() -> None:
    await get_client().submit(raises, ValueError)


def test_an_exception_passes_through_coroutines(anywhere: Client) -> None:
    with pytest.raises(ValueError, match="of a coroutine") as caught:
        anywhere.submit(passes_on).result(SECONDS)
    text = "".join(traceback.format_exception(caught.value))
    assert "in passes_on" in text
    assert "in raises" in text


async def flaky(attempts: Attempts) -> int:
    await asyncio.sleep(0)
    return attempts()


async def retries_inside(path: str) -> int:
    return await get_client().submit(flaky, Attempts(path, 2), retries=2)


def thread_retries_inside(path: str) -> int:
    with worker_client() as client:
        return client.submit(flaky, Attempts(path, 2), retries=2).result()


@pytest.mark.parametrize("parent", [flaky, retries_inside, thread_retries_inside])
def test_retries(anywhere: Client, tmp_path: Path, parent: Any) -> None:
    path = str(tmp_path / "attempts")
    if parent is flaky:
        assert anywhere.submit(flaky, Attempts(path, 2), retries=2).result(SECONDS) == 3
    else:
        assert anywhere.submit(parent, path).result(SECONDS) == 3


async def waits_for_ever(path: str) -> None:
    append_line(path, "began")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        append_line(path, "cancelled")
        raise


def read(path: Path, lines: int) -> list[str]:
    """So many lines, once they are there."""
    deadline = time.monotonic() + SECONDS
    while not path.exists() or len(path.read_text().splitlines()) < lines:
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.002)
    return path.read_text().splitlines()


@pytest.mark.parametrize("way", ["cancel", "release"])
def test_a_coroutine_that_nobody_wants_ends_at_its_await(anywhere: Client, tmp_path: Path, way: str) -> None:
    path = tmp_path / "lines"
    future = anywhere.submit(waits_for_ever, str(path))
    read(path, 1)
    if way == "cancel":
        future.cancel()
        with pytest.raises(CancelledError):
            future.result()
    del future
    assert read(path, 2) == ["began", "cancelled"]


async def holds_a_child(path: str) -> None:
    future = get_client().submit(waits_for_ever, path, pure=False)
    await future


def test_a_cancelled_coroutine_lets_its_children_go(anywhere: Client, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    future = anywhere.submit(holds_a_child, str(path), pure=False)
    read(path, 1)
    future.cancel()
    assert read(path, 2) == ["began", "cancelled"]


async def stops_the_loop(path: str) -> None:
    await asyncio.sleep(0)
    Path(path).touch()
    while Path(path).exists():
        time.sleep(0.001)


def test_a_coroutine_that_is_cancelled_before_its_first_step_ends(single: Client, tmp_path: Path) -> None:
    path, lines = tmp_path / "stopped", tmp_path / "lines"
    first = single.submit(stops_the_loop, str(path), pure=False)
    while not path.exists():
        time.sleep(0.002)
    other = single.submit(waits_for_ever, str(lines), pure=False)
    while single.run(coroutines_here).popitem()[1] < 2:
        time.sleep(0.002)
    other.cancel()
    single.run(coroutines_here)  # the worker has heard of the end of the other one
    path.unlink()
    assert first.result(SECONDS) is None


def coroutines_here() -> int:
    """For `Client.run`."""
    worker: Any = host()
    return worker.census()["coroutines"]


def cancels_its_child(path: str, way: str) -> list[str]:
    with worker_client() as client:
        future = client.submit(waits_for_ever, path)
        wait([future, client.submit(waits_for_lines, path, 1)], return_when="FIRST_COMPLETED")
        if way == "cancel":
            future.cancel()
        del future
        return client.submit(waits_for_lines, path, 2).result()


async def waits_for_lines(path: str, n: int) -> list[str]:
    while not Path(path).exists() or len(Path(path).read_text().splitlines()) < n:
        await asyncio.sleep(0.002)
    return Path(path).read_text().splitlines()


@pytest.mark.parametrize("way", ["cancel", "release"])
def test_a_coroutine_that_its_parent_gives_up_ends_at_its_await(anywhere: Client, tmp_path: Path, way: str) -> None:
    path = str(tmp_path / "lines")
    assert anywhere.submit(cancels_its_child, path, way, pure=False).result(SECONDS) == ["began", "cancelled"]


async def dies(path: str, at: int) -> int:
    append_line(path, "attempt")
    await asyncio.sleep(0.01)
    if len(Path(path).read_text().splitlines()) <= at:
        os.kill(os.getpid(), signal.SIGKILL)
    return at


async def sleeps(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


def test_the_coroutine_whose_step_ends_the_worker_is_to_blame(tmp_path: Path) -> None:
    """The others, that awaited something, are not, however often it happens."""
    for client in cluster_of(1):
        others = [client.submit(sleeps, 1.0, pure=False) for _ in range(5)]
        with pytest.raises(WorkerLost, match="4 workers"):
            client.submit(dies, str(tmp_path / "for ever"), 100).result(SECONDS)
        assert client.submit(dies, str(tmp_path / "twice"), 2).result(SECONDS) == 2
        assert client.gather(others) == [1.0] * 5
