"""However the client ends, no process of its cluster is left two seconds later; and deaths are known at once."""

import json
import os
import pty
import select
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastsched.spawn.supervisor import Died
from tests.servers.spawned import ENTRY, SECONDS, Nursery, wait_for_end

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for strangers' ends by pidfd")

ROOT = Path(__file__).parents[2]
PLAIN_ENTRY = "tests.servers.spawned_plain:report"
ENTRIES = pytest.mark.parametrize("entry", [ENTRY, PLAIN_ENTRY], ids=["pidfd", "plain"])


class ClientProcess:
    """A client in a process of its own, with a helper and two workers (tests/servers/spawned.py)."""

    def __init__(self, directory: Path, *options: str, **popen) -> None:
        command = [sys.executable, "-m", "tests.servers.spawned", str(directory), *options]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, **popen)
        assert select.select([self.process.stdout], [], [], SECONDS)[0]
        pids = json.loads(self.process.stdout.readline())
        self.fork = next((-pid for pid in pids if pid < 0), None)
        self.pids = [pid for pid in pids if pid > 0]

    def left_after(self, seconds: float) -> list[int]:
        """The pids of helper and workers (and what they started) that live so much longer."""
        deadline = time.monotonic() + seconds
        return [pid for pid in self.pids if not wait_for_end(pid, max(deadline - time.monotonic(), 0))]

    def clean_up(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        for pid in [*self.pids, self.fork]:
            if pid is not None:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


@ENTRIES
@pytest.mark.parametrize("options", [(), ("stubborn",), ("child",), ("forked",)], ids=lambda o: "".join(o) or "simple")
def test_no_orphan_is_left_two_seconds_after_the_client_was_killed(tmp_path, options, entry):
    client = ClientProcess(tmp_path, *options, entry)
    try:
        assert (tmp_path / "private").exists()
        client.process.kill()
        assert client.left_after(2.0) == []
        assert not (tmp_path / "private").exists()  # what the client made for its workers went with them
    finally:
        client.clean_up()


def test_no_orphan_is_left_if_client_and_helper_are_killed_together(tmp_path):
    client = ClientProcess(tmp_path, "stubborn")
    try:
        os.kill(client.pids[0], signal.SIGKILL)
        client.process.kill()
        assert client.left_after(2.0) == []
    finally:
        client.clean_up()


def test_ctrl_c_in_the_clients_terminal_reaches_the_client_alone(tmp_path):
    terminal, inside = pty.openpty()
    client = ClientProcess(tmp_path, "sturdy", stdin=inside, preexec_fn=lambda: _take_terminal(inside))
    try:
        os.write(terminal, b"\x03")
        assert select.select([client.process.stdout], [], [], SECONDS)[0]
        assert client.process.stdout.readline() == b"ouch\n"
        assert client.left_after(0.3) == client.pids
    finally:
        client.clean_up()
        os.close(terminal)
        os.close(inside)


def _take_terminal(fd: int) -> None:
    os.setsid()
    os.close(os.open(os.ttyname(fd), os.O_RDWR))  # the first terminal that a session leader opens is its own


@ENTRIES
@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_death_is_known_within_a_tenth_of_a_second(tmp_path, how, entry):
    nursery = Nursery(tmp_path, entry)
    delays = []
    try:
        for i in range(7):
            worker = nursery.spawn(f"w{i}")
            started = time.monotonic()
            if how == "kill":
                os.kill(worker.facts["pid"], signal.SIGKILL)
            else:
                worker.go()
            assert nursery.next_event(Died).name == f"w{i}"
            delays.append(time.monotonic() - started)
    finally:
        nursery.close()
    assert statistics.median(delays) < 0.1
