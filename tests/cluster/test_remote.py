"""Clients of a scheduler in a process of its own, over TCP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fastsched import (
    AddressError,
    Client,
    ClosedError,
    ConnectError,
    HandshakeError,
    SchedulerLost,
    SerializationError,
    fire_and_forget,
)
from fastsched.client import remote
from fastsched.config import Config
from tests.cluster.commands import Command
from tests.cluster.conftest import remaining
from tests.cluster.functions import append_line, blob, fail, fib, inc, size
from tests.cluster.test_embedded import ROOT


@pytest.fixture
def access(scheduler: Command, run: Callable[..., Command], tmp_path: Path) -> str:
    """The access file of a cluster with two workers."""
    path = str(tmp_path / "fastsched.json")
    run("worker", "fastsched.json", "--nworkers", "2", "--nthreads", "1")
    with Client(path, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=20)
    return path


def test_everything_works_over_tcp(access: str) -> None:
    with Client(access) as client:
        assert client.gather(client.map(inc, range(200))) == list(range(1, 201))
        assert client.submit(fib, 30).result() == 832040
        large = client.submit(blob, 3_000_000)
        assert client.submit(size, large).result() == len(large.result()) == 3_000_000
        assert client.submit(inc, client.scatter(1)).result() == 2
        with pytest.raises(ValueError, match="over TCP"):
            client.submit(fail, "over TCP").result()
        assert len(client.run(os.getpid)) == 2
        info = client.scheduler_info()
        assert info["address"].startswith("tcp://127.0.0.1:")
        del large
    with Client(access, set_as_default=False) as observer:
        assert remaining(observer) == {}


def test_equal_calls_of_two_programs_are_one_task(access: str, tmp_path: Path) -> None:
    path = str(tmp_path / "calls")
    code = "import sys\nfrom fastsched import Client\nfrom tests.cluster.functions import append_line\n"
    code += "with Client(sys.argv[1]) as c:\n    print(c.submit(append_line, sys.argv[2], 'x').key)\n"
    with Client(access) as client:
        future = client.submit(append_line, path, "x")
        future.result()
        other = subprocess.run(
            [sys.executable, "-c", code, access, path], capture_output=True, text=True, timeout=30, cwd=ROOT
        )
        assert (other.stdout, other.stderr) == (future.key + "\n", "")
    assert Path(path).read_text() == "x\n"


def test_when_the_scheduler_dies_the_waiting_are_told(access: str, scheduler: Command) -> None:
    with Client(access, set_as_default=False) as client:
        done, waiting = client.submit(inc, 1), client.submit(time.sleep, 30)
        done.result()
        scheduler.process.send_signal(signal.SIGKILL)
        with pytest.raises(SchedulerLost, match="tcp://"):
            waiting.result(timeout=20)
        assert done.result() == 2  # it was here already
        with pytest.raises(ClosedError):
            client.submit(inc, 2)


def test_the_tasks_of_a_client_that_dies_are_forgotten(access: str) -> None:
    code = "import sys, time\nfrom fastsched import Client\nc = Client(sys.argv[1])\n"
    code += "fs = c.map(time.sleep, [60] * 20, pure=False)\nprint('ready', flush=True)\ntime.sleep(60)\n"
    program = subprocess.Popen([sys.executable, "-c", code, access], stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert program.stdout.readline() == b"ready\n"
        with Client(access, set_as_default=False) as observer:
            while sum(observer.scheduler_info()["tasks"].values()) < 20:
                time.sleep(0.01)
            program.kill()
            assert remaining(observer) == {}
    finally:
        program.kill()
        program.communicate()


def test_fire_and_forget_outlives_the_client(access: str, tmp_path: Path) -> None:
    path = tmp_path / "fired"
    with Client(access, set_as_default=False) as client:
        block = client.map(time.sleep, [0.2] * 2, pure=False)
        fire_and_forget(client.submit(append_line, str(path), "x", priority=-1))
        del block
    while not path.exists():
        time.sleep(0.01)


def test_shutdown_ends_the_cluster(access: str, scheduler: Command) -> None:
    client = Client(access, set_as_default=False)
    client.shutdown()
    client.shutdown()
    assert scheduler.ends() == 0
    assert not Path(access).exists()


def test_a_task_that_is_too_large_to_be_submitted_harms_nothing_else(access: str) -> None:
    with Client(access, set_as_default=False, config=Config(control_bytes=100_000)) as client:
        kept = client.submit(inc, 1)
        for _ in range(2):
            with pytest.raises(SerializationError):
                client.submit(size, b"", key="k" * 200_000)
        assert client.submit(size, b"abc").result() == 3
        assert kept.result() == 2


class Alarm(Exception):
    """What the timer raises."""


def test_a_close_that_is_interrupted_leaves_no_io_thread_and_the_switch_interval_as_it_was(access: str) -> None:
    def ring(*_: object) -> None:
        raise Alarm

    interval, threads = sys.getswitchinterval(), threads_named("fastsched-io")
    client = Client(access, set_as_default=False)
    runs, may_end = threading.Event(), threading.Event()
    future = client.submit(inc, 1)
    future.add_done_callback(lambda _: (runs.set(), may_end.wait(20)))
    assert future.result() == 2
    assert runs.wait(20)
    assert threads_named("fastsched-io") != threads
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Alarm):
            client.close(timeout=20)  # waits for the callback
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        may_end.set()
    assert threads_named("fastsched-io") == threads
    assert sys.getswitchinterval() == interval


def threads_named(name: str) -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == name}


def test_another_version_is_refused_and_both_are_named(access: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "__version__", "99.0")
    with pytest.raises(HandshakeError, match=r"0\.1\.0.*99\.0"):
        Client(access, set_as_default=False)


def test_a_wrong_key_is_refused(access: str, tmp_path: Path) -> None:
    fields = json.loads(Path(access).read_text())
    fields["client_key"] = "00" * 32
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(fields))
    wrong.chmod(0o600)
    with pytest.raises(HandshakeError, match="key"):
        Client(str(wrong), set_as_default=False)


def test_wrong_addresses_are_named(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match=r"no-such-file\.json"):
        Client(str(tmp_path / "no-such-file.json"))
    with pytest.raises(AddressError, match="access file"):
        Client("tcp://127.0.0.1:1")
    with pytest.raises(TypeError, match="n_workers"):
        Client(str(tmp_path / "x.json"), n_workers=2)


def test_an_address_at_which_nobody_listens_is_named(access: str, tmp_path: Path) -> None:
    fields = json.loads(Path(access).read_text())
    fields["address"] = "tcp://127.0.0.1:1"
    nobody = tmp_path / "nobody.json"
    nobody.write_text(json.dumps(fields))
    nobody.chmod(0o600)
    with pytest.raises(ConnectError, match=r"tcp://127\.0\.0\.1:1"):
        Client(str(nobody), set_as_default=False)
