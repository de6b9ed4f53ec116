"""Slots, threads and what a task finds around it while its children run in its thread, on a real cluster."""

from __future__ import annotations

import contextvars
import operator
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsched import (
    Client,
    get_client,
    get_worker,
    rejoin,
    secede,
    wait,
    worker_client,
)
from fastsched.worker.context import current
from tests.cluster.functions import append_line, child_future, inc
from tests.cluster.nested_books import of_each
from tests.cluster.nested_clusters import cluster_of, emptied

SECONDS = 60.0


@pytest.fixture(scope="module")
def single_cluster() -> Iterator[Client]:
    yield from cluster_of(1, 1)


@pytest.fixture(scope="module")
def quad_cluster() -> Iterator[Client]:
    yield from cluster_of(1, 4)


@pytest.fixture(scope="module")
def pair_cluster() -> Iterator[Client]:
    yield from cluster_of(2, 1)


@pytest.fixture
def single(single_cluster: Client) -> Iterator[Client]:
    """One worker with one thread."""
    yield from emptied(single_cluster)


@pytest.fixture
def quad(quad_cluster: Client) -> Iterator[Client]:
    """One worker with four threads."""
    yield from emptied(quad_cluster)


@pytest.fixture
def pair(pair_cluster: Client) -> Iterator[Client]:
    """Two workers with one thread each."""
    yield from emptied(pair_cluster)


@pytest.fixture(params=["single", "quad", "pair"])
def anywhere(request) -> Client:
    """Each of them."""
    return request.getfixturevalue(request.param)


# -- how many at once -------------------------------------------------------------------------------------------------


