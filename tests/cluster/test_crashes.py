"""Tasks that kill their worker, in all ways that processes know: who is told what, and that all others go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastsched import Client, Config, LocalCluster, NoWorkers, SerializationError, WorkerLost, wait
from fastsched.resources import can_measure, used_bytes
from tests.cluster import crashes
from tests.cluster.crashes import EndsWhenPickled, EndsWhenUnpickled
from tests.cluster.functions import blob, inc, pid, slow_pid
from tests.servers.spawned import wait_for_end

STRICT = Config(allowed_failures=0)
ROOT = Path(__file__).parents[2]
SECONDS = 60  # after which a test gives up waiting
DEATHS = int(os.environ.get("FASTSCHED_TEST_DEATHS", "200"))

linux = pytest.mark.skipif(not can_measure(), reason="memory limits are enforced where there is a /proc")


@pytest.fixture(scope="module")
def strict():
    """Two workers; no failure is allowed."""
    with LocalCluster(n_workers=2, threads_per_worker=1, memory_limit=0, config=STRICT) as cluster:
        yield cluster


@pytest.fixture
def client(strict):
    """It finds two workers, and leaves as many."""
    with Client(strict, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=SECONDS)
        yield client
        client.wait_for_workers(2, timeout=SECONDS)
        assert client.gather(client.map(inc, range(20), pure=False)) == list(range(1, 21))
    strict.check()


def failure(client: Client, function, *args) -> str:
    """The text of the WorkerLost that it ends with, which names its key."""
    future = client.submit(function, *args, pure=False)
    with pytest.raises(WorkerLost) as caught:
        future.result(timeout=SECONDS)
    text = str(caught.value)
    assert text.startswith(f"{future.key} was executing when a worker died, on worker-")
    return text


@pytest.mark.parametrize("how", ["SIGKILL", "SIGSEGV", "SIGABRT", "SIGTERM", "SIGBUS", "exit 0", "exit 3"])
def test_the_error_says_how_the_worker_ended(client, how: str) -> None:
    assert f"({how}); no failure is allowed" in failure(client, crashes.end, how)


def test_a_crash_in_c_comes_with_the_place_in_python(capfd) -> None:
    with Client(n_workers=1, config=STRICT, set_as_default=False) as client:
        text = failure(client, crashes.end, "SIGSEGV")
    assert "Fatal Python error: Segmentation fault" in text
    assert "crashes.py" in text
    assert "in end" in text
    assert "Fatal Python error: Segmentation fault" in capfd.readouterr().err  # and the terminal has it, too


def test_recursion_that_exhausts_the_c_stack_is_a_death_like_others(client) -> None:
    assert "(SIGSEGV)" in failure(client, crashes.recurse_in_c)


def test_sys_exit_is_an_exception_of_the_task(client) -> None:
    """Follows concurrent.futures; in dask it ends the worker."""
    with pytest.raises(SystemExit) as caught:
        client.submit(crashes.end, "system exit", pure=False).result(timeout=SECONDS)
    assert caught.value.code == 3


@pytest.mark.parametrize("then", [0.0, 0.5])
def test_a_task_that_closes_all_descriptors_is_blamed_for_its_worker(client, then: float) -> None:
    """It may have finished; but that could not be reported, and it is not to kill one worker after the other."""
    before = client.run(pid)
    failure(client, crashes.close_all, then)
    client.wait_for_workers(2, timeout=SECONDS)
    assert len(before.items() & client.run(pid).items()) == 1


def test_a_task_whose_child_outlives_its_worker_delays_nothing(client) -> None:
    assert "(exit 5)" in failure(client, crashes.fork_and_die)


def test_a_task_that_forks_gets_its_result_once(client) -> None:
    child = client.submit(crashes.fork_a_sleeper, pure=False).result(timeout=SECONDS)
    os.kill(child, signal.SIGKILL)


def test_a_task_that_changes_the_directory_harms_nobody(client) -> None:
    assert client.submit(crashes.change_directory, pure=False).result(timeout=SECONDS) == "/"


def test_a_flood_of_output_reaches_the_terminal_and_harms_nobody(capfd) -> None:
    with Client(n_workers=1, config=STRICT, set_as_default=False) as client:
        assert client.submit(crashes.flood, 20_000, 1, 2).result(timeout=SECONDS) == 20_000
        assert len(failure(client, crashes.end, "SIGKILL")) < 10_000
        client.gather(client.map(inc, range(100)))
    said = capfd.readouterr()
    assert said.out.count("f" * 99) == 20_000
    assert said.err.count("f" * 99) == 20_000


def test_output_that_nobody_reads_stops_who_writes_it_and_nobody_else() -> None:
    """The program's standard error is a pipe, and full."""
    program = (
        "from fastsched import Client, Config\n"
        "from tests.cluster import crashes\n"
        "with Client(n_workers=2, threads_per_worker=1, config=Config(allowed_failures=0)) as client:\n"
        "    stuck = client.submit(crashes.flood, 1_000_000, 2)\n"
        "    print('(SIGKILL)' in str(client.submit(crashes.end, 'SIGKILL').exception()))\n"
        "    print(sum(client.gather(client.map(abs, range(-100, 0)))))\n"
    )
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"True\n"
            assert process.stdout.readline() == b"5050\n"
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()


