"""The two commands as a person meets them: processes that start, work together, explain themselves, and end."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from fastsched import Client, NoWorkers, WorkerLost, __version__
from fastsched.errors import AddressError
from fastsched.net.access import AccessFile
from tests.cluster.commands import Command
from tests.cluster.functions import crash_loudly
from tests.servers.spawned import SECONDS, wait_for_end

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="waits for strangers' ends by pidfd")


def worker_pids(command: Command, count: int) -> list[int]:
    """The pids that it prints."""
    return [int(command.line().rpartition("pid ")[2].rstrip(")")) for _ in range(count)]


# -- together -------------------------------------------------------------------------------------------------------


def test_a_program_computes_on_a_cluster_of_commands(scheduler, run, tmp_path):
    run("worker", "fastsched.json", "--nworkers", "2", "--nthreads", "3", "--name", "ant")
    with Client(str(tmp_path / "fastsched.json")) as client:
        client.wait_for_workers(2)
        assert sum(client.gather(client.map(abs, range(-100, 0)))) == 5050
        workers = client.scheduler_info()["workers"].values()
        assert {worker["name"]: worker["nthreads"] for worker in workers} == {"ant-0": 3, "ant-1": 3}


def test_a_worker_may_be_started_before_its_scheduler(run, tmp_path):
    worker = run("worker", "fastsched.json", "--name", "early")
    while "waiting 10 s for it" not in worker.said():
        assert worker.process.poll() is None, worker.said()
        time.sleep(0.01)
    run("scheduler")
    with Client(str(_when_written(tmp_path / "fastsched.json"))) as client:
        client.wait_for_workers(1)
        assert [worker["name"] for worker in client.scheduler_info()["workers"].values()] == ["early"]


def _when_written(path: Path) -> Path:
    deadline = time.monotonic() + SECONDS
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return path


def test_a_worker_that_is_killed_is_replaced(scheduler, run, tmp_path):
    worker = run("worker", "fastsched.json", "--nthreads", "1", "--name", "ant")
    (pid,) = worker_pids(worker, 1)
    with Client(str(tmp_path / "fastsched.json")) as client:
        client.wait_for_workers(1)
        assert client.submit(os.getpid, pure=False).result() == pid
        os.kill(pid, signal.SIGKILL)
        (replacement,) = worker_pids(worker, 1)
        assert client.submit(os.getpid, pure=False).result() == replacement
        assert f"worker ant (pid {pid}) died: SIGKILL" in worker.said()


def test_a_worker_with_a_wrong_key_is_told_so(scheduler, run, tmp_path):
    access = AccessFile.read(tmp_path / "fastsched.json")
    access._replace(worker_key=bytes(32)).write(tmp_path / "wrong.json")
    assert "does not accept this key for the role of a worker" in failure(run("worker", "wrong.json"), 1)


def test_workers_that_cannot_start_are_given_up_and_the_waiting_are_told(scheduler, run, tmp_path):
    with Client(str(tmp_path / "fastsched.json")) as client:
        waiting = client.submit(abs, -1)
        worker = run("worker", "fastsched.json", "--name", "ant", "--listen", "192.0.2.1", "--insecure")
        with pytest.raises(
            NoWorkers, match=r"3 worker processes in a row ended at their start, the last: exit 1: worker"
        ):
            waiting.result(timeout=SECONDS)
    assert worker.ends() == 1
    assert "worker ant-2 cannot start: cannot listen at tcp://192.0.2.1" in worker.said()
    assert "no more workers are started" in worker.said()
    assert "Traceback" not in worker.said()


def test_a_lost_worker_is_explained_and_only_what_it_executed_is_blamed(run, tmp_path):
    run("scheduler", FASTSCHED_ALLOWED_FAILURES="0").line()
    run("worker", "fastsched.json", "--nthreads", "1", "--name", "ant")
    with Client(str(tmp_path / "fastsched.json")) as client:
        client.wait_for_workers(1)
        deadly = [client.submit(crash_loudly, key=f"deadly-{i}", pure=False) for i in range(3)]
        harmless = client.map(abs, range(-50, 0))
        for i, future in enumerate(deadly):
            with pytest.raises(WorkerLost, match=f"deadly-{i} was executing .* on ant.* .SIGABRT.") as caught:
                future.result(timeout=SECONDS)
            assert "what a pity" in str(caught.value)
        assert client.gather(harmless) == list(range(50, 0, -1))


# -- ends -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_scheduler_that_is_told_to_stop_ends_quietly_and_takes_its_file_along(scheduler, tmp_path, signum):
    assert (tmp_path / "fastsched.json").exists()
    scheduler.process.send_signal(signum)
    assert scheduler.ends() == 0
    assert scheduler.said() == ""
    assert not (tmp_path / "fastsched.json").exists()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_workers_that_are_told_to_stop_end_quietly(scheduler, run, tmp_path, signum):
    worker = run("worker", "fastsched.json", "--nworkers", "2")
    pids = worker_pids(worker, 2)
    with Client(str(tmp_path / "fastsched.json")) as client:
        client.wait_for_workers(2)
    worker.process.send_signal(signum)
    assert worker.ends() == 0
    assert worker.said() == ""
    assert all(wait_for_end(pid, 0) for pid in pids)
    assert scheduler.said() == ""


def test_a_worker_that_still_waits_for_its_scheduler_can_be_stopped(run):
    worker = run("worker", "fastsched.json")
    while not worker.said():
        time.sleep(0.01)
    worker.process.send_signal(signal.SIGINT)
    assert worker.ends() == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_their_scheduler(scheduler, run, tmp_path, signum):
    grace = {"FASTSCHED_RECONNECT_SECONDS": "0"} if signum == signal.SIGKILL else {}
    worker = run("worker", "fastsched.json", "--nworkers", "2", **grace)
    pids = worker_pids(worker, 2)
    with Client(str(tmp_path / "fastsched.json")) as client:
        client.wait_for_workers(2)
    scheduler.process.send_signal(signum)
    assert worker.ends() == 0
    assert all(wait_for_end(pid, 0) for pid in pids)
    assert "Traceback" not in worker.said()


def test_killing_the_worker_command_leaves_no_worker_two_seconds_later(scheduler, run):
    worker = run("worker", "fastsched.json", "--nworkers", "2")
    pids = worker_pids(worker, 2)
    worker.process.kill()
    deadline = time.monotonic() + 2.0
    assert all(wait_for_end(pid, max(deadline - time.monotonic(), 0)) for pid in pids)


def test_an_idle_scheduler_ends_by_itself_if_asked_to(run, tmp_path):
    scheduler = run("scheduler", "--idle-timeout", "200ms")
    scheduler.line()
    scheduler.line()
    assert scheduler.line() == "no unfinished task for 0.2 s: the scheduler ends"
    assert scheduler.ends() == 0
    assert not (tmp_path / "fastsched.json").exists()


# -- what a person is told ------------------------------------------------------------------------------------------


def test_a_scheduler_says_where_it_listens_and_where_the_file_is(run, tmp_path):
    scheduler = run("scheduler", "--access-file", "mine.json")
    first, second = scheduler.line(), scheduler.line()
    access = AccessFile.read(tmp_path / "mine.json")
    assert first == f"fastsched scheduler {__version__} listens at {access.address}"
    assert second == f"access file: {tmp_path / 'mine.json'}"
    assert access.pid == scheduler.process.pid


def failure(command: Command, code: int) -> str:
    """The error of a command that ends with this code, as one line."""
    assert command.ends() == code, command.said()
    assert "Traceback" not in command.said()
    return " ".join(command.said().split())


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_each_command_knows_its_version_and_explains_itself(run, name):
    assert run(name, "--version").line() == f"fastsched-{name}, version {__version__}"
    command = run(name, "--help")
    assert command.ends() == 0
    assert b"--insecure" in command.process.stdout.read()


@pytest.mark.parametrize("name", ["scheduler", "worker"])
def test_an_unknown_option_is_named(run, name):
    assert "No such option" in failure(run(name, "x", "--dashboard"), 2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--port", "70000"], "70000 is not in the range"),
        (["--idle-timeout", "soon"], "'soon' is no duration such as 90, 500ms or 10min"),
        (["--host", "0.0.0.0"], "--host 0.0.0.0 can be reached from other machines"),
        (["--host", "example.org"], "Say --insecure if you trust"),
    ],
)
def test_a_scheduler_refuses_wrong_options(run, arguments, text):
    assert text in failure(run("scheduler", *arguments), 2)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Missing argument 'ACCESS_FILE'"),
        (["f", "--nworkers", "0"], "0 is not in the range x>=1"),
        (["f", "--memory-limit", "much"], "'much' is no memory limit such as 'auto', 4GiB"),
        (["f", "--wait", "x"], "'x' is no duration"),
    ],
)
def test_a_worker_refuses_wrong_options(run, arguments, text):
    assert text in failure(run("worker", *arguments), 2)


def test_a_host_that_is_not_this_machines_is_named(run):
    text = failure(run("scheduler", "--host", "192.0.2.1", "--insecure"), 1)
    assert "Error: cannot listen at tcp://192.0.2.1:0" in text


def test_a_port_in_use_is_named(run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = failure(run("scheduler", "--port", str(port)), 1)
    assert text == f"Error: somebody else listens at tcp://127.0.0.1:{port} already"


def test_an_access_file_that_cannot_be_written_is_named(run):
    assert "Error: cannot write the access file 'no/such.json'" in failure(
        run("scheduler", "--access-file", "no/such.json"), 1
    )


def test_two_schedulers_do_not_share_an_access_file(scheduler, run, tmp_path):
    before = (tmp_path / "fastsched.json").read_bytes()
    text = failure(run("scheduler"), 1)
    assert f"is that of a running scheduler at {AccessFile.read(tmp_path / 'fastsched.json').address}" in text
    assert "--access-file" in text
    assert (tmp_path / "fastsched.json").read_bytes() == before


def test_the_file_of_a_scheduler_that_was_killed_is_stale_and_may_be_replaced(scheduler, run, tmp_path):
    scheduler.process.kill()
    scheduler.ends()
    text = failure(run("worker", "fastsched.json", "--wait", "0"), 1)
    assert f"is stale: the scheduler that wrote it (pid {scheduler.process.pid}) has ended" in text
    with pytest.raises(AddressError, match="is stale"):
        Client(str(tmp_path / "fastsched.json"))
    assert run("scheduler").line().startswith("fastsched scheduler")


def test_a_bare_address_is_not_enough_for_a_worker(run):
    text = failure(run("worker", "tcp://127.0.0.1:8786"), 1)
    assert text == (
        "Error: tcp://127.0.0.1:8786 alone is not enough: give the access file that fastsched-scheduler wrote, "
        "it has the keys"
    )


def test_a_file_that_is_not_there_is_waited_for_and_then_named(run):
    text = failure(run("worker", "nowhere.json", "--wait", "100ms"), 1)
    assert "waiting 0.1 s for it" in text
    assert text.endswith("Error: there is no access file 'nowhere.json': fastsched-scheduler writes it when it starts")


def test_an_access_file_that_others_can_read_is_refused(scheduler, run, tmp_path):
    (tmp_path / "fastsched.json").chmod(0o644)
    assert "can be read by others (mode 0644, must be 0600)" in failure(
        run("worker", "fastsched.json", "--wait", "0"), 1
    )


def test_serving_results_to_other_machines_in_the_clear_must_be_asked_for(scheduler, run):
    text = failure(run("worker", "fastsched.json", "--listen", "0.0.0.0"), 1)
    assert "the way by 0.0.0.0 leads over other machines" in text


def test_a_wrong_environment_variable_is_named(run):
    text = failure(run("scheduler", FASTSCHED_INLINE_BYTES="many"), 1)
    assert text == "Error: FASTSCHED_INLINE_BYTES must be a number, not 'many'"


def test_an_insecure_scheduler_listens_everywhere_and_names_this_host(run, tmp_path):
    scheduler = run("scheduler", "--host", "0.0.0.0", "--insecure")
    assert socket.gethostname() in scheduler.line()
    scheduler.line()
    assert AccessFile.read(tmp_path / "fastsched.json").address.host == socket.gethostname()