class Gauge:
    """How many threads of this process are inside, and the most that ever were."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = self.most = 0

    def __enter__(self) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *exc_info: object) -> None:
        with self.lock:
            self.now -= 1

    def take(self) -> int:
        """The most since the last time."""
        with self.lock:
            most, self.most = self.most, 0
        return most


executing = Gauge()


def measured() -> int:
    """For `Client.run`."""
    return executing.take()


def most_at_once(client: Client) -> int:
    """Tasks that executed at once, in any worker."""
    return max(client.run(measured).values())


def computes(i: int, seconds: float = 0.0) -> int:
    with executing:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            pass
        time.sleep(0)
    return i


def computes_and_gathers(width: int, seconds: float) -> int:
    with executing:
        total = 0
    with worker_client() as client:
        for _ in range(3):
            futures = [client.submit(computes, i, seconds, pure=False) for i in range(width)]
            total += sum(client.gather(futures))
    with executing:
        time.sleep(0.0005)
    return total


@pytest.mark.parametrize("seconds", [0.0, 0.0002, 0.003])
def test_never_more_tasks_execute_than_there_are_slots(anywhere: Client, seconds: float) -> None:
    threads = 4 if len(anywhere.nthreads()) == 1 and sum(anywhere.nthreads().values()) == 4 else 1
    most_at_once(anywhere)
    futures = [anywhere.submit(computes_and_gathers, 10, seconds, pure=False) for _ in range(20)]
    assert anywhere.gather(futures) == [135] * 20
    assert 1 <= most_at_once(anywhere) <= threads


def child_secedes() -> None:
    secede()


def parent_of_one_that_secedes() -> bool:
    client = get_client()
    client.submit(child_secedes, pure=False).result()
    return current().seceded


@pytest.mark.parametrize("local", [0, 1])
def test_a_child_that_secedes_does_not_cost_its_parent_the_slot(local: int) -> None:
    for client in cluster_of(1, 1, local_tasks=local):
        assert client.submit(parent_of_one_that_secedes, pure=False).result(SECONDS) is False


def seceded_parent(n: int) -> int:
    secede()
    total = sum(get_client().gather(get_client().map(inc, range(n), pure=False)))
    rejoin()
    with executing:
        time.sleep(0.0005)
    return total


def test_parents_that_secede_by_hand_come_back(anywhere: Client) -> None:
    most_at_once(anywhere)
    assert anywhere.gather(anywhere.map(seceded_parent, [20] * 20, pure=False)) == [210] * 20
    assert most_at_once(anywhere) <= max(anywhere.nthreads().values())


# -- lending ----------------------------------------------------------------------------------------------------------


def sleeps_in_block(path: str, seconds: float) -> float:
    with worker_client():
        Path(path).touch()
        time.sleep(seconds)
    return time.monotonic()


def now() -> float:
    return time.monotonic()


def test_a_parent_that_only_sleeps_in_the_block_lends_its_slot_soon(single: Client, tmp_path: Path) -> None:
    path = tmp_path / "asleep"
    parent = single.submit(sleeps_in_block, str(path), 1.0)
    while not path.exists():
        time.sleep(0.001)
    began = time.monotonic()
    other = single.submit(now, pure=False).result(SECONDS)
    assert other - began < 0.2
    assert other < parent.result(SECONDS)


def rejoins(path: str) -> str:
    with worker_client():
        Path(path).touch()
        time.sleep(0.1)
    return append_line(path, "rejoined")


def line_after(path: str, line: str, seconds: float) -> None:
    time.sleep(seconds)
    append_line(path, line)


def test_who_rejoins_comes_before_ready_tasks(single: Client, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    parent = single.submit(rejoins, str(path))
    while not path.exists():
        time.sleep(0.001)
    others = [single.submit(line_after, str(path), f"other {i}", 0.06) for i in range(8)]
    single.gather([parent, *others])
    lines = path.read_text().splitlines()
    assert "rejoined" in lines[1:4]  # after what ran when it woke up, not after all of them


the_lock = threading.Lock()


def locks_and_submits(n: int) -> int:
    with the_lock, worker_client() as client:
        return sum(client.gather(client.map(inc, range(n), pure=False)))


def locks_and_sleeps(seconds: float) -> int:
    with the_lock, worker_client():
        time.sleep(seconds)
    return 1


def locks(i: int) -> int:
    with the_lock:
        return i


def test_a_lock_around_the_block_hangs_nobody_on_one_slot(single: Client) -> None:
    """Who lends its slot and holds a lock that the next task wants can have its slot back only when that one has it."""
    futures = [single.submit(locks_and_submits, 5, pure=False) for _ in range(3)]
    futures += [single.submit(locks_and_sleeps, 0.02, pure=False)]
    futures += [single.submit(locks, 1, pure=False) for _ in range(3)]
    assert [future.result(SECONDS) for future in futures] == [15, 15, 15, 1, 1, 1, 1]


# -- depth and width --------------------------------------------------------------------------------------------------


def threads_of_worker() -> int:
    """For `Client.run`."""
    return threading.active_count()


def depth(n: int) -> int:
    if n == 0:
        return threading.active_count()
    with worker_client() as client:
        return client.submit(depth, n - 1, pure=False).result()


def depth_by_get_client(n: int) -> int:
    return 0 if n == 0 else 1 + get_client().submit(depth_by_get_client, n - 1, pure=False).result()


def test_depth_1000_on_one_slot(single: Client) -> None:
    assert single.submit(depth, 1000).result(SECONDS) < 200
    assert single.submit(depth_by_get_client, 1000).result(SECONDS) == 1000


def handed_over(client: Client) -> int:
    """By all workers, since their start."""
    return sum(client.run(lambda: get_worker().statistics["handed_over"]).values())


def test_children_that_are_too_deep_for_a_thread_go_on_in_another_one(single: Client) -> None:
    before, times = handed_over(single), 30
    for _ in range(times):
        assert single.submit(depth_by_get_client, 100, pure=False).result(SECONDS) == 100
    # a thread that the system lets wait for a tick hands over, too; by its depth each would hand over four times
    assert handed_over(single) - before < 2 * times


@pytest.mark.parametrize("local", [0, 1])
def test_depth_200_wherever_the_children_run(local: int) -> None:
    for client in cluster_of(1, 1, local_tasks=local):
        assert client.submit(depth_by_get_client, 200).result(SECONDS) == 200


def recursive(n: int, levels: int) -> int:
    """A task that is deep in Python, too."""
    if levels:
        return recursive(n, levels - 1)
    return 0 if n == 0 else 1 + get_client().submit(recursive, n - 1, 60, pure=False).result()


def test_children_of_a_deep_stack_find_room(single: Client) -> None:
    assert single.submit(recursive, 40, 60).result(SECONDS) == 40


def width(n: int) -> tuple[int, int]:
    with worker_client() as client:
        total = sum(client.gather(client.map(inc, range(n), pure=False)))
    return total, threading.active_count()


def test_width_10000(anywhere: Client) -> None:
    total, threads = anywhere.submit(width, 10_000).result(SECONDS)
    assert total == 50_005_000
    assert threads < 100  # those of the test before stay for some seconds


def chain_of(n: int) -> int:
    with worker_client() as client:
        future = client.submit(inc, 0, pure=False)
        for _ in range(n - 1):
            future = client.submit(inc, future)
        return future.result()


def fan_of(n: int) -> int:
    with worker_client() as client:
        first = client.submit(inc, 0, pure=False)
        return client.submit(sum, [client.submit(operator.add, first, i) for i in range(n)]).result()


def test_a_long_chain_of_dependencies_inside(anywhere: Client) -> None:
    assert anywhere.submit(chain_of, 2000).result(SECONDS) == 2000


def test_a_wide_fan_of_dependencies_inside(anywhere: Client) -> None:
    assert anywhere.submit(fan_of, 2000).result(SECONDS) == sum(range(2000)) + 2000


def waits_for_travelling(i: int) -> int:
    with worker_client() as client:
        return client.submit(inc, i, pure=False).result(timeout=SECONDS)  # with a limit: others run it


@pytest.mark.parametrize("local", [0, 1])
def test_10000_parents_that_wait_for_travelling_children(local: int) -> None:
    for client in cluster_of(1, 1, local_tasks=local):
        futures = client.map(waits_for_travelling, range(10_000))
        most, deadline = 0, time.monotonic() + SECONDS
        while not all(future.done() for future in futures[-10:]) and time.monotonic() < deadline:
            most = max(most, *client.run(threads_of_worker).values())
            time.sleep(0.02)
        assert sum(client.gather(futures)) == 50_005_000
        assert most < 1000


# -- what a task finds around it --------------------------------------------------------------------------------------

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


def looks_around() -> tuple[str, str, str]:
    found = variable.get()
    variable.set("of a child")
    return found, current().key, get_worker().name


def surroundings() -> list[Any]:
    variable.set("of the parent")
    before = variable.get(), current().key, get_worker().name
    with worker_client() as client:
        found = client.submit(looks_around, key=f"child-of-{before[1]}").result()
        inside = variable.get(), current().key, get_worker().name
    return [before, found, inside, (variable.get(), current().key, get_worker().name)]


def test_a_task_finds_itself_again_after_its_children(anywhere: Client) -> None:
    before, found, inside, after = anywhere.submit(surroundings, key="the-parent").result(SECONDS)
    assert found[:2] == ("unset", "child-of-the-parent")
    assert before == inside == after
    assert before[:2] == ("of the parent", "the-parent")


def raises(kind: type[BaseException]) -> None:
    raise kind("of the child")


def survives(kind: type[BaseException]) -> list[Any]:
    with worker_client() as client:
        future = client.submit(raises, kind, pure=False)
        try:
            future.result()
        except kind as error:
            return [str(error), future.status, current().key, client.submit(inc, 1).result()]
    return []


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit, BaseException, ValueError])
def test_what_a_child_raises_is_its_own(anywhere: Client, kind: type[BaseException]) -> None:
    found = anywhere.submit(survives, kind, key=f"survives-{kind.__name__}").result(SECONDS)
    assert found == ["of the child", "error", f"survives-{kind.__name__}", 2]


# -- publishing -------------------------------------------------------------------------------------------------------


def many_futures(n: int, awaited: bool) -> list[Any]:
    client = get_client()
    futures = client.map(inc, range(n), pure=False)
    if awaited:
        wait(futures)
    return futures


@pytest.mark.parametrize("awaited", [False, True])
def test_futures_that_are_returned_are_alive(anywhere: Client, awaited: bool) -> None:
    outer = anywhere.submit(many_futures, 100, awaited, pure=False)
    futures = outer.result(SECONDS)
    del outer
    assert anywhere.gather(futures) == list(range(1, 101))


def sum_of_futures(n: int) -> int:
    """A future of a child's child, in the arguments of a third."""
    with worker_client() as client:
        inner = client.submit(child_future, n, pure=False).result()
        other = client.submit(child_future, n + 1, pure=False).result()
        return client.submit(sum, [inner, other]).result()


