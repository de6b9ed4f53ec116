"""What nested tasks promise beyond slots: what runs how often, what opts out, what is seen, what outlives a worker."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsched import Client, WorkerLost, as_completed, get_client, get_worker, wait, worker_client
from tests.cluster.conftest import remaining
from tests.cluster.functions import append_line, fail, inc
from tests.cluster.nested_books import left
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


def statistics(client: Client) -> Counter[str]:
    """Of all workers together."""
    total: Counter[str] = Counter()
    for found in client.run(lambda: get_worker().statistics).values():
        total.update(found)
    return total


# -- opting out -------------------------------------------------------------------------------------------------------


def thread() -> tuple[int, int]:
    return os.getpid(), threading.get_ident()


def threads_of_children(way: str) -> list[bool]:
    """Whether each ran in the thread of its parent, by each way to wait."""
    with worker_client(inline=way != "inline=False") as client:
        local = way != "local=False"
        futures = [client.submit(thread, pure=False, local=local) for _ in range(4)]
        futures += client.map(lambda _: thread(), range(4), pure=False, local=local)
        found = [futures[0].result(), *client.gather(futures[1:4])]
        wait(futures[4:6])
        found += [future.result() for future in as_completed(futures[4:])]
    return [one == thread() for one in found]


@pytest.mark.parametrize("way", ["", "inline=False", "local=False"])
def test_children_that_opt_out_run_in_no_thread_that_waits_for_them(single: Client, way: str) -> None:
    before = statistics(single)
    found = single.submit(threads_of_children, way, pure=False).result(SECONDS)
    assert len(found) == 8
    assert way == "" or not any(found)
    gained = statistics(single)
    gained.subtract(before)
    assert gained["inline"] == sum(found)
    assert gained["executed"] == 1 + 8 - sum(found)
    assert (gained["inline"] > 0) == (way == "")


def test_without_local_tasks_all_travel() -> None:
    for client in cluster_of(1, local_tasks=0):
        assert not any(client.submit(threads_of_children, "").result(SECONDS))
        assert statistics(client)["inline"] == 0


def inline_again_after_a_block_that_opts_out() -> list[bool]:
    with worker_client() as client:
        with worker_client(inline=False) as same:
            out = same.submit(thread, pure=False).result()
        back = client.submit(thread, pure=False).result()
        return [out == thread(), back == thread()]


def test_opting_out_ends_with_its_block(single: Client) -> None:
    assert single.submit(inline_again_after_a_block_that_opts_out).result(SECONDS) == [False, True]


def gathers_in_vain(path: str, n: int) -> int:
    """How many of its children have run when the first has failed."""
    client = get_client()
    futures = [client.submit(fail, "first", pure=False), *[client.submit(append_line, path, f"{i}") for i in range(n)]]
    try:
        client.gather(futures)
    except ValueError:
        return Path(path).read_text().count("\n")
    return -1


def test_a_failure_keeps_the_children_after_it_from_beginning(single: Client, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.touch()
    assert single.submit(gathers_in_vain, str(path), 20).result(SECONDS) == 0


def made_from_a_failure(n: int) -> list[str]:
    """What is said of tasks that are made from one that fails, the last first."""
    with worker_client() as client:
        futures = [client.submit(fail, "the first", pure=False)]
        for _ in range(n):
            futures.append(client.submit(inc, futures[-1], pure=False))
        told = []
        for future in reversed(futures):
            try:
                future.result()
            except ValueError as error:
                told.append(str(error))
        return told


def test_a_failure_reaches_all_that_waits_for_it(single: Client) -> None:
    assert single.submit(made_from_a_failure, 5).result(SECONDS) == ["the first"] * 6


ran: list[int] = []


def runs(i: int) -> None:
    ran.append(i)


def first_of_its_children(n: int) -> tuple[int, int]:
    """How many have ended, and how many have run, when it is told of the first."""
    client = get_client()
    client.submit(runs, -1, pure=False).result()
    inline = get_worker().statistics["inline"]
    while get_worker().statistics["inline"] == inline:  # until it is known that it is short
        client.submit(runs, -1, pure=False).result()
    ran.clear()
    done, _ = wait(client.map(runs, range(n), pure=False), return_when="FIRST_COMPLETED")
    return len(done), len(ran)


def test_waiting_for_the_first_runs_one(single: Client) -> None:
    assert single.submit(first_of_its_children, 20).result(SECONDS) == (1, 1)


# -- how often --------------------------------------------------------------------------------------------------------


def slow(path: str, text: str, launched: int = 0) -> str:
    """Coarse; ends when so many have launched it."""
    time.sleep(0.02)
    while len(list(Path(path).parent.glob("launched-*"))) < launched:
        time.sleep(0.001)
    return append_line(path, text)


def meets_and_launches(path: str, text: str) -> str:
    """Once there is one of it on both workers, they launch the same call."""
    directory = Path(path).parent
    with worker_client() as client:
        (directory / f"here-{os.getpid()}").touch()
        for i in range(3):  # by now this worker knows that it is coarse
            client.submit(slow, f"{path}-warm", str(i), pure=False).result()
        while len(list(directory.glob("here-*"))) < 2:
            time.sleep(0.001)
        future = client.submit(slow, path, text, 2)
        (directory / f"launched-{os.getpid()}").touch()
        return future.result()


def test_a_coarse_key_that_two_workers_launch_runs_once(pair: Client, tmp_path: Path) -> None:
    for i in range(5):
        path = tmp_path / f"{i}" / "runs"
        path.parent.mkdir()
        parents = [pair.submit(meets_and_launches, str(path), "once", pure=False) for _ in range(2)]
        assert [parent.result(SECONDS) for parent in parents] == ["once", "once"]
        assert path.read_text().splitlines() == ["once"]


# -- what is seen -----------------------------------------------------------------------------------------------------


def naps(seconds: float, n: int) -> int:
    with worker_client() as client:
        for _ in range(n):
            client.submit(time.sleep, seconds, pure=False).result()
    return n


def test_children_count_in_the_statistics_wherever_they_run(single: Client) -> None:
    before = statistics(single)
    assert single.submit(naps, 0.001, 20, pure=False).result(SECONDS) == 20
    gained = statistics(single)
    gained.subtract(before)
    assert gained["inline"] + gained["executed"] == 21
    assert gained["inline_seconds"] + gained["executed_seconds"] >= 2 * 20 * 0.001  # the parent waits for each of them


def runs_for_long(path: str, text: str) -> str:
    Path(path).touch()
    while Path(path).exists():
        time.sleep(0.001)
    return text


def parent_of_a_long_one(path: str, key: str) -> str:
    with worker_client() as client:
        return client.submit(runs_for_long, path, "found", key=key).result()


def test_a_child_that_has_run_for_a_second_is_found_by_its_key(single: Client, tmp_path: Path) -> None:
    path = tmp_path / "runs"
    parent = single.submit(parent_of_a_long_one, str(path), "long-child")
    while not path.exists():
        time.sleep(0.001)
    time.sleep(2.0)
    assert sum(single.scheduler_info()["tasks"].values()) == 2, "the scheduler knows the parent and the child"
    child = single.attach("long-child")
    path.unlink()
    assert child.result(SECONDS) == "found"
    assert parent.result(SECONDS) == "found"


# -- lost workers -----------------------------------------------------------------------------------------------------


def dies_between(path: str, n: int) -> list[int]:
    """Its worker dies, the first time, when half of the children are through."""
    with worker_client() as client:
        found = client.gather(client.map(inc, range(n), pure=False))
        others = client.map(inc, range(n, 2 * n), pure=False)
        if not Path(path).exists():
            Path(path).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return found + client.gather(others)


def grandparent(path: str, n: int) -> list[int]:
    with worker_client() as client:
        return client.submit(dies_between, path, n, pure=False).result()


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("parent", [dies_between, grandparent])
def test_children_of_a_lost_worker_are_made_again(workers: int, parent: Any, tmp_path: Path) -> None:
    for client in cluster_of(workers):
        assert client.submit(parent, str(tmp_path / "died"), 50).result(SECONDS) == list(range(1, 101))
        assert remaining(client) == {}
        assert left(client) == {}
        client.cluster.check()


def large(x: int) -> bytes:
    """Too large to be kept by the scheduler."""
    return bytes([x]) * 300_000


def joined(a: bytes, b: bytes) -> bytes:
    return a[:150_000] + b[:150_000]


def leaves_large_ones() -> tuple[int, list[Any]]:
    client = get_client()
    first, second = client.submit(large, 1), client.submit(large, 2)
    both = client.submit(joined, first, second)
    wait([both])
    return os.getpid(), [both, first]


def test_published_children_are_made_again_from_their_lineage() -> None:
    for client in cluster_of(2):
        outer = client.submit(leaves_large_ones, pure=False)
        pid, (both, first) = outer.result(SECONDS)
        del outer
        os.kill(pid, signal.SIGKILL)
        while pid in client.run(os.getpid, on_error="return").values():
            time.sleep(0.005)
        assert both.result(SECONDS) == b"\1" * 150_000 + b"\2" * 150_000
        assert len(first.result(SECONDS)) == 300_000


# -- threads ----------------------------------------------------------------------------------------------------------


def waits_while_locked() -> int:
    """Holds a lock across the block, as does each other of its kind."""
    with the_lock, worker_client() as client:
        return sum(client.gather([client.submit(locks_too, i, pure=False, local=False) for i in range(3)]))


the_lock = threading.RLock()


def locks_too(i: int) -> int:
    time.sleep(0.001)
    return i


def test_many_parents_that_hold_one_lock_across_their_wait(single: Client) -> None:
    """Each lends its slot to the next one, which wants the lock."""
    parents = [single.submit(waits_while_locked, pure=False) for _ in range(8)]
    assert [parent.result(SECONDS) for parent in parents] == [3] * 8


# -- one key, several calls -------------------------------------------------------------------------------------------


def three_calls_of_one_key(local: bool) -> list[Any]:
    with worker_client() as client:
        first = client.submit(abs, -1, key="step", local=local).result()
        second = client.submit(abs, -100, key="step", local=local).result()
        return [first, second, client.submit(str.upper, "new", key="step", local=local).result()]


@pytest.mark.parametrize("local", [True, False])
def test_a_key_whose_futures_are_gone_is_free_for_another_call(single: Client, local: bool) -> None:
    assert single.submit(three_calls_of_one_key, local, pure=False).result(SECONDS) == [1, 100, "NEW"]
    assert remaining(single) == {}  # what the task has let go of is on its way for a moment
    assert single.submit(abs, -7, key="step").result(SECONDS) == 7


# -- a child that kills -----------------------------------------------------------------------------------------------


def launch_a_killer(inline: bool) -> Any:
    with worker_client(inline=inline) as client:
        return client.submit(os._exit, 9, pure=False).result()


@pytest.mark.parametrize("inline", [True, False])
def test_a_parent_whose_child_kills_its_worker_every_time_is_lost_at_last(inline: bool) -> None:
    for client in cluster_of(1):
        with pytest.raises(WorkerLost, match="launch_a_killer"):
            client.submit(launch_a_killer, inline).result(SECONDS)


# -- a child that is tried again --------------------------------------------------------------------------------------

tries: Counter[str] = Counter()


def fail_at_first(name: str) -> int:
    tries[name] += 1
    if tries[name] == 1:
        raise ValueError(name)
    return 0


def one_that_is_tried_again_and_others(name: str) -> int:
    with worker_client() as client:
        futures = [client.submit(fail_at_first, name, retries=1, pure=False), *client.map(inc, range(20), pure=False)]
        return sum(client.gather(futures))


def test_others_run_where_they_are_waited_for_also_if_one_has_to_be_tried_again(single: Client) -> None:
    single.submit(one_that_is_tried_again_and_others, "warm-up").result(SECONDS)
    before = statistics(single)
    assert single.submit(one_that_is_tried_again_and_others, "again").result(SECONDS) == 210
    gained = statistics(single)
    gained.subtract(before)
    assert gained["inline"] > 10  # of 22: a busy machine may let some go
