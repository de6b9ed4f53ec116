"""The embedded scheduler is safe in a stranger's process: signals, forks, finalizers, exits."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from fastsched import Client, ClosedError, LocalCluster, WorkerLost, get_client, wait
from fastsched.spawn.supervisor import Helper
from tests.cluster.census import Census, descendants, left_since
from tests.cluster.conftest import remaining
from tests.cluster.functions import fib, inc

ROOT = Path(__file__).parents[2]


class Alarm(Exception):
    """What the timer raises."""


def test_a_raising_timer_signal_during_100_000_submits_breaks_nothing() -> None:
    """An exception may come out of any instruction of `submit`; what was returned is good, the rest never happened."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.alarms"], capture_output=True, text=True, timeout=55, cwd=ROOT
    )
    assert (done.stderr, done.returncode) == ("", 0)
    rings, futures, left = map(int, done.stdout.split())
    assert rings > 1000, "the timer hardly ever hit"
    assert rings + futures == 100_000
    assert left == 0


def test_a_signal_during_a_wait_comes_out_of_it_and_the_future_lives() -> None:
    def ring(signum: int, frame: object) -> None:
        raise Alarm

    with Client(n_workers=1, set_as_default=False) as client:
        future = client.submit(time.sleep, 0.5)
        before = signal.signal(signal.SIGUSR1, ring)
        timer = threading.Timer(0.1, signal.pthread_kill, (threading.get_ident(), signal.SIGUSR1))
        timer.start()
        try:
            with pytest.raises(Alarm):
                future.result()
        finally:
            timer.join()
            signal.signal(signal.SIGUSR1, before)
        assert future.result() is None
        assert client.submit(inc, 1).result() == 2


def test_futures_may_be_finalized_in_any_thread_at_any_moment() -> None:
    """Cycles that hold futures are collected wherever the collector happens to run, also inside the I/O thread."""
    with Client(n_workers=1, set_as_default=False) as client:
        threshold = gc.get_threshold()
        gc.set_threshold(5)
        try:
            for i in range(3000):
                cycle: list = [client.submit(inc, i)]
                cycle.append(cycle)
                del cycle
        finally:
            gc.set_threshold(*threshold)
        gc.collect()
        assert client.submit(inc, 1).result() == 2
        assert remaining(client) == {}


def test_submits_from_many_threads() -> None:
    with Client(n_workers=2, threads_per_worker=1, set_as_default=False) as client:
        results: dict[int, list[int]] = {}

        def run(n: int) -> None:
            results[n] = client.gather([client.submit(inc, 1000 * n + i) for i in range(200)])

        threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert results == {n: [1000 * n + i + 1 for i in range(200)] for n in range(8)}


def test_a_forked_child_cannot_use_the_client_and_harms_nothing() -> None:
    with Client(n_workers=1, set_as_default=False) as client:
        future = client.submit(inc, 1)
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            answer = b"no error"
            try:
                client.submit(inc, 2)
            except ClosedError as error:
                answer = str(error).encode()
            del future
            gc.collect()
            client.close()
            os.write(write, answer)
            os._exit(0)
        os.close(write)
        assert os.waitpid(pid, 0)[1] == 0
        assert b"parent process" in os.read(read, 1000)
        os.close(read)
        assert future.result() == 2
        assert client.submit(inc, 5).result() == 6


def forks(x: int) -> int:
    """A task that forks, whose child runs Python code, drops futures and ends."""
    client = get_client()
    future = client.submit(inc, x)
    pid = os.fork()
    if pid == 0:
        del future
        gc.collect()
        os._exit(0)
    os.waitpid(pid, 0)
    return future.result()


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_task_may_fork() -> None:
    with Client(n_workers=1, threads_per_worker=1, set_as_default=False) as client:
        assert client.submit(forks, 1).result() == 2
        assert client.submit(fib, 10).result() == 55


def run_script(code: str, *args: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *args, textwrap.dedent(code)] if args else [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, timeout=50, cwd=options.pop("cwd", ROOT), **options,
    )  # fmt: skip


def test_python_c_with_functions_of_main_without_a_guard() -> None:
    done = run_script("""
        from fastsched import Client, worker_client
        FACTOR = 3
        class Point:
            def __init__(self, x):
                self.x = x
        def child(p):
            return Point(p.x * FACTOR)
        def parent(x):
            with worker_client() as c:
                return c.submit(child, Point(x)).result()
        client = Client(n_workers=1)
        result = client.submit(parent, 5).result()
        print(type(result) is Point, result.x, client.submit(lambda: FACTOR + 1).result())
    """)
    assert (done.stdout, done.stderr, done.returncode) == ("True 15 4\n", "", 0)


def test_a_script_without_a_guard_and_without_close(tmp_path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from fastsched import Client\nclient = Client(n_workers=2)\nprint(client.submit(lambda: 5).result())\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=50, cwd=ROOT)
    assert (done.stdout, done.stderr, done.returncode) == ("5\n", "", 0)


