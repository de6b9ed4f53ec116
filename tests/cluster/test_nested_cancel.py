"""A task that nobody wants any more ends at its next call, and what only it wanted ends with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsched import CancelledError, Client, as_completed, fire_and_forget, get_client, wait, worker_client
from tests.cluster.conftest import remaining
from tests.cluster.functions import append_line, inc, wait_for_file
from tests.cluster.nested_books import left, of_each
from tests.cluster.nested_clusters import own_cluster

SECONDS = 60.0
SOON = 2.0
"""The machine may be busy; what hangs, hangs for ever."""


@pytest.fixture(params=[(1, 1), (2, 1), (1, 4)], ids=["one slot", "two workers", "four slots"])
def anywhere(request) -> Iterator[Client]:
    yield from own_cluster(*request.param)


def until(holds: Callable[[], Any], seconds: float = SECONDS) -> float:
    """Seconds until it holds."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it does not come to hold"
        time.sleep(0.002)
    return time.monotonic() - began


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


# -- the next call ----------------------------------------------------------------------------------------------------


def submit_and_wait(client: Client) -> Any:
    return client.submit(inc, 1, pure=False).result()


def submit_elsewhere(client: Client) -> Any:
    return client.submit(inc, 1, pure=False, local=False).result()


def map_and_gather(client: Client) -> Any:
    return client.gather(client.map(inc, range(3), pure=False))


def only_submit(client: Client) -> Any:
    return client.submit(inc, 1, pure=False)


def wait_for_first(client: Client) -> Any:
    return wait(client.map(inc, range(3), pure=False), return_when="FIRST_COMPLETED")


def complete(client: Client) -> Any:
    return list(as_completed(client.map(inc, range(3), pure=False)))


def put(client: Client) -> Any:
    return client.scatter([1, 2], hash=False)


def enter(client: Client) -> Any:
    with worker_client():
        time.sleep(0.001)


CALLS = [submit_and_wait, submit_elsewhere, map_and_gather, only_submit, wait_for_first, complete, put, enter]


def calls_on(call: Callable[[Client], Any], path: str) -> None:
    append_line(path, "begun")
    try:
        with worker_client() as client:
            while True:
                call(client)
    except CancelledError:
        append_line(path, "cancelled")
        raise


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_the_next_call_raises(anywhere: Client, call: Callable[[Client], Any], tmp_path: Path) -> None:
    path = tmp_path / "lines"
    future = anywhere.submit(calls_on, call, str(path))
    until(lambda: lines(path) == ["begun"])
    future.cancel()
    assert until(lambda: lines(path) == ["begun", "cancelled"]) < SOON


