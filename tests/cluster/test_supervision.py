"""Worker processes are watched: what dies is replaced, what cannot start is given up, and nobody waits for ever."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from fastsched import Client, LocalCluster, NoWorkers, WorkerLost
from fastsched.config import Config
from fastsched.spawn import supervisor
from tests.cluster.functions import inc


@pytest.mark.parametrize("entry", ["tests.cluster.functions:fails_to_start", "no.such.module:main"])
def test_workers_that_cannot_start_are_given_up_and_the_waiting_are_told(monkeypatch, entry: str) -> None:
    """In the second case it is the fork helper that cannot start."""
    monkeypatch.setattr(supervisor.Helper.start.__func__, "__defaults__", (entry,))
    with Client(n_workers=2, set_as_default=False) as client:
        before = client.submit(inc, 1)
        with pytest.raises(NoWorkers, match=r"worker processes in a row|fork helper"):
            before.result(timeout=30)
        with pytest.raises(NoWorkers):
            client.submit(inc, 2).result(timeout=30)
        assert client.nthreads() == {}


def test_a_cluster_without_workers_closes_quickly() -> None:
    began = time.monotonic()
    with Client(n_workers=0, set_as_default=False) as client:
        future = client.submit(inc, 1)
        assert client.nthreads() == {}
    assert future.cancelled()
    assert time.monotonic() - began < 5


def test_when_the_fork_helper_dies_the_waiting_are_told() -> None:
    with LocalCluster(n_workers=1) as cluster, Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(1)
        helper = client.submit(os.getppid).result()
        waiting = client.submit(time.sleep, 60)
        os.kill(helper, signal.SIGKILL)
        with pytest.raises(NoWorkers, match="fork helper"):
            waiting.result(timeout=30)


def test_every_worker_may_be_killed_at_once() -> None:
    config = Config(allowed_failures=100)
    with LocalCluster(n_workers=2, threads_per_worker=1, config=config) as cluster, Client(cluster) as client:
        for _ in range(3):
            futures = client.map(inc, range(500), pure=False)
            for worker in client.scheduler_info()["workers"].values():
                with contextlib.suppress(ProcessLookupError):  # killed before, and the scheduler does not know it yet
                    os.kill(worker["pid"], signal.SIGKILL)
            assert client.gather(futures) == list(range(1, 501))


def test_a_result_that_was_lost_with_its_worker_is_computed_again() -> None:
    with Client(n_workers=1, set_as_default=False) as client:
        large = client.submit(bytes, 1_000_000)
        client.submit(len, large).result()
        os.kill(client.submit(os.getpid, pure=False).result(), signal.SIGKILL)
        assert len(large.result(timeout=30)) == 1_000_000


def stop_my_worker(signum: int) -> None:
    os.kill(os.getpid(), signum)
    time.sleep(30)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_task_that_stops_its_own_worker_is_blamed_for_it(signum: int) -> None:
    """Nobody planned that stop: given back without blame, it would run again for ever."""
    with Client(n_workers=1, set_as_default=False) as client:
        with pytest.raises(WorkerLost, match="stop_my_worker"):
            client.submit(stop_my_worker, signum).result(timeout=40)
        assert client.submit(inc, 1).result() == 2


def test_many_workers_start_in_waves() -> None:
    with Client(n_workers=12, threads_per_worker=1, set_as_default=False) as client:
        assert len(client.nthreads()) == 12
    with pytest.raises(ValueError, match="n_workers must be at most"):
        Client(n_workers=10**9)


def test_a_worker_that_does_not_sign_on_in_time_is_killed_and_given_up(monkeypatch) -> None:
    monkeypatch.setattr(supervisor.Helper.start.__func__, "__defaults__", ("tests.cluster.functions:hangs_at_start",))
    config = Config(start_seconds=0.2, start_failures=2)
    with Client(n_workers=1, config=config, set_as_default=False) as client:
        error = client.submit(inc, 1).exception(timeout=30)
    assert isinstance(error, NoWorkers)
    assert "2 worker processes in a row ended at their start, the last: it did not sign on within 0.2 s" in str(error)


def test_supervision_gives_up_on_workers_that_die_with_nothing_to_do_again_and_again(caplog) -> None:
    config = Config(idle_failures=3, restart_seconds=0.01)
    with Client(n_workers=1, config=config, set_as_default=False) as client:
        for _ in range(3):
            client.wait_for_workers(1, timeout=30)
            (worker,) = client.scheduler_info()["workers"].values()
            os.kill(worker["pid"], signal.SIGKILL)
            while worker["name"] in {other["name"] for other in client.scheduler_info()["workers"].values()}:
                time.sleep(0.01)
        with pytest.raises(
            NoWorkers, match=r"3 worker processes in a row ended with nothing to do, .* the last: SIGKILL"
        ):
            client.submit(inc, 1).result(timeout=30)
    assert "no more workers are started" in caplog.text


def test_dead_workers_leave_no_file_behind() -> None:
    with Client(n_workers=1, config=Config(allowed_failures=0), set_as_default=False) as client:
        directory = Path(client.cluster.scheduler_address.removeprefix("unix://")).parent
        client.wait_for_workers(1, timeout=30)
        before = len(list(directory.iterdir()))
        for _ in range(3):
            with pytest.raises(WorkerLost):
                client.submit(stop_my_worker, signal.SIGKILL, pure=False).result(timeout=30)
        client.wait_for_workers(1, timeout=30)
        assert len(list(directory.iterdir())) == before
