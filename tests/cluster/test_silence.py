"""Silence is not death: processes that are stopped and go on, tasks that keep the interpreter lock, and what is left
when somebody is killed."""

from __future__ import annotations

import ast
import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fastsched import Client, LocalCluster, WorkerLost
from fastsched.config import Config
from tests.cluster.commands import Command
from tests.cluster.functions import inc
from tests.cluster.test_embedded import ROOT

SILENCE = Config().silence_seconds
SLACK = 2.0  # on a busy machine
LONG = float(os.environ.get("FASTSCHED_TEST_STOP_SECONDS", "5"))  # a stop, or a task that keeps the interpreter lock


def note(path: str, *, then: float) -> tuple[int, int]:
    """One more line in the file, and a pause; the process, and how many lines there were."""
    with open(path, "a") as file:
        file.write(f"{os.getpid()}\n")
    count = len(Path(path).read_text().splitlines())
    time.sleep(then)
    return os.getpid(), count


def hold_the_lock(seconds: float) -> int:
    """Sleep in C without letting go of the interpreter lock."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))
    return os.getpid()


def began(path: Path, lines: int = 1, seconds: float = 30.0) -> list[int]:
    """The processes that have begun with a task, once there are so many."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and len(found := path.read_text().splitlines()) >= lines:
            return list(map(int, found))
        time.sleep(0.01)
    raise AssertionError(f"{path} has no {lines} lines after {seconds} s")


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """These processes stand still meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def pids(client: Client) -> dict[int, str]:
    return {worker["pid"]: name for name, worker in client.scheduler_info()["workers"].items()}


def others(client: Client, pid: int) -> list[int]:
    return [other for other in pids(client) if other != pid]


@pytest.fixture
def client() -> Iterator[Client]:
    """Two workers with one thread each; no death of a worker is forgiven."""
    config = Config(allowed_failures=0)
    with LocalCluster(n_workers=2, threads_per_worker=1, config=config) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        yield client


def test_a_task_that_keeps_the_interpreter_lock_is_no_fault_of_its_worker(client: Client) -> None:
    before = pids(client)
    futures = client.map(hold_the_lock, [LONG, LONG], pure=False)
    began = time.monotonic()
    assert sorted(client.gather(futures)) == sorted(before)  # each where it began, once
    assert time.monotonic() - began < LONG + SLACK
    assert pids(client) == before


def test_work_of_a_stopped_worker_moves_and_the_worker_is_taken_back(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "began"
    future = client.submit(note, str(path), then=0.5)
    (pid,) = began(path)
    before = pids(client)
    with stopped(pid):
        start = time.monotonic()
        behind = client.map(inc, range(100), pure=False)
        assert future.result(timeout=30) == (others(client, pid)[0], 2)
        took = time.monotonic() - start
        assert SILENCE - 1 - 0.5 < took < SILENCE + 0.5 + SLACK
        assert client.gather(behind) == list(range(1, 101))
    assert pids(client) == before
    deadline = time.monotonic() + 10
    while client.submit(os.getpid, pure=False).result() != pid:  # it gets tasks again
        assert time.monotonic() < deadline
    assert future.result() == (others(client, pid)[0], 2)  # its own attempt came too late


def test_a_worker_that_is_stopped_for_a_moment_loses_nothing(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "began"
    future = client.submit(note, str(path), then=0.5)
    (pid,) = began(path)
    with stopped(pid):
        time.sleep(1.0)
    assert future.result(timeout=30) == (pid, 1)
    assert len(began(path)) == 1


def test_if_all_workers_are_stopped_nothing_is_lost(client: Client, tmp_path: Path) -> None:
    path = tmp_path / "began"
    future = client.submit(note, str(path), then=0.5)
    began(path)
    futures = client.map(inc, range(1000), pure=False)
    with stopped(*pids(client)):
        time.sleep(SILENCE + 2)
    assert client.gather(futures) == list(range(1, 1001))
    future.result(timeout=30)


def made(size: int) -> tuple[int, bytes]:
    return os.getpid(), bytes(size)


def maker(value: tuple[int, bytes]) -> int:
    return value[0]


def size_of(value: tuple[int, bytes], seconds: float) -> int:
    time.sleep(seconds)
    return len(value[1])


def test_a_value_on_a_stopped_worker_is_computed_again_for_who_needs_it(client: Client) -> None:
    large = client.submit(made, 3_000_000)
    pid = client.submit(maker, large).result()
    with stopped(pid):
        assert client.submit(size_of, large, 0.0).result(timeout=30) == 3_000_000
        assert client.submit(maker, large).result() != pid
    assert len(pids(client)) == 2


def fork_and_die(path: str) -> None:
    """Leave a child behind that holds all that a worker has open, and be killed."""
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(20)
        os._exit(0)
    Path(path).write_text(str(child))
    os.kill(os.getpid(), signal.SIGKILL)


def check_a_death_with_a_child_left_behind(client: Client, tmp_path: Path, within: float) -> None:
    path = tmp_path / "child"
    start = time.monotonic()
    future = client.submit(fork_and_die, str(path))
    with pytest.raises(WorkerLost, match="fork_and_die"):
        future.result(timeout=30)
    assert time.monotonic() - start < within
    os.kill(int(path.read_text()), signal.SIGKILL)
    assert client.submit(inc, 1).result(timeout=30) == 2


def test_a_forked_child_that_outlives_its_worker_delays_nothing(client: Client, tmp_path: Path) -> None:
    check_a_death_with_a_child_left_behind(client, tmp_path, 1.0)


# -- the program itself -----------------------------------------------------------------------------------------------

PROGRAM = """
import sys, time
from fastsched import Client
from tests.cluster.test_silence import note

