"""A task that waits with a limit, in a loop of its own, or for the first of several: nothing of that hangs."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsched import Client, as_completed, get_client, get_worker, wait, worker_client
from fastsched._version import __version__
from fastsched.net.access import AccessFile, fresh_keys
from fastsched.net.address import parse
from tests.cluster.functions import inc, wait_for_file
from tests.cluster.nested_clusters import cluster_of, emptied

SECONDS = 60.0
LIMIT = 30.0
"""Of waits with a limit that must not matter."""


@pytest.fixture(scope="module")
def single_cluster() -> Iterator[Client]:
    yield from cluster_of(1)


@pytest.fixture
def single(single_cluster: Client) -> Iterator[Client]:
    """One worker with one thread."""
    yield from emptied(single_cluster)


@pytest.fixture(params=[(1, 2), (2, 1)], ids=["two slots", "two workers"])
def fresh(request) -> Iterator[Client]:
    """Two slots, where nothing was run before."""
    for observer in cluster_of(*request.param):
        yield from emptied(observer)


# -- a lock across a wait ---------------------------------------------------------------------------------------------

the_lock = threading.Lock()


def by_result(client: Client, child: Any) -> None:
    child.result(LIMIT)


def by_wait(client: Client, child: Any) -> None:
    wait([child], timeout=LIMIT)


def by_as_completed(client: Client, child: Any) -> None:
    assert list(as_completed([child], timeout=LIMIT)) == [child]


def by_own_loop(client: Client, child: Any) -> None:
    async def main() -> None:
        await child

    asyncio.run(main())


def by_own_loop_in_time(client: Client, child: Any) -> None:
    async def main() -> None:
        await asyncio.wait_for(child, LIMIT)

    asyncio.run(main())


def by_many_in_own_loop(client: Client, child: Any) -> None:
    async def main() -> None:
        others = client.map(inc, range(3), pure=False)
        await asyncio.gather(child, *others, client.gather(others, asynchronous=True), _each(others))

    asyncio.run(main())


async def _each(futures: list[Any]) -> None:
    async for future in as_completed(futures):
        await future


def waits_while_locked(how: Callable[[Client, Any], None], held: str, wanted: str) -> int:
    with the_lock, worker_client() as client:
        Path(held).touch()
        wait_for_file(wanted)  # who wants the lock has the slot
        child = client.submit(inc, 1, pure=False)
        how(client, child)
        return child.result()


def wants_the_lock(wanted: str) -> None:
    Path(wanted).touch()
    with the_lock:
        pass


WAYS = [by_result, by_wait, by_as_completed, by_own_loop, by_own_loop_in_time, by_many_in_own_loop]


@pytest.mark.parametrize("how", WAYS, ids=lambda how: how.__name__)
def test_a_lock_held_across_a_wait_delays_and_does_not_hang(single: Client, how: Any, tmp_path: Path) -> None:
    held, wanted = str(tmp_path / "held"), str(tmp_path / "wanted")
    parent = single.submit(waits_while_locked, how, held, wanted, pure=False)
    wait_for_file(held)
    other = single.submit(wants_the_lock, wanted, pure=False)
    assert parent.result(SECONDS) == 2
    assert other.result(SECONDS) is None


# -- limits -----------------------------------------------------------------------------------------------------------


def runs_here(client: Client, function: Any, *args: Any) -> None:
    """Until its calls run in the thread that waits for them: they are known to be short."""
    client.submit(function, *args, pure=False).result()
    while True:
        before = get_worker().statistics["inline"]
        client.submit(function, *args, pure=False).result()
        if get_worker().statistics["inline"] > before:
            return


def stops_waiting(there: str, release: str) -> str:
    with worker_client() as client:
        runs_here(client, wait_for_file, there)
        child = client.submit(wait_for_file, release, pure=False)
        told = "not told"
        try:
            next(as_completed([child], timeout=0.05))
        except TimeoutError:
            told = "in time"
        Path(release).touch()
        child.result()
        return told


def test_as_completed_inside_keeps_its_limit(single: Client, tmp_path: Path) -> None:
    """Also with a child that could run in the thread that waits; this one ends only if the wait does."""
    there, release = tmp_path / "there", tmp_path / "release"
    there.touch()
    assert single.submit(stops_waiting, str(there), str(release), pure=False).result(SECONDS) == "in time"


def polls(release: str) -> float:
    with worker_client() as client:
        child = client.submit(wait_for_file, release, pure=False)
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            child.result(0.5)
        seconds = time.monotonic() - began
        Path(release).touch()
        child.result()
        return seconds


def test_a_wait_ends_at_its_limit(single: Client, tmp_path: Path) -> None:
    """Each look at what is stuck takes a moment; they do not add up."""
    release = str(tmp_path / "release")
    seconds = single.submit(polls, release, pure=False).result(SECONDS)
    assert 0.5 <= seconds < 5.0


# -- the first of several ---------------------------------------------------------------------------------------------


def the_answer() -> int:
    return 42


def by_iterating(slow: Any, quick: Any) -> bool:
    return next(as_completed([slow, quick])) is quick


def by_waiting_for_the_first(slow: Any, quick: Any) -> bool:
    return wait([slow, quick], return_when="FIRST_COMPLETED").done == {quick}


def answers_the_first(how: Callable[[Any, Any], bool], release: str) -> bool:
    """The slow one ends only once this knows of the quick one."""
    with worker_client() as client:
        slow, quick = client.submit(wait_for_file, release, pure=False), client.submit(the_answer, pure=False)
        first = how(slow, quick)
        Path(release).touch()
        slow.result()
        return first


@pytest.mark.parametrize("how", [by_iterating, by_waiting_for_the_first], ids=lambda how: how.__name__)
def test_a_child_that_may_be_long_does_not_hold_up_a_wait_for_the_first(fresh: Client, how: Any, tmp_path) -> None:
    assert fresh.submit(answers_the_first, how, str(tmp_path / "release"), pure=False).result(SECONDS)


def races_its_input(release: str) -> bool:
    with worker_client() as client:
        runs_here(client, str, "a")
        slow = client.submit(str, client.submit(wait_for_file, release, pure=False), pure=False)
        first = by_iterating(slow, client.submit(the_answer, pure=False))
        Path(release).touch()
        slow.result()
        return first


def test_nor_does_what_such_a_child_needs(fresh: Client, tmp_path: Path) -> None:
    assert fresh.submit(races_its_input, str(tmp_path / "release"), pure=False).result(SECONDS)


# -- nobody waits -----------------------------------------------------------------------------------------------------


def submits_itself(how: str) -> str:
    client = get_client()
    if how == "submit":
        client.submit(submits_itself, how, local=False)
    else:
        client.map(submits_itself, [how], local=False)
    return "goes on"


@pytest.mark.parametrize("how", ["submit", "map"])
def test_a_task_may_submit_its_own_call_if_it_does_not_wait_for_it(single: Client, how: str) -> None:
    assert single.submit(submits_itself, how).result(SECONDS) == "goes on"


# -- another scheduler ------------------------------------------------------------------------------------------------


def asks_for(address: str) -> str:
    try:
        get_client(address=address).submit(inc, 1).result()
    except ValueError as error:
        return str(error)
    return "the same"


def access_file(address: str, path: Path) -> str:
    AccessFile.create(parse(address), fresh_keys(), __version__).write(path)
    return str(path)


def test_a_task_has_no_client_of_another_scheduler(single: Client, tmp_path: Path) -> None:
    own = single.scheduler_info()["address"]
    for same in own, access_file(own, tmp_path / "own"):
        assert single.submit(asks_for, same).result(SECONDS) == "the same"
    for other in "tcp://127.0.0.1:1", access_file("tcp://127.0.0.1:1", tmp_path / "other"), str(tmp_path / "none"):
        assert own in single.submit(asks_for, other).result(SECONDS)
