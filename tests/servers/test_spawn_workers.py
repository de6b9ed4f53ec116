"""Worker processes come from the fork helper with the client's surroundings, and nothing else of the client."""

import errno
import os
import select
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fastsched.spawn.supervisor import Died, Helper, HelperDied, Spawned
from tests.servers.spawned import SECONDS, Nursery, open_fds, wait_for_end

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def nursery(tmp_path):
    nursery = Nursery(tmp_path)
    yield nursery
    nursery.close()


def test_a_spawned_worker_is_reported_with_its_pid(nursery):
    worker = nursery.spawn("w0")
    assert nursery.next_event() == Spawned("w0", worker.facts["pid"])
    assert worker.facts["parent"] == nursery.helper.pid


@pytest.mark.parametrize("code", [0, 3])
def test_an_exit_is_reported_with_its_code(nursery, code):
    worker = nursery.spawn("w0", exit=code)
    worker.go()
    assert nursery.next_event(Died) == Died("w0", worker.facts["pid"], f"exit {code}", code)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_death_by_signal_is_reported_by_its_name(nursery, signum):
    worker = nursery.spawn("w0")
    os.kill(worker.facts["pid"], signum)
    assert nursery.next_event(Died)[:4] == ("w0", worker.facts["pid"], signum.name, -signum)


def test_an_exception_in_a_worker_is_exit_1_with_a_traceback(capfd, tmp_path):
    with closing(Nursery(tmp_path)) as nursery:
        nursery.spawn("w0", **{"raise": True}).go()
        assert nursery.next_event(Died).how == "exit 1"
    assert "RuntimeError: this worker was told to raise" in capfd.readouterr().err


def test_each_of_many_workers_is_reported_once(nursery):
    workers = {f"w{i}": nursery.spawn(f"w{i}", exit=i) for i in range(8)}
    for worker in workers.values():
        worker.go()
    died = {event.name: event.code for event in (nursery.next_event(Died) for _ in workers)}
    assert died == {f"w{i}": i for i in range(8)}
    assert nursery.helper.read_events() == []


def test_a_worker_has_the_clients_directory_module_path_and_environment(nursery, tmp_path):
    environ = {"PATH": "/bin", "FASTSCHED_TEST": "\udcff a surrogate"}
    worker = nursery.spawn("w0", cwd=str(tmp_path), sys_path=["/nowhere", *sys.path], environ=environ)
    assert worker.facts["cwd"] == os.path.realpath(tmp_path)
    assert worker.facts["path"] == ["/nowhere", *sys.path]
    assert worker.facts["environ"] == environ


def test_a_worker_stays_where_it_is_if_the_clients_directory_is_gone(capfd, tmp_path):
    with closing(Nursery(tmp_path)) as nursery:
        assert nursery.spawn("w0", cwd=str(tmp_path / "gone")).facts["cwd"] == str(Path.cwd())
    assert "cannot change to the client's directory" in capfd.readouterr().err


def test_a_worker_leads_its_own_group_and_no_ctrl_c_of_ours_reaches_it(nursery):
    worker = nursery.spawn("w0")
    assert worker.facts["group"] == worker.facts["pid"]
    assert os.getsid(worker.facts["pid"]) != os.getsid(0)  # not on our terminal
    assert os.getpgid(nursery.helper.pid) != os.getpgrp()


def test_a_worker_has_the_signal_handlers_of_a_fresh_python(nursery):
    seen = nursery.spawn("w0").facts
    assert seen["sigint"]
    assert seen["sigterm"]
    assert seen["blocked"] == []


def test_secrets_in_the_settings_are_in_no_argv_and_no_environment(nursery):
    secret = "5ec4e7" * 10
    seen = nursery.spawn("w0", worker_key=secret).facts
    helper = Path(f"/proc/{nursery.helper.pid}")
    for place in (seen["cmdline"], seen["exec_environ"], str(seen["argv"]), str(seen["environ"])):
        assert secret not in place
    for name in ("cmdline", "environ"):
        assert secret.encode() not in (helper / name).read_bytes()


def test_workers_inherit_no_descriptor_of_client_helper_or_each_other(tmp_path):
    mine = socket.socket()
    os.set_inheritable(mine.fileno(), True)  # what a careless C library leaves behind
    nursery = Nursery(tmp_path)
    try:
        for name in ("w0", "w1", "w2"):
            fds = nursery.spawn(name).facts["fds"]
            assert set(fds) == {"0", "1", "2"}, name
            assert fds["0"] == os.devnull
    finally:
        nursery.close()
        mine.close()


def test_a_signal_goes_to_the_worker_of_that_name_only(nursery):
    nursery.spawn("w0")
    second = nursery.spawn("w1")
    nursery.helper.signal("w1", signal.SIGKILL)
    nursery.helper.signal("nobody", signal.SIGKILL)
    assert nursery.next_event(Died) == Died("w1", second.facts["pid"], "SIGKILL", -9)
    nursery.workers[0].go()
    assert nursery.next_event(Died).how == "exit 0"


def test_what_a_dead_worker_started_dies_with_it(nursery):
    worker = nursery.spawn("w0", child=True)
    os.kill(worker.facts["pid"], signal.SIGKILL)
    assert wait_for_end(worker.facts["child"])