# -- at each step of a task (the crash matrix of loky) ----------------------------------------------------------------


@pytest.mark.parametrize("how", ["exit 3", "SIGSEGV"])
@pytest.mark.parametrize("step", ["unpickling an argument", "running", "pickling the result"])
def test_a_death_at_any_step_in_the_worker_is_told_with_the_key(client, step: str, how: str) -> None:
    function, args = {
        "unpickling an argument": (crashes.give_back, (EndsWhenUnpickled(how),)),
        "running": (crashes.end, (how,)),
        "pickling the result": (crashes.make, (EndsWhenPickled, how)),
    }[step]
    assert f"({how})" in failure(client, function, *args)


def test_an_error_in_pickling_an_argument_is_raised_at_the_call(client) -> None:
    with pytest.raises(SerializationError, match="told to"):
        client.submit(crashes.give_back, EndsWhenPickled("error"), pure=False)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        ("unpickling an argument", SerializationError),
        ("running", ValueError),
        ("pickling the result", SerializationError),
        ("unpickling the result", SerializationError),
    ],
)
def test_an_error_at_any_other_step_ends_the_future_and_no_worker(client, step: str, kind: type) -> None:
    before = client.run(pid)
    function, args = {
        "unpickling an argument": (crashes.give_back, (EndsWhenUnpickled("error"),)),
        "running": (crashes.end, ("error",)),
        "pickling the result": (crashes.make, (EndsWhenPickled, "error")),
        "unpickling the result": (crashes.make, (EndsWhenUnpickled, "error")),
    }[step]
    with pytest.raises(kind, match="told to"):
        client.submit(function, *args, pure=False).result(timeout=SECONDS)
    assert client.run(pid) == before