def test_futures_of_grandchildren_go_into_arguments(anywhere: Client) -> None:
    assert anywhere.gather(anywhere.map(sum_of_futures, range(20))) == [2 * n + 3 for n in range(20)]


def foreign_input_of_a_returned_child(future: Any) -> Any:
    """The child that is returned was made from something that only its name is known of here."""
    client = get_client()
    child = client.submit(inc, future[0].future, pure=False)
    wait(child)
    future[0].future = None
    return child


class Holder:
    def __init__(self, future: Any) -> None:
        self.future = future


def test_a_child_of_a_foreign_input_is_returned(anywhere: Client) -> None:
    seed = anywhere.submit(inc, 1, pure=False)
    assert seed.result(SECONDS) == 2
    outer = anywhere.submit(foreign_input_of_a_returned_child, (Holder(seed),), pure=False)
    assert outer.result(SECONDS).result(SECONDS) == 3


def child_under_a_name(path: str, key: str) -> int:
    with worker_client() as client:
        future = client.submit(inc, 41, key=key)
        wait(future)
        Path(path).touch()
        while Path(path).exists():
            time.sleep(0.001)
        return future.result()


def test_a_child_is_found_by_its_key_from_outside(anywhere: Client, tmp_path: Path) -> None:
    path = tmp_path / "here"
    parent = anywhere.submit(child_under_a_name, str(path), "named-child")
    while not path.exists():
        time.sleep(0.001)
    try:
        assert anywhere.submit(inc, 41, key="named-child").result(10.0) == 42
    finally:
        path.unlink()
    assert parent.result(SECONDS) == 42


