"""What a task does by hand: it gives up its slot and takes it back, waits for many, starts threads and loops."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from fastsched import (
    Client,
    NotInTaskError,
    as_completed,
    get_client,
    get_worker,
    rejoin,
    secede,
    wait,
    worker_client,
)
from fastsched.worker.context import current
from tests.cluster.functions import append_line, fail, inc, slow_inc
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


# -- slots ------------------------------------------------------------------------------------------------------------


def steps(path: str, held: bool) -> None:
    """Writes down when it has its slot, and when another task had it."""
    if not held:
        secede()
    while Path(path).read_text().count("other") < (not held):
        time.sleep(0.002)
    append_line(path, "alone")
    rejoin()
    append_line(path, "back")


@pytest.mark.parametrize("held", [True, False])
def test_a_seceded_task_gives_its_slot_to_others_at_once(single: Client, tmp_path: Path, held: bool) -> None:
    path = tmp_path / "lines"
    path.touch()
    parent = single.submit(steps, str(path), held)
    other = single.submit(append_line, str(path), "other")
    single.gather([parent, other])
    lines = path.read_text().splitlines()
    assert lines == (["alone", "back", "other"] if held else ["other", "alone", "back"])


def ends_without_its_slot() -> bool:
    secede()
    return current().seceded


def fails_without_its_slot() -> None:
    secede()
    raise ValueError("without a slot")


def test_a_task_may_end_without_rejoining(single: Client) -> None:
    for _ in range(5):
        assert single.submit(ends_without_its_slot, pure=False).result(SECONDS)
        with pytest.raises(ValueError, match="without a slot"):
            single.submit(fails_without_its_slot, pure=False).result(SECONDS)
    assert single.submit(computes_in_turn, 5, pure=False).result(SECONDS) == 1


def computes_in_turn(n: int) -> int:
    """The most of its children that executed at once."""
    with worker_client() as client:
        return max(client.gather([client.submit(counts_running, pure=False, local=False) for _ in range(n)]))


running: list[int] = []


def counts_running() -> int:
    running.append(1)
    time.sleep(0.005)
    count = len(running)
    running.pop()
    return count


def secedes_in_a_block() -> list[bool]:
    found = [current().seceded]
    with worker_client() as client:
        secede()
        found.append(current().seceded)
        assert client.submit(inc, 1).result() == 2
        rejoin()
        found.append(current().seceded)
        secede()
    return [*found, current().seceded]


def test_by_hand_inside_a_block(single: Client) -> None:
    """The end of the block is the end of it: the task has its slot again."""
    assert single.submit(secedes_in_a_block).result(SECONDS) == [False, True, False, False]


def opens_a_block_after_secede() -> list[bool]:
    secede()
    with worker_client() as client:
        client.submit(inc, 1, pure=False).result()
    found = [current().seceded]
    get_client().submit(inc, 2, pure=False, local=False).result()
    found.append(current().seceded)
    rejoin()
    return [*found, current().seceded]


def test_a_block_or_a_wait_after_secede_takes_no_slot(single: Client) -> None:
    assert single.submit(opens_a_block_after_secede).result(SECONDS) == [True, True, False]


def keeps_it(path: str) -> str:
    with worker_client(separate_thread=False) as client:
        assert client is get_client()
        time.sleep(0.1)
        return append_line(path, "parent")


def test_a_block_that_keeps_the_slot(single: Client, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    single.gather([single.submit(keeps_it, str(path)), single.submit(append_line, str(path), "other")])
    assert path.read_text().splitlines() == ["parent", "other"]


def leaves_a_block_open() -> bool:
    worker_client().__enter__()
    return current().seceded


def parent_of_one_that_leaves_a_block_open() -> bool:
    get_client().submit(leaves_a_block_open, pure=False).result()
    return current().seceded


@pytest.mark.parametrize("careless", [leaves_a_block_open, parent_of_one_that_leaves_a_block_open])
def test_a_block_that_is_left_open_ends_with_its_task(single: Client, tmp_path: Path, careless: Any) -> None:
    """The next task of that thread may lend its slot, and keeps it as long as it has not opened a block."""
    path = tmp_path / "lines"
    assert single.submit(careless, pure=False).result(SECONDS) is False
    single.gather([single.submit(sleeps_and_writes, str(path)), single.submit(append_line, str(path), "other")])
    assert path.read_text().splitlines() == ["slept", "other"]
    assert single.submit(calls_back, 3, pure=False).result(SECONDS) == [1, 2, 3]


def sleeps_and_writes(path: str) -> str:
    time.sleep(0.1)
    return append_line(path, "slept")


# -- waiting for many -------------------------------------------------------------------------------------------------


def opened(opening: str) -> AbstractContextManager[Client]:
    """A client in a block, or without."""
    if opening == "get_client":
        return nullcontext(get_client())
    return worker_client(inline=opening != "not inline")


OPENINGS = ["get_client", "block", "not inline"]


def takes_them_as_they_come(n: int, opening: str) -> list[Any]:
    with opened(opening) as client:
        return takes_them_from(client, n)


def takes_them_from(client: Client, n: int) -> list[Any]:
    futures = client.map(inc, range(n), pure=False)
    iterator = as_completed(futures, with_results=True)
    found = [result for _, result in iterator]
    more = as_completed()
    for i in range(3):
        more.add(client.submit(inc, 10 * i, pure=False))
    batches = [future.result() for batch in more.batches() for future in batch]
    errors = as_completed([client.submit(fail, "x", pure=False)], with_results=True, raise_errors=False)
    return [sorted(found), sorted(batches), [str(error) for _, error in errors], iterator.is_empty()]


@pytest.mark.parametrize("opening", OPENINGS)
def test_as_completed_inside(anywhere: Client, opening: str) -> None:
    found = anywhere.submit(takes_them_as_they_come, 30, opening).result(SECONDS)
    assert found == [list(range(1, 31)), [1, 11, 21], ["x"], True]


def launches_for_each(n: int) -> int:
    """Each that ends has another one started: a worklist."""
    client = get_client()
    worklist = as_completed(client.map(inc, [0] * 4, pure=False), with_results=True)
    count = 0
    for _, value in worklist:
        count += 1
        if value < n:
            worklist.add(client.submit(inc, value, pure=False))
    return count


def test_a_worklist_that_grows_while_it_is_iterated(anywhere: Client) -> None:
    assert anywhere.submit(launches_for_each, 50).result(SECONDS) == 200


def waits(opening: str) -> list[Any]:
    with opened(opening) as client:
        return waits_with(client)


def waits_with(client: Client) -> list[Any]:
    futures = client.map(inc, range(10), pure=False)
    done, others = wait(futures)
    found: list[Any] = [len(done), len(others)]
    slow = client.submit(slow_inc, 1, 0.2, pure=False)
    done, others = wait([slow, *client.map(inc, range(3), pure=False)], return_when="FIRST_COMPLETED")
    found.append(len(done) >= 1)
    try:
        wait([client.submit(slow_inc, 1, 0.3, pure=False)], timeout=0.01)
    except TimeoutError:
        found.append("too long")
    return [*found, wait([client.submit(fail, "x", pure=False)]).done.pop().status]


@pytest.mark.parametrize("opening", OPENINGS)
def test_wait_inside(anywhere: Client, opening: str) -> None:
    assert anywhere.submit(waits, opening).result(SECONDS) == [10, 0, True, "too long", "error"]


def calls_back(n: int) -> list[int]:
    found: list[int] = []
    done = threading.Event()

    def add(future: Any) -> None:
        found.append(future.result())
        if len(found) == n:
            done.set()

    with worker_client() as client:
        futures = client.map(inc, range(n), pure=False)
        for future in futures:
            future.add_done_callback(add)
        assert done.wait(SECONDS)
    return sorted(found)


def test_callbacks_inside(anywhere: Client) -> None:
    assert anywhere.submit(calls_back, 20).result(SECONDS) == list(range(1, 21))


# -- threads that a task starts ---------------------------------------------------------------------------------------


def in_threads(work: Callable[[int], Any], n: int) -> list[Any]:
    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(work, range(n)))


def what_fails(_: int) -> list[str]:
    told = []
    for call in (lambda: worker_client().__enter__(), get_worker, secede, rejoin):
        try:
            call()
        except NotInTaskError as error:
            told.append(str(error)[:30])
    return told


def test_a_thread_of_a_task_runs_no_task(single: Client) -> None:
    found = single.submit(in_threads, what_fails, 2).result(SECONDS)
    assert [len(told) for told in found] == [4, 4]
    assert current() is None


def submits(i: int) -> int:
    client = get_client()
    with_own_threads = client.gather(client.map(inc, range(i, i + 20), pure=False))
    return sum(with_own_threads) + sum([future.result() for future in as_completed(client.map(inc, range(5)))])


def has_threads(n: int) -> list[int]:
    with worker_client():  # the task waits for its threads, not for futures: without the block it would keep its slot
        return in_threads(submits, n)


def test_threads_of_a_task_use_the_client_of_the_worker(anywhere: Client) -> None:
    wanted = [sum(range(i + 1, i + 21)) + 15 for i in range(4)]
    parents = [anywhere.submit(has_threads, 4, pure=False) for _ in range(5)]
    assert [parent.result(SECONDS) for parent in parents] == [wanted] * 5


def passes_futures_on(n: int) -> int:
    """Threads wait for what the task has launched, and the task for what they have."""
    with worker_client() as client:
        futures = client.map(inc, range(n), pure=False)
        theirs = in_threads(lambda i: get_client().submit(inc, futures[i], pure=False), n)
        return sum(client.gather(theirs)) + sum(in_threads(lambda i: futures[i].result(), n))


def test_futures_go_from_a_task_to_its_threads_and_back(anywhere: Client) -> None:
    assert anywhere.submit(passes_futures_on, 8).result(SECONDS) == sum(range(2, 10)) + sum(range(1, 9))


def leaves_a_thread(path: str) -> str:
    def work() -> None:
        append_line(path, str(get_client().submit(slow_inc, 1, 0.1, pure=False).result(SECONDS)))

    threading.Thread(target=work, daemon=True).start()
    return "gone"


def test_a_thread_may_outlive_its_task(anywhere: Client, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    assert anywhere.submit(leaves_a_thread, str(path)).result(SECONDS) == "gone"
    deadline = time.monotonic() + SECONDS
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert path.read_text() == "2\n"


# -- loops of a task's own --------------------------------------------------------------------------------------------


def has_a_loop_of_its_own(n: int) -> list[Any]:
    async def main() -> list[Any]:
        client = get_client()
        assert not client.asynchronous
        futures = client.map(inc, range(n), pure=False)
        values = list(await asyncio.gather(*futures))
        return [values, await client.gather(futures, asynchronous=True), current().seceded]

    return [*asyncio.run(main()), current().seceded]


def test_a_task_that_awaits_in_a_loop_of_its_own_lends_its_slot(single: Client) -> None:
    assert single.submit(has_a_loop_of_its_own, 3, pure=False).result(SECONDS) == [[1, 2, 3], [1, 2, 3], False, False]
    assert (
        single.gather(single.map(has_a_loop_of_its_own, [20] * 20, pure=False))
        == [[list(range(1, 21))] * 2 + [False, False]] * 20
    )


def leaves_its_loop() -> bool:
    async def main() -> None:
        try:
            await asyncio.wait_for(get_client().submit(slow_inc, 1, 0.2, pure=False), 0.01)
        except TimeoutError:
            return

    asyncio.run(main())
    return current().seceded


def test_a_task_that_gives_up_awaiting_has_its_slot_again(single: Client) -> None:
    assert single.submit(leaves_its_loop, pure=False).result(SECONDS) is False
