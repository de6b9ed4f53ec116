"""A scheduler is killed and another one takes its place: nothing is lost, and nothing that was finished runs again."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fastsched import Client, DataLost, SchedulerLost, fire_and_forget, wait
from fastsched.errors import ClosedError
from tests.cluster import reconnect_tasks as tasks
from tests.cluster.commands import Command
from tests.servers.spawned import SECONDS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="as the commands' own tests")


class Place:
    """A scheduler and its workers, in a directory in which tasks write what they do."""

    def __init__(self, run: Callable[..., Command], directory: Path, nworkers: int = 2, **environ: str) -> None:
        self._run = run
        self._environ = environ
        self.directory = directory
        self.begin()
        self.workers = run("worker", "fastsched.json", "--nworkers", str(nworkers), "--nthreads", "2", **environ)
        self.pids = [int(self.workers.line().rpartition("pid ")[2].rstrip(")")) for _ in range(nworkers)]

    def begin(self) -> None:
        """Start a scheduler: the first one, or the next."""
        self.scheduler = self._run("scheduler", **self._environ)
        self.address = self.scheduler.line()
        self.scheduler.line()

    @property
    def port(self) -> int:
        """Of the scheduler."""
        return int(self.address.rpartition(":")[2])

    def kill(self) -> None:
        """``kill -9`` the scheduler."""
        self.scheduler.process.send_signal(signal.SIGKILL)
        self.scheduler.process.wait(SECONDS)

    def client(self, **kwargs: Any) -> Client:
        """A program."""
        return Client(str(self.directory / "fastsched.json"), **({"reconnect": True} | kwargs))

    def ran(self) -> list[str]:
        """What tasks have noted."""
        log = self.directory / "log"
        return log.read_text().split() if log.exists() else []


@pytest.fixture
def place(run, tmp_path):
    return Place(run, tmp_path)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_10_000_tasks_survive_the_scheduler_and_none_runs_twice(place):
    count = int(os.environ.get("FASTSCHED_TEST_SURVIVORS", "10000"))
    with place.client() as client:
        client.wait_for_workers(2)
        futures = client.map(tasks.noted_square, range(count), directory=str(place.directory))
        until(lambda: sum(future.done() for future in futures) > count // 3)
        place.kill()
        time.sleep(0.3)  # what runs ends meanwhile, and nobody hears of it
        place.begin()
        assert client.gather(futures) == [i * i for i in range(count)]
    assert sorted(map(int, place.ran())) == list(range(count))


def test_the_next_scheduler_is_where_the_old_one_was(place):
    address = place.address
    place.kill()
    place.begin()
    assert place.address == address


def test_it_may_happen_again_and_again(place):
    with place.client() as client:
        client.wait_for_workers(2)
        futures = client.map(tasks.noted_square, range(900), directory=str(place.directory))
        for part in (1, 2, 3):
            until(lambda part=part: sum(future.done() for future in futures) >= 200 * part)
            place.kill()
            place.begin()
        assert client.gather(futures) == [i * i for i in range(900)]
    assert sorted(map(int, place.ran())) == list(range(900))


def test_chains_and_trees_of_tasks_go_on_where_they_were(place):
    directory = str(place.directory)
    with place.client() as client:
        client.wait_for_workers(2)
        leaves = client.map(tasks.noted_square, range(200), directory=directory)
        sums = [client.submit(tasks.noted_sum, leaves[i : i + 10], directory, f"sum-{i}") for i in range(0, 200, 10)]
        total = client.submit(tasks.noted_sum, sums, directory, "total")
        del leaves
        until(lambda: len(place.ran()) > 60)
        place.kill()
        place.begin()
        assert total.result(SECONDS) == sum(i * i for i in range(200))
        assert client.submit(tasks.noted_sum, [total, total], directory, "twice").result(SECONDS) == 2 * total.result()
    ran = place.ran()
    assert len(ran) == len(set(ran)) == 222


def test_a_task_that_runs_is_not_started_again(place):
    with place.client() as client:
        client.wait_for_workers(2)
        future = client.submit(tasks.slow, str(place.directory), 5.0)
        until(place.ran)
        place.kill()
        place.begin()
        assert future.result(SECONDS) == "slow"
    assert len(place.ran()) == 1


def test_large_values_stay_at_their_workers(place):
    with place.client() as client:
        client.wait_for_workers(2)
        future = client.submit(tasks.large, str(place.directory), 3_000_000)
        wait([future])
        place.kill()
        place.begin()
        assert len(future.result(SECONDS)) == 3_000_000
    assert len(place.ran()) == 1


def test_scattered_values_stay_and_are_lost_with_their_worker(run, tmp_path):
    place = Place(run, tmp_path, 1)
    with place.client() as client:
        client.wait_for_workers(1)
        kept = client.scatter([1, 2, 3])
        place.kill()
        place.begin()
        assert client.gather(client.map(abs, kept)) == [1, 2, 3]
        place.kill()
        os.kill(place.pids[0], signal.SIGKILL)
        place.begin()
        with pytest.raises(DataLost, match="no worker has brought back"):
            client.submit(sum, kept).result(SECONDS)


def test_what_is_submitted_without_a_scheduler_waits_for_one(place):
    with place.client() as client:
        client.wait_for_workers(2)
        before = client.submit(abs, -1)
        assert before.result(SECONDS) == 1
        place.kill()
        after = client.submit(sum, [before, client.submit(abs, -2), 3])
        place.begin()
        assert after.result(SECONDS) == 6


def test_errors_stay_errors(place):
    with place.client() as client:
        client.wait_for_workers(2)
        bad = client.submit(tasks.boom)
        with pytest.raises(ZeroDivisionError):
            bad.result(SECONDS)
        place.kill()
        place.begin()
        assert client.submit(abs, -1).result(SECONDS) == 1
        with pytest.raises(ZeroDivisionError):
            client.submit(abs, bad).result(SECONDS)


def test_tasks_that_have_launched_tasks_begin_anew(place):
    directory = str(place.directory)
    with place.client() as client:
        client.wait_for_workers(2)
        parents = [client.submit(tasks.parent, directory, i) for i in range(3)]
        until(lambda: {"leaf-0", "leaf-1", "leaf-2"} <= set(place.ran()))
        place.kill()
        place.begin()
        assert client.gather(parents) == [sum(range(40 * i, 40 * i + 40)) for i in range(3)]
        assert client.submit(abs, -1).result(SECONDS) == 1
    assert sum(line.startswith("parent") for line in place.ran()) == 6


def test_nested_trees_survive(place):
    with place.client() as client:
        client.wait_for_workers(2)
        future = client.submit(tasks.fib, 16)
        time.sleep(0.3)
        place.kill()
        place.begin()
        assert future.result(SECONDS) == 987
        assert client.submit(tasks.fib, 14).result(SECONDS) == 377


def test_without_reconnect_futures_end_at_once_and_workers_stay(place):
    with place.client(reconnect=False) as client:
        client.wait_for_workers(2)
        future = client.submit(tasks.slow, str(place.directory), 1.0)
        until(place.ran)
        place.kill()
        with pytest.raises(SchedulerLost):
            future.result(SECONDS)
    place.begin()
    with place.client() as client:
        client.wait_for_workers(2)
        pids = {worker["pid"] for worker in client.scheduler_info()["workers"].values()}
        assert pids == set(place.pids)


def test_after_the_grace_everything_ends(run, tmp_path, monkeypatch):
    place = Place(run, tmp_path, FASTSCHED_RECONNECT_SECONDS="1")
    monkeypatch.setenv("FASTSCHED_RECONNECT_SECONDS", "1")
    with place.client() as client:
        client.wait_for_workers(2)
        future = client.submit(tasks.slow, str(tmp_path), 0.2)
        until(place.ran)
        place.kill()
        began = time.monotonic()
        with pytest.raises(SchedulerLost, match="stale"):
            future.result(SECONDS)
        assert 0.5 < time.monotonic() - began < 10.0
        with pytest.raises(ClosedError):
            client.submit(abs, -1)
    assert place.workers.ends() == 0
    assert "Traceback" not in place.workers.said()


def test_a_client_that_closes_meanwhile_ends_its_futures(place):
    client = place.client()
    client.wait_for_workers(2)
    future = client.submit(tasks.slow, str(place.directory), 1.0)
    until(place.ran)
    place.kill()
    began = time.monotonic()
    client.close()
    assert time.monotonic() - began < 2.0
    assert future.cancelled()


def test_a_scheduler_with_other_keys_is_another_cluster(place):
    with place.client() as client:
        client.wait_for_workers(2)
        future = client.submit(tasks.slow, str(place.directory), 1.0)
        until(place.ran)
        place.kill()
        path = place.directory / "fastsched.json"
        access = json.loads(path.read_text())
        path.write_text(json.dumps(access | {"client_key": "0" * 64, "worker_key": "1" * 64}))
        place.begin()
        with pytest.raises(SchedulerLost, match="keys of its own"):
            future.result(SECONDS)
    assert place.workers.ends() == 0


def test_nobody_looks_for_a_scheduler_that_was_told_to_stop(place):
    with place.client() as client:
        client.wait_for_workers(2)
        future = client.submit(tasks.slow, str(place.directory), 1.0)
        until(place.ran)
        place.scheduler.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        with pytest.raises(SchedulerLost, match="ended as planned"):
            future.result(SECONDS)
        assert time.monotonic() - began < 10.0
    assert place.workers.ends() == 0


def test_what_was_fired_and_is_held_is_done(place):
    with place.client() as client:
        client.wait_for_workers(2)
        future = client.submit(tasks.slow, str(place.directory), 1.0)
        fire_and_forget(future)
        until(place.ran)
        place.kill()
        place.begin()
        assert future.result(SECONDS) == "slow"


def test_calls_of_one_scheduler_are_not_answered_by_the_next(place):
    with place.client() as client:
        client.wait_for_workers(2)
        with ThreadPoolExecutor(1) as pool:
            early = pool.submit(client.run, tasks.after, 2.0)
            time.sleep(0.2)
            place.kill()
            with pytest.raises(RuntimeError, match="ended"):
                early.result(SECONDS)
        place.begin()
        client.wait_for_workers(2)
        assert list(client.run(tasks.after, 2.5).values()) == [2.5, 2.5]  # the first answers come earlier


def test_the_path_of_the_access_file_may_be_relative(place, monkeypatch):
    monkeypatch.chdir(place.directory)
    with Client("fastsched.json", reconnect=True) as client:
        client.wait_for_workers(2)
        monkeypatch.chdir("/")
        place.kill()
        future = client.submit(abs, -1)
        place.begin()
        assert future.result(SECONDS) == 1


# -- a connection breaks, and nobody dies ------------------------------------------------------------------------------


def test_a_worker_whose_connection_breaks_goes_on_with_what_it_has(place):
    with place.client(reconnect=False) as client:
        client.wait_for_workers(2)
        futures = client.map(tasks.noted_square, range(400), directory=str(place.directory))
        until(lambda: sum(future.done() for future in futures) > 100)
        assert client.submit(tasks.cut_off, place.port, priority=1).result(SECONDS) == 1
        assert client.gather(futures) == [i * i for i in range(400)]
        client.wait_for_workers(2)
        pids = {worker["pid"] for worker in client.scheduler_info()["workers"].values()}
        assert pids == set(place.pids)
    assert sorted(map(int, place.ran())) == list(range(400))


def test_a_client_whose_connection_breaks_comes_back(place):
    with place.client() as client:
        client.wait_for_workers(2)
        done = client.submit(abs, -1)
        assert done.result(SECONDS) == 1
        future = client.submit(tasks.slow, str(place.directory), 0.5)
        until(place.ran)
        assert tasks.cut_off(place.port) == 1
        assert future.result(SECONDS) == "slow"
        assert client.submit(sum, [done, client.submit(abs, -2)]).result(SECONDS) == 3