# -- memory -----------------------------------------------------------------------------------------------------------


def many_children(n: int) -> int:
    total = 0
    with worker_client() as client:
        for start in range(0, n, 500):
            total += sum(client.gather(client.map(inc, range(start, start + 250), pure=False)))
            for i in range(start + 250, start + 500):
                total += client.submit(inc, i, pure=False).result()
    return total


def resident() -> int:
    """For `Client.run`: bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_many_short_children_leave_nothing(single: Client) -> None:
    assert single.submit(many_children, 5000, pure=False).result(SECONDS) == 5000 * 5001 // 2
    (before,) = of_each(single, resident)
    assert single.submit(many_children, 50_000, pure=False).result(SECONDS) == 50_000 * 50_001 // 2
    (after,) = of_each(single, resident)
    assert after - before < 4_000_000  # 80 bytes each


# ---- the backstop


def switches() -> int:
    """How often threads of this process were woken so far."""
    statuses = [path.read_text() for path in Path("/proc/self/task").glob("*/status")]
    return sum(int(line.split()[1]) for text in statuses for line in text.splitlines() if line.startswith("voluntary_"))


def nap(seconds: float) -> None:
    time.sleep(seconds)


def wait_inline(seconds: float) -> None:
    with worker_client() as client:
        client.submit(nap, seconds, pure=False).result()


def wait_elsewhere(seconds: float) -> None:
    with worker_client() as client:
        client.submit(nap, seconds, pure=False, local=False).result()


def sleep_in_block(seconds: float) -> None:
    with worker_client():
        time.sleep(seconds)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system does not say how often threads are woken")
@pytest.mark.parametrize("parent", [wait_inline, wait_elsewhere, sleep_in_block])
def test_a_worker_whose_tasks_do_nothing_is_not_woken(single: Client, parent: Any) -> None:
    future = single.submit(parent, 2.5, pure=False)
    time.sleep(1.6)
    (before,) = single.run(switches).values()
    time.sleep(0.5)
    (after,) = single.run(switches).values()
    assert not future.done()
    assert after - before < 50, "a tick each millisecond would be 500"
    future.result()