def test_closing_ends_workers_that_ignore_sigterm_too(tmp_path):
    nursery = Nursery(tmp_path)
    pids = [nursery.spawn("kind").facts["pid"], nursery.spawn("stubborn", stubborn=True).facts["pid"]]
    nursery.helper.close(0.6)
    assert [wait_for_end(pid, 0) for pid in pids] == [True, True]
    assert wait_for_end(nursery.helper.pid, 0)
    nursery.close()


def test_closing_a_helper_that_hangs_kills_it_and_its_workers(tmp_path):
    nursery = Nursery(tmp_path)
    pid = nursery.spawn("w0").facts["pid"]
    nursery.next_event(Spawned)
    os.kill(nursery.helper.pid, signal.SIGSTOP)
    nursery.helper.close(0.1)
    assert wait_for_end(pid)
    assert wait_for_end(nursery.helper.pid, 0)
    nursery.close()


def test_a_helper_that_dies_takes_its_workers_along_and_is_noticed(nursery):
    worker = nursery.spawn("w0")
    assert nursery.next_event() == Spawned("w0", worker.facts["pid"])
    os.kill(nursery.helper.pid, signal.SIGKILL)
    assert nursery.next_event() == Died("w0", worker.facts["pid"], "SIGKILL, its fork helper died", -9)
    assert nursery.next_event() == HelperDied(nursery.helper.pid, "SIGKILL", -9)
    assert wait_for_end(worker.facts["pid"])
    assert not nursery.helper.alive
    nursery.helper.spawn("w1", {})  # a word to the dead: nothing happens
    assert nursery.helper.read_events() == []


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGHUP, signal.SIGTERM])
def test_a_helper_survives_what_a_terminal_or_a_service_manager_may_send(nursery, signum):
    nursery.spawn("w0")
    os.kill(nursery.helper.pid, signum)
    nursery.spawn("w1")
    assert [nursery.next_event().name for _ in range(2)] == ["w0", "w1"]


def test_a_worker_module_that_cannot_be_imported_ends_the_helper_with_a_traceback(tmp_path, capfd):
    nursery = Nursery(tmp_path, entry="tests.servers.no_such_module:main")
    nursery.helper.spawn("w0", {})
    assert nursery.next_event() == HelperDied(nursery.helper.pid, "exit 1", 1)
    nursery.close()
    assert "no_such_module" in capfd.readouterr().err


def test_a_worker_that_cannot_be_forked_is_reported_dead(tmp_path):
    with closing(Nursery(tmp_path, "tests.servers.spawned_unforkable:report")) as nursery:
        nursery.helper.spawn("w0", {})
        event = nursery.next_event()
    assert event == Died("w0", 0, "it could not be forked: Resource temporarily unavailable", errno.EAGAIN)


def test_a_client_without_standard_output_has_workers_that_cannot_write_into_sockets(tmp_path):
    """A daemon may have closed 0, 1 and 2; a worker's next socket must not become its standard output."""
    saved = [os.dup(fd) for fd in (0, 1, 2)]
    os.closerange(0, 3)
    try:
        with closing(Nursery(tmp_path)) as nursery:
            fds = nursery.spawn("w0").facts["fds"]
    finally:
        for fd, copy in enumerate(saved):
            os.dup2(copy, fd)
            os.close(copy)
    assert fds.pop("2").startswith("pipe:")
    assert fds == {"0": os.devnull, "1": os.devnull}


@pytest.mark.parametrize("ready", [False, True])
def test_settings_larger_than_the_socket_arrive(nursery, ready):
    if ready:
        nursery.spawn("w0")
        nursery.next_event(Spawned)
    nursery.helper.spawn("big", {"socket": nursery.path, "blob": "x" * (2 << 20)})
    assert nursery.next_event(Spawned).name == "big"


def test_no_python_to_start_with_is_an_os_error(monkeypatch):
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(OSError, match=r"sys\.executable is empty"):
        Helper.start()


def test_starting_and_closing_leaves_no_descriptor(tmp_path):
    before = open_fds()
    for index in range(3):
        (tmp_path / str(index)).mkdir()
        nursery = Nursery(tmp_path / str(index))
        nursery.spawn("w0").go()
        nursery.next_event(Died)
        nursery.close()
    assert open_fds() == before


def test_a_fork_of_the_client_cannot_close_the_helper(nursery):
    worker = nursery.spawn("w0")
    assert nursery.next_event() == Spawned("w0", worker.facts["pid"])
    worker.go()
    assert select.select([nursery.helper], [], [], SECONDS)[0]  # there is news, and it is ours
    fork = os.fork()
    if fork == 0:
        nursery.helper.spawn("evil", {})
        quiet = nursery.helper.read_events() == []
        nursery.helper.close()
        os._exit(0 if quiet else 1)
    assert os.waitpid(fork, 0)[1] == 0
    assert nursery.next_event() == Died("w0", worker.facts["pid"], "exit 0", 0)
    second = nursery.spawn("w1")
    assert nursery.next_event() == Spawned("w1", second.facts["pid"])