def test_it_makes_no_difference_why_nobody_wants_it(anywhere: Client, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    future = anywhere.submit(calls_on, submit_and_wait, str(path))
    until(lambda: lines(path) == ["begun"])
    del future
    assert until(lambda: lines(path) == ["begun", "cancelled"]) < SOON


def stubborn(path: str) -> None:
    append_line(path, "begun")
    client = get_client()
    for _ in range(3):
        try:
            while True:
                client.submit(inc, 1, pure=False).result()
        except CancelledError:
            append_line(path, "cancelled")


def test_each_further_call_raises_too(anywhere: Client, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    future = anywhere.submit(stubborn, str(path))
    until(lambda: lines(path) == ["begun"])
    future.cancel()
    until(lambda: lines(path) == ["begun", *["cancelled"] * 3], SOON)


def only_computes(begun: str, release: str) -> None:
    append_line(begun, "begun")
    wait_for_file(release)
    append_line(begun, "through")


def test_a_task_that_does_not_call_goes_on_to_its_end(anywhere: Client, tmp_path: Path) -> None:
    path, release = tmp_path / "lines", tmp_path / "release"
    future = anywhere.submit(only_computes, str(path), str(release))
    until(lambda: lines(path) == ["begun"])
    future.cancel()
    release.touch()
    until(lambda: lines(path) == ["begun", "through"])


# -- waits ------------------------------------------------------------------------------------------------------------


def waits_for_long(how: Callable[[Client, Any], Any], path: str, release: str) -> None:
    with worker_client() as client:
        child = client.submit(wait_for_file, release, local=False)
        append_line(path, "begun")
        try:
            how(client, child)
        except CancelledError:
            append_line(path, "cancelled")
            raise


def by_result(client: Client, child: Any) -> Any:
    return child.result()


def by_result_in_time(client: Client, child: Any) -> Any:
    return child.result(SECONDS)


def by_gather(client: Client, child: Any) -> Any:
    return client.gather([child])


def by_as_completed(client: Client, child: Any) -> Any:
    return list(as_completed([child]))


def by_name(client: Client, child: Any) -> Any:
    return client.attach(child.key).result()


def by_own_loop(client: Client, child: Any) -> Any:
    async def main() -> Any:
        return await child

    return asyncio.run(main())


def by_own_loop_in_time(client: Client, child: Any) -> Any:
    async def main() -> Any:
        return [future async for future in as_completed([child], timeout=SECONDS)]

    return asyncio.run(main())


OWN_LOOPS = [by_own_loop, by_own_loop_in_time]


@pytest.mark.parametrize("how", [by_result, by_result_in_time, by_gather, by_as_completed, by_name, *OWN_LOOPS])
def test_a_wait_ends_at_once(anywhere: Client, how: Any, tmp_path: Path) -> None:
    path, release = tmp_path / "lines", tmp_path / "release"
    future = anywhere.submit(waits_for_long, how, str(path), str(release))
    until(lambda: lines(path) == ["begun"])
    time.sleep(0.05)  # it blocks by now
    future.cancel()
    assert until(lambda: lines(path) == ["begun", "cancelled"]) < SOON
    release.touch()


def awaits_what_others_want(path: str, key: str, there: str) -> None:
    with worker_client() as client:
        append_line(path, "begun")
        wait_for_file(there)
        try:
            by_own_loop(client, client.attach(key))
        except CancelledError:
            append_line(path, "cancelled")
            raise


def test_an_await_in_a_loop_of_its_own_ends_soon(anywhere: Client, tmp_path: Path) -> None:
    """Also if what it awaits goes on, since others want it."""
    path, release, there = tmp_path / "lines", tmp_path / "release", tmp_path / "there"
    future = anywhere.submit(awaits_what_others_want, str(path), "others", str(there))
    until(lambda: lines(path) == ["begun"])
    other = anywhere.submit(wait_for_file, str(release), key="others")
    there.touch()
    time.sleep(0.2)  # it awaits by now
    future.cancel()
    assert until(lambda: lines(path) == ["begun", "cancelled"]) < SOON
    release.touch()
    assert other.result(SECONDS) == str(release)


# -- children ---------------------------------------------------------------------------------------------------------


def inner(path: str) -> None:
    calls_on(submit_and_wait, path)


def outer(path: str) -> None:
    with worker_client() as client:
        try:
            client.submit(inner, path, key="inner").result()
        except CancelledError:
            append_line(path, "outer too")
            raise


def test_a_child_inside_its_parent_ends_with_it(anywhere: Client, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    future = anywhere.submit(outer, str(path))
    until(lambda: lines(path) == ["begun"])
    future.cancel()
    until(lambda: sorted(lines(path)) == ["begun", "cancelled", "outer too"], SOON)


def test_a_child_inside_its_parent_ends_with_it_also_when_it_has_run_for_long(anywhere: Client, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    future = anywhere.submit(outer, str(path))
    until(lambda: lines(path) == ["begun"])
    time.sleep(1.5)  # children are published after a second
    future.cancel()
    until(lambda: sorted(lines(path)) == ["begun", "cancelled", "outer too"], SOON)


def until_released(path: str, release: str) -> int:
    append_line(path, "begun")
    with worker_client() as client:
        while not Path(release).exists():
            client.submit(inc, 1, pure=False).result()
    return 42


def outer_of_shared(path: str, release: str) -> int:
    with worker_client() as client:
        return client.submit(until_released, path, release, key="shared").result()


def test_a_child_that_others_want_goes_on_inside(anywhere: Client, tmp_path: Path) -> None:
    path, release = tmp_path / "lines", tmp_path / "release"
    future = anywhere.submit(outer_of_shared, str(path), str(release))
    until(lambda: lines(path) == ["begun"])
    shared = anywhere.submit(until_released, str(path), str(release), key="shared")
    with pytest.raises(TimeoutError):
        shared.result(0.3)
    future.cancel()
    with pytest.raises(TimeoutError):
        shared.result(0.3)
    release.touch()
    assert shared.result(SECONDS) == 42
    assert lines(path) == ["begun"] or len(anywhere.nthreads()) > 1  # there it runs twice, or an idle worker runs it


def launches(path: str, release: str, log: str) -> None:
    """Children that wait to begin, while it computes."""
    with worker_client() as client:
        first = client.submit(wait_for_file, release, local=False)
        last = client.submit(append_after, first, log)
        kept = client.submit(append_line, log, "kept")
        fire_and_forget(kept)
        del kept
        append_line(path, "begun")
        wait_for_file(release)
        del last


def append_after(_: Any, log: str) -> None:
    append_line(log, "child")


def test_what_has_not_begun_goes_at_once(anywhere: Client, tmp_path: Path) -> None:
    path, release, log = tmp_path / "lines", tmp_path / "release", tmp_path / "log"
    future = anywhere.submit(launches, str(path), str(release), str(log))
    until(lambda: lines(path) == ["begun"])
    future.cancel()
    future.release()
    until(lambda: sum(remaining(anywhere, 0.0).values()) <= 1, SOON)  # what is kept may wait for the slot
    release.touch()
    until(lambda: remaining(anywhere, 0.0) == {} and left(anywhere, 0.0) == {})
    assert lines(log) == ["kept"], "its last child has begun after all, or what was to be kept has not"


def test_cancelling_a_running_child_reaches_who_joined_it(tmp_path: Path) -> None:
    """Its worker answers an order for the same key by the run of the child."""
    path, release = tmp_path / "lines", tmp_path / "release"
    with Client(n_workers=1, threads_per_worker=2, set_as_default=False) as client:
        parent = client.submit(cancels_what_runs, str(path), str(release))
        until(lambda: lines(path) == ["begun"])
        joined = client.submit(until_released, str(path), str(release), key="shared")
        time.sleep(0.3)
        assert lines(path) == ["begun"]
        (tmp_path / "cancel").touch()
        with pytest.raises(CancelledError):
            joined.result(SOON)
        release.touch()
        assert parent.result(SECONDS) == "cancelled"
        parent.release()
        assert left(client) == {}


def cancels_what_runs(path: str, release: str) -> str:
    with worker_client() as client:
        child = client.submit(until_released, path, release, key="shared")
        helper = client.submit(cancel_by_key, str(Path(path).parent / "cancel"), local=False)
        try:
            child.result()
        except CancelledError:
            helper.result()
            return "cancelled"
    return "not cancelled"


def cancel_by_key(path: str) -> None:
    client = get_client()
    wait_for_file(path)
    client.cancel([client.attach("shared")])


# -- trees ------------------------------------------------------------------------------------------------------------

begun = 0


def branch(depth: int, seconds: float) -> int:
    global begun
    begun += 1
    if depth == 0:
        time.sleep(seconds)
        return 1
    with worker_client() as client:
        return sum(client.gather([client.submit(branch, depth - 1, seconds, pure=False) for _ in range(2)]))


def wide(n: int, seconds: float) -> int:
    with worker_client() as client:
        return sum(client.gather([client.submit(branch, 0, seconds, pure=False) for _ in range(n)]))


def count() -> int:
    """For `Client.run`: tasks that have begun in this worker."""
    return begun


@pytest.mark.parametrize("seconds", [0.0005, 0.005], ids=["fine", "coarse"])
@pytest.mark.parametrize("root, size", [(branch, 13), (wide, 10_000)], ids=["deep", "wide"])
def test_a_tree_of_10000_tasks_ends_with_its_root(root: Callable[..., int], size: int, seconds: float) -> None:
    with Client(n_workers=2, threads_per_worker=1, set_as_default=False) as client:
        future = client.submit(root, size, seconds)
        until(lambda: sum(of_each(client, count)) > 100)
        future.cancel()
        future.release()
        time.sleep(SOON / 2)
        known = sum(of_each(client, count))
        assert left(client, SOON) == {}
        assert remaining(client, SOON) == {}
        assert sum(of_each(client, count)) == known < 10_000
        assert client.submit(branch, 3, 0.0).result(SECONDS) == 8