with Client(n_workers=2, threads_per_worker=1) as client:
    futures = [client.submit(note, sys.argv[1] + str(i), then=1.0) for i in range(4)]
    print("ready", flush=True)
    print(client.gather(futures), client.submit(sum, [1, 2]).result(), flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGTSTP])
def test_a_program_that_is_stopped_and_goes_on_loses_nothing(tmp_path: Path, how: int) -> None:
    """By Ctrl-Z or by force: its scheduler was deaf, and knows it."""
    begins = str(tmp_path / "began")
    command = [sys.executable, "-c", PROGRAM, begins]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            began(Path(begins + "0"))
            program.send_signal(how)
            time.sleep(LONG)
            program.send_signal(signal.SIGCONT)
            out, err = program.communicate(timeout=30)
        finally:
            program.kill()
    assert (err, program.returncode) == ("", 0)
    results, _, total = out.strip().rpartition(" ")
    assert total == "3"
    assert [count for _, count in ast.literal_eval(results)] == [1, 1, 1, 1]  # each ran once


# -- servers in processes of their own --------------------------------------------------------------------------------


@pytest.fixture
def remote(scheduler: Command, run: Callable[..., Command], tmp_path: Path) -> Iterator[Client]:
    """A client of a scheduler and two workers in processes of their own."""
    run("worker", "fastsched.json", "--nworkers", "2", "--nthreads", "1")
    with Client(str(tmp_path / "fastsched.json"), set_as_default=False) as client:
        client.wait_for_workers(2, timeout=20)
        yield client


def test_a_scheduler_that_is_stopped_and_goes_on_loses_nothing(
    remote: Client, scheduler: Command, tmp_path: Path
) -> None:
    before = pids(remote)
    futures = [remote.submit(note, str(tmp_path / f"began-{i}"), then=1.0) for i in range(4)]
    began(tmp_path / "began-0")
    with stopped(scheduler.process.pid):
        time.sleep(LONG)
    assert [count for _, count in remote.gather(futures)] == [1, 1, 1, 1]  # each ran once
    assert pids(remote) == before


def test_work_of_a_stopped_worker_moves_over_tcp_too(remote: Client, tmp_path: Path) -> None:
    path = tmp_path / "began"
    future = remote.submit(note, str(path), then=0.5)
    (pid,) = began(path)
    with stopped(pid):
        start = time.monotonic()
        assert future.result(timeout=30) == (others(remote, pid)[0], 2)
        assert time.monotonic() - start < SILENCE + 0.5 + SLACK
    assert len(pids(remote)) == 2


def test_a_forked_child_that_outlives_its_worker_delays_nothing_over_tcp_either(
    scheduler: Command, run: Callable[..., Command], tmp_path: Path
) -> None:
    """There the connection's end must say it."""
    run("worker", "fastsched.json", "--nthreads", "1")
    with Client(str(tmp_path / "fastsched.json"), set_as_default=False) as client:
        client.wait_for_workers(1, timeout=20)
        path = tmp_path / "child"
        future = client.submit(fork_and_die, str(path))
        end = time.monotonic() + 30
        while not path.exists():
            assert time.monotonic() < end
            time.sleep(0.01)
        start = time.monotonic()
        while client.scheduler_info()["workers"]:
            assert time.monotonic() - start < 1.5
            time.sleep(0.01)
        os.kill(int(path.read_text()), signal.SIGKILL)
        future.cancel()


# -- clocks -----------------------------------------------------------------------------------------------------------

JUMPING = """
import itertools, time
_time, _jumps = time.time, itertools.cycle((0.0, 1e7, -1e7, 3600.0, -5.0))

def jumping():
    return _time() + next(_jumps)

time.time = jumping
"""

AT_ANY_TIME = """
import os, signal, time
from fastsched import Client
from tests.cluster.functions import inc
from tests.cluster.test_silence import name_of_the_clock, pids

with Client(n_workers=2, threads_per_worker=1) as client:
    client.wait_for_workers(2, timeout=30)
    print({time.time.__name__, *client.run(name_of_the_clock).values()})
    print(client.gather(client.map(inc, range(500), pure=False)) == list(range(1, 501)))
    long = client.map(time.sleep, [4.0, 4.001])
    start = time.monotonic()
    try:
        long[0].result(timeout=1.0)
    except TimeoutError:
        print(0.9 < time.monotonic() - start < 3.0)
    print(client.gather(long), len(pids(client)), time.monotonic() - start < 8.0)
    killed = client.submit(os.getpid, pure=False).result()
    os.kill(killed, signal.SIGKILL)
    while killed in pids(client) or len(pids(client)) < 2:
        time.sleep(0.01)
    print(client.submit(inc, 1, pure=False).result(timeout=30))
"""


def name_of_the_clock() -> str:
    return time.time.__name__


def test_a_clock_that_is_set_in_between_changes_nothing(tmp_path: Path) -> None:
    """Each look at the time of day shows another year, here, in the helper and in the workers."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING)
    done = subprocess.run(
        [sys.executable, "-c", AT_ANY_TIME],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert re.fullmatch(r"worker process .* ended: SIGKILL\n", done.stderr)
    assert done.stdout.split("\n") == ["{'jumping'}", "True", "True", "[None, None] 2 True", "2", ""]
