"""Workers leave as planned: what they hold goes to others, what they run may end, nobody is blamed or replaced."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fastsched import Client, Config, LocalCluster, wait, worker_client
from tests.cluster.census import descendants
from tests.cluster.commands import Command
from tests.cluster.conftest import remaining
from tests.cluster.functions import append_line, inc
from tests.servers.spawned import wait_for_end

SECONDS = 30.0


def noted_bytes(n: int, file: str) -> bytes:
    """A value, and a line for each time that it is computed."""
    append_line(file, str(n))
    return bytes(n)


def noted_sleep(seconds: float, file: str) -> int:
    append_line(file, "begun")
    time.sleep(seconds)
    append_line(file, "ended")
    return os.getpid()


def square_sum(n: int, seconds: float) -> int:
    with worker_client() as client:
        time.sleep(seconds)
        return sum(client.gather(client.map(pow, range(n), [2] * n)))


def lines(file: Path) -> Counter[str]:
    return Counter(file.read_text().split()) if file.exists() else Counter()


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def busy_worker(client: Client) -> dict[str, Any]:
    """What is known of a worker that has a task."""
    return next(worker for worker in client.scheduler_info()["workers"].values() if worker["tasks"])


def kill_while_it_retires(client: Client, seconds: float) -> None:
    """Have the busy worker retire; after so long somebody loses patience."""
    busy = busy_worker(client)
    killer = threading.Timer(seconds, os.kill, (busy["pid"], signal.SIGKILL))
    killer.start()
    client.retire_workers(busy["name"])
    killer.join()


@pytest.fixture
def client() -> Iterator[Client]:
    """Of a cluster of three workers; the test leaves nothing in it."""
    with LocalCluster(3, 1) as cluster, Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(3)
        yield client
        cluster.check()
        with Client(cluster, set_as_default=False) as observer:
            client.close()
            assert remaining(observer) == {}


def test_nothing_is_computed_again_when_workers_retire_one_after_the_other(client, tmp_path, caplog):
    file = tmp_path / "computed"
    sizes = range(100_000, 100_060)
    futures = client.map(noted_bytes, sizes, file=str(file))
    scattered = client.scatter([b"x" * 300_000, "small"])
    wait(futures)
    pids = {worker["pid"] for worker in client.scheduler_info()["workers"].values()}
    for n in (2, 1):
        left = client.retire_workers(n=1)
        assert len(left) == 1
        assert len(client.nthreads()) == n
    assert [len(value) for value in client.gather(futures)] == list(sizes)
    assert client.gather(scattered) == [b"x" * 300_000, "small"]
    assert lines(file) == Counter(map(str, sizes))
    (last,) = (worker["pid"] for worker in client.scheduler_info()["workers"].values())
    assert all(wait_for_end(pid, SECONDS) for pid in pids - {last})
    time.sleep(0.3)  # longer than a replacement would take
    assert len(client.nthreads()) == 1
    assert caplog.text == ""


def test_what_runs_may_end_and_what_waits_goes_to_others(client, tmp_path):
    file = tmp_path / "ran"
    running = client.map(noted_sleep, [1.0] * 3, file=str(file), pure=False)
    until(lambda: lines(file)["begun"] == 3)
    waiting = client.map(noted_sleep, [0.0] * 6, file=str(file), pure=False)
    trees = client.map(square_sum, range(20, 26), seconds=0.05)
    names = [worker["name"] for worker in client.scheduler_info()["workers"].values()]
    left = client.retire_workers(names[:2])
    (there,) = client.scheduler_info()["workers"].values()
    assert set(client.gather(waiting)) == {there["pid"]}
    assert len(set(client.gather(running))) == 3
    assert {worker["name"] for worker in left.values()} == set(names[:2])
    assert client.gather(trees) == [sum(i * i for i in range(n)) for n in range(20, 26)]
    assert lines(file) == Counter(begun=9, ended=9)


def test_a_parent_that_waits_for_its_children_may_finish(client):
    trees = client.map(square_sum, range(100, 103), [0.5] * 3)
    time.sleep(0.2)
    assert len(client.retire_workers(n=2)) == 2
    assert client.gather(trees) == [sum(i * i for i in range(n)) for n in range(100, 103)]


def test_a_task_may_retire_another_worker(client):
    name = client.submit(retire_another).result(timeout=SECONDS)
    assert name not in {worker["name"] for worker in client.scheduler_info()["workers"].values()}


def retire_another() -> str:
    with worker_client() as client:
        me = os.getpid()
        there = client.scheduler_info()["workers"].values()
        name = next(worker["name"] for worker in there if worker["pid"] != me)
        client.retire_workers(name)
        return name


def test_a_worker_that_is_killed_while_it_retires_is_not_replaced_and_blames_nobody(tmp_path, caplog):
    file = tmp_path / "ran"
    config = Config(allowed_failures=0)
    with LocalCluster(2, 1, config=config) as cluster, Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        future = client.submit(noted_sleep, 1.0, str(file))
        until(lambda: lines(file)["begun"] == 1)
        kill_while_it_retires(client, 0.1)
        (there,) = client.scheduler_info()["workers"].values()
        assert future.result(timeout=SECONDS) == there["pid"]
        time.sleep(0.3)  # longer than a replacement would take
        assert len(client.nthreads()) == 1
    assert caplog.text == ""


def test_a_task_that_runs_for_too_long_runs_again_elsewhere(tmp_path):
    file = tmp_path / "ran"
    config = Config(retire_seconds=0.3, allowed_failures=0)
    with LocalCluster(2, 1, config=config) as cluster, Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        future = client.submit(noted_sleep, 2.0, str(file))
        until(lambda: lines(file)["begun"] == 1)
        busy = busy_worker(client)
        client.retire_workers(busy["name"])
        (there,) = client.scheduler_info()["workers"].values()
        assert future.result(timeout=SECONDS) == there["pid"]
        assert lines(file)["begun"] == 2


def test_bad_arguments_are_named_and_change_nothing(client):
    with pytest.raises(ValueError, match="no worker has the name or address 'nobody'"):
        client.retire_workers("nobody")
    with pytest.raises(TypeError, match="either workers or n"):
        client.retire_workers()
    with pytest.raises(TypeError, match="either workers or n"):
        client.retire_workers("worker-0", n=1)
    with pytest.raises(ValueError, match="n must not be negative: -1"):
        client.retire_workers(n=-1)
    with pytest.raises(TypeError, match="n must be an integer"):
        client.retire_workers(n=1.5)
    with pytest.raises(NotImplementedError, match="close_workers=False"):
        client.retire_workers(n=1, close_workers=False)
    for n in (3, 4):
        with pytest.raises(RuntimeError, match="no worker would be left"):
            client.retire_workers(n=n)
    assert client.retire_workers([]) == client.retire_workers(n=0) == {}
    assert len(client.nthreads()) == 3


# -- fastsched-worker ----------------------------------------------------------------------------------------------


def started(command: Command, n: int) -> None:
    for _ in range(n):
        command.line()


def test_workers_that_hear_sigterm_hand_over_what_they_hold(scheduler, run, tmp_path):
    file = tmp_path / "computed"
    first = run("worker", "fastsched.json", "--nworkers", "2", "--nthreads", "1")
    started(first, 2)
    with Client(str(tmp_path / "fastsched.json"), set_as_default=False) as client:
        client.wait_for_workers(2)
        futures = client.map(noted_bytes, range(100_000, 100_020), file=str(file))
        wait(futures)
        second = run("worker", "fastsched.json", "--nthreads", "1")
        client.wait_for_workers(3)
        sleeping = client.map(noted_sleep, [0.7] * 3, file=str(tmp_path / "slept"), pure=False)
        until(lambda: lines(tmp_path / "slept")["begun"] == 3)
        first.process.send_signal(signal.SIGTERM)
        assert "the workers retire" in first.line()
        assert first.ends() == 0
        assert len(client.nthreads()) == 1
        assert len(set(client.gather(sleeping))) == 3
        assert lines(tmp_path / "slept") == Counter(begun=3, ended=3)
        assert [len(value) for value in client.gather(futures)] == list(range(100_000, 100_020))
        assert set(lines(file).values()) == {1}
        assert client.submit(inc, 1).result() == 2
    assert (first.said(), second.said(), scheduler.said()) == ("", "", "")


def test_so_do_they_if_a_service_manager_signals_every_process(scheduler, run, tmp_path):
    file = tmp_path / "computed"
    first = run("worker", "fastsched.json", "--nworkers", "2", "--nthreads", "1")
    started(first, 2)
    with Client(str(tmp_path / "fastsched.json"), set_as_default=False) as client:
        client.wait_for_workers(2)
        futures = client.map(noted_bytes, range(100_000, 100_010), file=str(file))
        scattered = client.scatter(b"x" * 200_000)
        wait(futures)
        run("worker", "fastsched.json", "--nthreads", "1")
        client.wait_for_workers(3)
        for pid in [*descendants(first.process.pid), first.process.pid]:
            os.kill(pid, signal.SIGTERM)
        assert first.ends() == 0
        assert [len(value) for value in client.gather(futures)] == list(range(100_000, 100_010))
        assert scattered.result() == b"x" * 200_000
        assert set(lines(file).values()) == {1}
    assert (first.said(), scheduler.said()) == ("", "")


def test_workers_that_have_not_begun_may_be_told_to_leave(scheduler, run, tmp_path):
    """Nobody takes them for workers that fail at their start."""
    worker = run("worker", "fastsched.json", "--nworkers", "6", "--nthreads", "1")
    worker.line()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert (worker.said(), scheduler.said()) == ("", "")
    with Client(str(tmp_path / "fastsched.json"), set_as_default=False) as client:
        future = client.submit(inc, 1)
        run("worker", "fastsched.json", "--nthreads", "1")
        assert future.result(timeout=SECONDS) == 2


def test_sigterm_is_heard_though_nobody_reads_what_is_printed(scheduler, run):
    worker = run("worker", "fastsched.json", "--nthreads", "1")
    started(worker, 1)
    worker.process.stdout.close()
    worker.process.send_signal(signal.SIGTERM)
    assert worker.ends() == 0


def test_a_retiring_worker_of_a_command_is_not_replaced_however_it_ends(scheduler, run, tmp_path):
    file = tmp_path / "slept"
    commands = [run("worker", "fastsched.json", "--nthreads", "1") for _ in range(2)]
    for command in commands:
        started(command, 1)
    with Client(str(tmp_path / "fastsched.json"), set_as_default=False) as client:
        client.wait_for_workers(2)
        future = client.submit(noted_sleep, 2.0, str(file))
        until(lambda: lines(file)["begun"] == 1)
        kill_while_it_retires(client, 0.2)
        until(lambda: any(command.process.poll() == 0 for command in commands))
        (there,) = client.scheduler_info()["workers"].values()
        assert future.result(timeout=SECONDS) == there["pid"]


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_them_at_once(scheduler, run, tmp_path, second):
    file = tmp_path / "slept"
    worker = run("worker", "fastsched.json", "--nthreads", "1")
    started(worker, 1)
    with Client(str(tmp_path / "fastsched.json"), set_as_default=False) as client:
        future = client.submit(noted_sleep, 60.0, str(file))
        until(lambda: lines(file)["begun"] == 1)
        worker.process.send_signal(signal.SIGTERM)
        assert "the workers retire" in worker.line()
        worker.process.send_signal(second)
        assert worker.ends() == 0
        assert not future.done()
        future.cancel()
    assert worker.said() == ""


def test_retiring_workers_end_with_their_scheduler(scheduler, run, tmp_path):
    file = tmp_path / "slept"
    worker = run("worker", "fastsched.json", "--nthreads", "1")
    started(worker, 1)
    with Client(str(tmp_path / "fastsched.json"), set_as_default=False) as client:
        future = client.submit(noted_sleep, 60.0, str(file))
        until(lambda: lines(file)["begun"] == 1)
        worker.process.send_signal(signal.SIGTERM)
        assert "the workers retire" in worker.line()
        scheduler.process.kill()
        assert worker.ends() == 0
        assert future.exception(timeout=SECONDS) is not None


def test_workers_of_a_command_may_be_retired_by_a_client(scheduler, run, tmp_path):
    commands = [run("worker", "fastsched.json", "--nthreads", "1") for _ in range(2)]
    for command in commands:
        started(command, 1)
    with Client(str(tmp_path / "fastsched.json"), set_as_default=False) as client:
        client.wait_for_workers(2)
        client.retire_workers(n=1)
        until(lambda: any(command.process.poll() == 0 for command in commands))
        assert len(client.nthreads()) == 1
        assert client.submit(inc, 1).result() == 2
    assert [command.said() for command in commands] == ["", ""]
