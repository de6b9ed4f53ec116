"""Tasks that wait for each other in a circle: one of them is told, and nobody hangs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsched import Client, CyclicWait, as_completed, get_client, wait, worker_client
from tests.cluster.functions import slow_inc
from tests.cluster.nested_clusters import own_cluster

SECONDS = 30.0


@pytest.fixture(params=[(1, 1), (1, 3), (3, 1)], ids=["one slot", "three slots", "three workers"])
def anywhere(request) -> Iterator[Client]:
    yield from own_cluster(*request.param)


def meet(directory: str, name: str, n: int) -> None:
    """Until so many have come here."""
    (Path(directory) / name).touch()
    while len(list(Path(directory).iterdir())) < n:
        time.sleep(0.002)


def by_result(keys: list[str]) -> None:
    for key in keys:
        get_client().attach(key).result()


def by_gather(keys: list[str]) -> None:
    client = get_client()
    client.gather([client.attach(key) for key in keys])


def by_as_completed(keys: list[str]) -> None:
    client = get_client()
    for future in as_completed([client.attach(key) for key in keys]):
        future.result()


def by_wait(keys: list[str]) -> None:
    client = get_client()
    wait([client.attach(key) for key in keys])


def by_first(keys: list[str]) -> None:
    client = get_client()
    wait([client.attach(key) for key in keys], return_when="FIRST_COMPLETED")


WAYS = [by_gather, by_as_completed, by_wait, by_first]


def one_of(how: Callable[[list[str]], None], directory: str, name: str, n: int, *keys: str) -> str:
    """A task that waits for others, once all have begun; what it was told."""
    with worker_client():
        meet(directory, name, n)
        try:
            how(list(keys))
        except CyclicWait as error:
            return str(error)
    return ""


def told(client: Client, waits: dict[str, tuple[str, ...]], directory: Path, how: Any = by_result) -> dict[str, str]:
    """Tasks that wait for each other; what they were told."""
    directory.mkdir()
    futures = {
        name: client.submit(one_of, how, str(directory), name, len(waits), *targets, key=name)
        for name, targets in waits.items()
    }
    return {name: future.result(SECONDS) for name, future in futures.items()}


@pytest.mark.parametrize("how", WAYS, ids=lambda how: how.__name__)
def test_whatever_the_kind_of_wait(client: Client, how: Any, tmp_path: Path) -> None:
    found = told(client, {"a": ("b",), "b": ("a",)}, tmp_path / "here", how)
    assert sorted(map(bool, found.values())) == [False, True]


def test_two_tasks_that_wait_for_each_other(anywhere: Client, tmp_path: Path) -> None:
    found = told(anywhere, {"a": ("b",), "b": ("a",)}, tmp_path / "here")
    assert sorted(map(bool, found.values())) == [False, True]
    (text,) = filter(None, found.values())
    assert "a -> b" in text
    assert "b -> a" in text


def test_a_ring_of_three(anywhere: Client, tmp_path: Path) -> None:
    found = told(anywhere, {"a": ("b",), "b": ("c",), "c": ("a",)}, tmp_path / "here")
    assert sorted(map(bool, found.values())) == [False, False, True]


def test_two_rings_that_share_a_task(anywhere: Client, tmp_path: Path) -> None:
    found = told(anywhere, {"a": ("b", "c"), "b": ("a",), "c": ("a",)}, tmp_path / "here", by_gather)
    assert any(found.values())


def waits_for_its_parent(key: str) -> str:
    try:
        get_client().attach(key).result()
    except CyclicWait:
        return "told"
    return "not told"


def waits_for_its_child(local: bool) -> str:
    with worker_client() as client:
        try:
            return client.submit(waits_for_its_parent, "parent", local=local).result()
        except CyclicWait:
            return "the parent was told"


@pytest.mark.parametrize("local", [True, False], ids=["inside", "anywhere"])
def test_a_child_that_waits_for_its_parent(anywhere: Client, local: bool) -> None:
    assert anywhere.submit(waits_for_its_child, local, key="parent").result(SECONDS) in ("told", "the parent was told")


def is_outlived(key: str) -> str:
    with worker_client() as client:
        return client.submit(waits_for_its_parent, key, local=False)


def test_a_child_may_wait_for_a_parent_that_does_not_wait_for_it(anywhere: Client) -> None:
    assert anywhere.submit(is_outlived, "parent", key="parent").result(SECONDS).result(SECONDS) == "not told"


def inner(directory: str, name: str, key: str) -> str:
    with worker_client():
        meet(directory, name, 2)
        try:
            get_client().attach(key).result()
        except CyclicWait as error:
            return str(error)
    return ""


def outer(directory: str, name: str, key: str) -> str:
    with worker_client() as client:
        return client.submit(inner, directory, name, key, key=name).result()


def test_children_that_were_never_sent_wait_for_each_other(anywhere: Client, tmp_path: Path) -> None:
    futures = [anywhere.submit(outer, str(tmp_path), *pair) for pair in (("x", "y"), ("y", "x"))]
    found = [future.result(SECONDS) for future in futures]
    assert sorted(map(bool, found)) == [False, True]


def needs(value: Any) -> Any:
    return value


def waits_for_what_needs_it(key: str) -> str:
    try:
        get_client().attach(key).result()
    except CyclicWait as error:
        return str(error)
    return ""


def test_a_task_that_waits_for_what_needs_its_own_value(anywhere: Client) -> None:
    first = anywhere.submit(late, "second", key="first")
    second = anywhere.submit(needs, first, key="second")
    assert "first -> second -> first" in second.result(SECONDS)


def late(key: str) -> str:
    time.sleep(0.3)
    return waits_for_what_needs_it(key)


# -- what is none -----------------------------------------------------------------------------------------------------


def chain(n: int, seconds: float) -> int:
    if n == 0:
        return slow_inc(0, seconds)
    with worker_client() as client:
        return client.submit(chain, n - 1, seconds, local=n % 2 == 0).result() + 1


def test_a_long_wait_is_no_circle(anywhere: Client) -> None:
    """Also not while the program outside waits for all of it."""
    assert anywhere.submit(chain, 5, 4.0, pure=False).result(SECONDS) == 6


def first_of(seconds: float, local: bool) -> int:
    """One of the two waits for us, the other one ends."""
    with worker_client() as client:
        back = client.attach("asks-back")
        slow = client.submit(slow_inc, 0, seconds, pure=False, local=local)
        done, _ = wait([back, slow], return_when="FIRST_COMPLETED")
        return len(done)


def asks_back(key: str) -> int:
    with worker_client() as client:
        time.sleep(0.5)
        return client.attach(key).result()


@pytest.mark.parametrize("local", [True, False], ids=["inside", "anywhere"])
def test_a_wait_for_the_first_is_no_circle_while_one_can_end(anywhere: Client, local: bool) -> None:
    back = anywhere.submit(asks_back, "first-of", key="asks-back")
    first = anywhere.submit(first_of, 4.0, local, key="first-of")
    assert anywhere.gather([first, back]) == [1, 1]


def impatient(key: str) -> str:
    with worker_client() as client:
        future = client.attach(key)
        try:
            future.result(timeout=3.0)
        except TimeoutError:
            return "timeout"
    return "value"


def test_a_wait_with_a_limit_is_no_part_of_a_circle(anywhere: Client) -> None:
    back = anywhere.submit(asks_back, "impatient", key="asks-back")
    assert anywhere.submit(impatient, "asks-back", key="impatient").result(SECONDS) == "timeout"
    assert back.result(SECONDS) == "timeout"
