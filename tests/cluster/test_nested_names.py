"""A future held by name works from everywhere: by the key of a child that its worker has told nobody of."""

from __future__ import annotations

import os
import pickle
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsched import CancelledError, Client, Config, LocalCluster, get_client, worker_client
from tests.cluster.functions import append_line, inc, wait_for_file
from tests.cluster.nested_clusters import cluster_of, emptied

SECONDS = 60.0
SILENCE = 1.0


@pytest.fixture(scope="module")
def pair_cluster() -> Iterator[Client]:
    yield from cluster_of(2)


@pytest.fixture
def pair(pair_cluster: Client) -> Iterator[Client]:
    """Two workers with one thread each."""
    yield from emptied(pair_cluster)


def by_key(key: str) -> tuple[int, Any]:
    return os.getpid(), get_client().attach(key).result(SECONDS)


def by_pickle(data: bytes) -> tuple[int, Any]:
    return os.getpid(), pickle.loads(data).result(SECONDS)


def as_input(key: str) -> tuple[int, Any]:
    client = get_client()
    return os.getpid(), client.submit(inc, client.attach(key)).result(SECONDS) - 1


WAYS: list[Callable[[Any], tuple[int, Any]]] = [by_key, by_pickle, as_input]


def tells(way: Callable[[Any], tuple[int, Any]], when: str, index: int) -> tuple[int, int, Any]:
    """Launch a child that stays here, and have another worker find it: before it begins, or with its value."""
    client = get_client()  # which lends no slot, so that the other task goes elsewhere
    child = client.submit(inc, index, key=f"child-{when}-{way.__name__}-{index}")
    if when == "done":
        assert child.result() == index + 1
    name: Any = pickle.dumps(child) if way is by_pickle else child.key
    asker = client.submit(way, name, pure=False, local=False)
    while asker.status == "pending":  # the thread neither waits nor runs its child
        time.sleep(0.0002)
    return os.getpid(), *asker.result()


@pytest.mark.parametrize("when", ["not begun", "done"])
@pytest.mark.parametrize("way", WAYS)
def test_another_worker_finds_a_child_by_its_key(pair: Client, way: Any, when: str) -> None:
    for index in range(20):
        here, there, value = pair.submit(tells, way, when, index, pure=False).result(SECONDS)
        assert value == index + 1
        assert here != there


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def noted_wait(lines: str, path: str) -> str:
    append_line(lines, "begun")
    return wait_for_file(path)


def noted_parent(key: str, lines: str, path: str) -> str:
    with worker_client() as client:
        return client.submit(noted_wait, lines, path, key=key).result()


def test_the_program_finds_a_child_that_runs_inside_its_parent(pair: Client, tmp_path: Path) -> None:
    lines, path = tmp_path / "lines", tmp_path / "go"
    parent = pair.submit(noted_parent, "running", str(lines), str(path), pure=False)
    until(lines.exists)
    child = pair.attach("running")
    with pytest.raises(TimeoutError):
        child.result(0.2)
    path.touch()
    assert child.result(SECONDS) == parent.result(SECONDS) == str(path)
    assert lines.read_text().splitlines() == ["begun"]


def test_the_program_cancels_a_child_by_its_name(pair: Client, tmp_path: Path) -> None:
    lines, path = tmp_path / "lines", tmp_path / "go"
    parent = pair.submit(noted_parent, "cancelled", str(lines), str(path), pure=False)
    until(lines.exists)
    pair.attach("cancelled").cancel()
    path.touch()
    with pytest.raises(CancelledError):
        parent.result(SECONDS)


def test_a_key_that_nobody_has_is_unknown_soon(pair: Client) -> None:
    began = time.monotonic()
    for index in range(20):
        with pytest.raises(CancelledError, match="unknown key 'typo"):
            pair.attach(f"typo-{index}").result(SECONDS)
    assert time.monotonic() - began < 2.0


def test_a_worker_that_was_stopped_does_not_keep_others_from_hearing_that_a_key_is_unknown() -> None:
    with LocalCluster(2, 1, config=Config(silence_seconds=SILENCE)) as cluster, Client(cluster) as client:
        pids = list(client.run(os.getpid).values())
        os.kill(pids[0], signal.SIGSTOP)
        try:
            began = time.monotonic()
            for index in range(3):
                with pytest.raises(CancelledError, match="unknown key"):
                    client.attach(f"typo-{index}").result(SECONDS)
            assert time.monotonic() - began < SILENCE + 5.0
        finally:
            os.kill(pids[0], signal.SIGCONT)
        assert sorted(client.run(os.getpid).values()) == sorted(pids)
        cluster.check()


def test_a_worker_that_dies_does_not_either() -> None:
    with LocalCluster(2, 1) as cluster, Client(cluster) as client:
        pids = list(client.run(os.getpid).values())
        os.kill(pids[0], signal.SIGSTOP)
        future = client.attach("typo")
        with pytest.raises(TimeoutError):
            future.result(0.2)
        os.kill(pids[0], signal.SIGKILL)
        with pytest.raises(CancelledError, match="unknown key"):
            future.result(SECONDS)
        cluster.check()