@pytest.mark.parametrize("step", ["pickling an argument", "unpickling the result"])
@pytest.mark.parametrize(("how", "code"), [("exit 3", 3), ("SIGSEGV", -signal.SIGSEGV)])
def test_a_program_that_ends_itself_leaves_no_worker_behind(step: str, how: str, code: int) -> None:
    call = {
        "pickling an argument": f"client.submit(crashes.give_back, crashes.EndsWhenPickled({how!r}))",
        "unpickling the result": f"client.submit(crashes.make, crashes.EndsWhenUnpickled, {how!r}).result()",
    }[step]
    program = (
        "from fastsched import Client\n"
        "from tests.cluster import crashes\n"
        "from tests.cluster.functions import pid\n"
        "client = Client(n_workers=2)\n"
        "print(*client.run(pid).values(), flush=True)\n"
        f"{call}\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == code, done.stderr
    pids = [int(word) for word in done.stdout.split()]
    assert len(pids) == 2
    assert all(wait_for_end(number, 3.0) for number in pids)


# -- many deaths ------------------------------------------------------------------------------------------------------


def test_many_deaths_in_a_row_are_told_one_by_one_and_innocent_tasks_are_not_blamed(client) -> None:
    """distributed #3196 hangs after 426 of them. ``FASTSCHED_TEST_DEATHS=2000`` is the full number."""
    deadly = [client.submit(crashes.end, "SIGKILL", key=f"deadly-{number}") for number in range(DEATHS)]
    innocent = client.map(inc, range(DEATHS), pure=False)
    for number, future in enumerate(deadly):
        error = future.exception(timeout=SECONDS)
        assert type(error) is WorkerLost
        assert f"deadly-{number} was executing when a worker died" in str(error)
        assert "(SIGKILL)" in str(error)
    assert client.gather(innocent) == list(range(1, DEATHS + 1))


# -- memory -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small():
    """A worker that may use 300 MB, and one task after another kills it."""
    with LocalCluster(n_workers=1, threads_per_worker=2, memory_limit="300MB", config=STRICT) as cluster:
        yield cluster


@linux
@pytest.mark.parametrize("function", [crashes.use_memory, crashes.use_memory_in_c])
def test_a_task_that_uses_too_much_memory_is_told_so(small, function) -> None:
    with Client(small, set_as_default=False) as client:
        text = failure(client, function, 500_000_000)
        assert "(out of memory: used " in text
        assert " MB of 300 MB)" in text
        assert client.submit(inc, 1, pure=False).result(timeout=SECONDS) == 2


@linux
def test_a_task_below_the_limit_is_left_alone(small) -> None:
    with Client(small, set_as_default=False) as client:
        before = client.run(pid)
        assert client.submit(crashes.use_memory, 50_000_000, 0.5, pure=False).result(timeout=SECONDS) == 50_000_000
        assert client.run(pid) == before


@linux
def test_a_worker_under_memory_pressure_gets_no_new_tasks_until_it_is_over() -> None:
    with Client(n_workers=2, threads_per_worker=2, memory_limit="300MB", set_as_default=False) as client:
        client.wait_for_workers(2, timeout=SECONDS)
        pids = set(client.run(pid).values())
        pressed = client.submit(crashes.use_memory_and_tell, 230_000_000, 2.0)
        time.sleep(0.6)  # it is seen within a tenth of a second; and takes a moment to allocate so much
        ran = set(client.gather(client.map(slow_pid, [0.02] * 20, pure=False)))
        (tight,) = {pressed.result(timeout=SECONDS)}
        assert ran == pids - {tight}
        time.sleep(0.3)
        assert set(client.gather(client.map(slow_pid, [0.05] * 20, pure=False))) == pids


@linux
def test_results_that_fill_a_worker_do_not_keep_it_from_working() -> None:
    """A pause until somebody lets go of them could last for ever."""
    with Client(n_workers=1, threads_per_worker=1, memory_limit="600MB", set_as_default=False) as client:
        kept = [client.submit(blob, 65_000_000, number) for number in range(7)]
        wait(kept, timeout=SECONDS)
        assert used_bytes(client.submit(pid).result()) > 480_000_000
        assert client.gather(client.map(slow_pid, [0.05] * 20, pure=False)) == [client.submit(pid).result()] * 20


@linux
def test_results_that_are_more_than_a_worker_can_hold_end_in_a_clear_error() -> None:
    """Whoever wants them all would have them computed again and again."""
    config = Config(idle_failures=2, allowed_failures=1, restart_seconds=0.01)
    with Client(n_workers=1, threads_per_worker=1, memory_limit="300MB", config=config) as client:
        kept = [client.submit(blob, 100_000_000, number) for number in range(5)]
        with pytest.raises((NoWorkers, WorkerLost), match=r"out of memory: used .* of 300 MB"):
            client.gather(kept)