def test_the_repl() -> None:
    code = "from fastsched import Client\nc = Client(n_workers=1)\n"
    code += "def f(x):\n    return x + 1\n\nprint(c.submit(f, 1).result())\n"
    done = subprocess.run(
        [sys.executable, "-i", "-q"], input=code, capture_output=True, text=True, timeout=50, cwd=ROOT
    )
    assert done.stdout == "2\n"
    assert "Traceback" not in done.stderr


def test_modules_beside_the_script_and_the_working_directory_reach_the_workers(tmp_path) -> None:
    (tmp_path / "beside.py").write_text("import os\ndef where():\n    return os.getcwd(), os.environ['COLOUR']\n")
    code = "import beside\nfrom fastsched import Client\n"
    code += "with Client(n_workers=1) as c:\n    print(c.submit(beside.where).result())\n"
    (tmp_path / "script.py").write_text(code)
    env = {**os.environ, "COLOUR": "blue", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "script.py"], capture_output=True, text=True, timeout=50, cwd=tmp_path, env=env
    )
    assert (done.stdout, done.stderr) == (f"('{tmp_path}', 'blue')\n", "")


def test_what_workers_print_reaches_the_user() -> None:
    done = run_script("""
        import sys
        from fastsched import Client
        with Client(n_workers=1) as c:
            c.submit(lambda: (print("to stdout"), print("to stderr", file=sys.stderr))).result()
    """)
    assert (done.stdout, done.stderr) == ("to stdout\n", "to stderr\n")


def gone(pids: set[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.02)
    return False


SLEEPER = """
import time
from fastsched import Client
client = Client(n_workers=2)
client.wait_for_workers(2)
print("ready", flush=True)
client.submit(time.sleep, 60).result()
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left_when_the_program_is_ended_by_a_signal(signum: int) -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert program.stdout.readline() == "ready\n"
        family = descendants(program.pid)
        assert len(family) >= 3, family
        program.send_signal(signum)
        _, stderr = program.communicate(timeout=10)
        assert gone(family, 2.5), "workers outlived the program"
    finally:
        program.kill()
    if signum == signal.SIGINT:
        assert stderr.strip().endswith("KeyboardInterrupt")
        assert stderr.count("Traceback") == 1, stderr
    else:
        assert stderr == ""


def test_closing_leaves_no_process_thread_descriptor_or_directory() -> None:
    with Client(n_workers=1, set_as_default=False) as client:  # what is made once per process
        client.submit(inc, 1).result()
    before = Census.take()
    for _ in range(3):
        with Client(n_workers=2, threads_per_worker=1, set_as_default=False) as client:
            assert client.gather(client.map(inc, range(10)))[-1] == 10
            directory = Path(client.cluster.scheduler_address.removeprefix("unix://")).parent
            assert directory.stat().st_mode & 0o777 == 0o700
        assert not directory.exists()
    assert not left_since(before, 0.0)


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_a_close_that_fails_halfway_leaves_nothing_either(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Helper.close

    def break_off(self: Helper, timeout: float = 2.0) -> None:
        close(self, timeout)
        raise error

    before, threads = descendants(os.getpid()), threading.active_count()
    cluster = LocalCluster(n_workers=1)
    directory = Path(cluster.scheduler_address.removeprefix("unix://")).parent
    monkeypatch.setattr(Helper, "close", break_off)
    with pytest.raises(error):
        cluster.close()
    assert not directory.exists()
    assert (descendants(os.getpid()), threading.active_count()) == (before, threads)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_is_replaced_and_its_work_runs_again() -> None:
    with Client(n_workers=2, threads_per_worker=1, set_as_default=False) as client:
        client.wait_for_workers(2)
        futures = [client.submit(slow, i) for i in range(20)]
        victim = next(iter(client.scheduler_info()["workers"].values()))["pid"]
        os.kill(victim, signal.SIGKILL)
        assert client.gather(futures) == list(range(20))
        client.wait_for_workers(2, timeout=20)


def slow(x: int) -> int:
    time.sleep(0.05)
    return x


def test_a_task_that_kills_its_workers_is_given_up_with_its_name_and_the_signal() -> None:
    with Client(n_workers=1, threads_per_worker=1, set_as_default=False) as client:
        killer = client.submit(die)
        with pytest.raises(WorkerLost, match="SIGKILL") as caught:
            killer.result(timeout=50)
        assert killer.key in str(caught.value)
        assert client.submit(inc, 1).result() == 2


def test_ctrl_c_in_the_terminal_reaches_the_program_alone() -> None:
    with Client(n_workers=1, set_as_default=False) as client:
        worker = next(iter(client.run(os.getpgrp).values()))
        assert worker != os.getpgrp()


def test_when_the_cluster_is_closed_what_waits_ends() -> None:
    cluster = LocalCluster(n_workers=1)
    client = Client(cluster, set_as_default=False)
    future = client.submit(time.sleep, 30)
    cluster.close()
    cluster.close()
    wait([future])
    assert future.status in ("error", "cancelled")
    with pytest.raises(Exception, match="closed"):
        future.result()
    client.close()
    with pytest.raises(ClosedError):
        Client(cluster)
