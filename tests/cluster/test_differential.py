"""Random nested programs mean the same wherever their tasks run: in place, in another thread, on another worker.

A seed that fails is run again, alone, and its program is printed, by

    FASTSCHED_SEEDS=SEED pytest -s tests/cluster/test_differential.py -k MODE
"""

from __future__ import annotations

import os
import pprint
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from fastsched import Client, Config, LocalCluster
from tests.cluster.conftest import remaining
from tests.cluster.nested_books import left
from tests.cluster.nested_oracle import expected
from tests.cluster.nested_performance import driven, outcomes, perform
from tests.cluster.nested_programs import Task, program

SEEDS = os.environ.get("FASTSCHED_SEEDS", "0-63")
AT_ONCE = 8
"""So many programs run at the same time: they meet each other in the slots."""

MODES = [(local, workers, threads) for local in (1, 0) for workers in (1, 3) for threads in (1, 4)]
SECONDS = 20.0


def chosen() -> list[int]:
    """The seeds to run."""
    first, _, last = SEEDS.partition("-")
    return list(range(int(first), int(last or first) + 1))


@pytest.fixture(
    scope="module", params=MODES, ids=[f"local{local}-{workers}x{threads}" for local, workers, threads in MODES]
)
def mode(request) -> Iterator[Client]:
    """A cluster of one kind."""
    local, workers, threads = request.param
    config = Config(local_tasks=local)
    with LocalCluster(workers, threads, config=config) as cluster, Client(cluster, set_as_default=False) as client:
        yield client


def launched(client: Any, seed: int, directory: Path) -> list[Any]:
    """The futures of a program."""
    directory.mkdir()
    return [client.submit(perform, task, str(directory), key=f"root-{task.name}") for task in program(seed)]


def marks(directory: Path) -> frozenset[str]:
    """What tasks have left that nobody holds."""
    return frozenset([path.name for path in directory.glob("mark-*")])


@cache
def in_plain_python(seed: int) -> tuple[list[Any], frozenset[str]]:
    """What comes of a program, and the marks of its forgotten tasks."""
    with TemporaryDirectory() as path:
        directory = Path(path, "plain")
        return expected(lambda plain: driven(outcomes(launched(plain, seed, directory), SECONDS))), marks(directory)


def wait_for_marks(directory: Path, names: frozenset[str]) -> None:
    """A forgotten task runs soon."""
    deadline = time.monotonic() + 10.0
    while not names <= marks(directory) and time.monotonic() < deadline:
        time.sleep(0.005)
    assert names <= marks(directory), "a forgotten task has not run"


def first_difference(found: Any, wanted: Any, where: str = "") -> str:
    """Where two outcomes part."""
    if isinstance(found, list | tuple) and type(found) is type(wanted) and len(found) == len(wanted):
        for place, pair in enumerate(zip(found, wanted, strict=True)):
            if pair[0] != pair[1]:
                return first_difference(*pair, f"{where}[{place}]")
    if isinstance(found, dict) and isinstance(wanted, dict) and found.keys() == wanted.keys():
        for name in found:
            if found[name] != wanted[name]:
                return first_difference(found[name], wanted[name], f"{where}[{name!r}]")
    return f"at {where}\nfound  {found!r:.2000}\nwanted {wanted!r:.2000}"


def explained(seed: int, tasks: tuple[Task, ...], difference: str = "") -> str:
    """What to do, and what it was."""
    shown = pprint.pformat(tasks, width=160)
    return f"FASTSCHED_SEEDS={seed} pytest -s {__file__}\n{shown}\nseed {seed}: {difference}"


def run(client: Client, seeds: list[int], path: Path) -> None:
    """Run these programs at the same time; each must come out as in plain Python."""
    futures = {seed: launched(client, seed, path / f"{seed}") for seed in seeds}
    for seed in seeds:
        wanted, left_behind = in_plain_python(seed)
        found = driven(outcomes(futures.pop(seed), SECONDS))
        if found != wanted:
            pytest.fail(explained(seed, program(seed), first_difference(found, wanted)), pytrace=False)
        wait_for_marks(path / f"{seed}", left_behind)


def test_every_mode_means_the_same(mode: Client, tmp_path: Path) -> None:
    seeds = chosen()
    if len(seeds) == 1:
        print(explained(seeds[0], program(seeds[0])))
    for start in range(0, len(seeds), AT_ONCE):
        part = seeds[start : start + AT_ONCE]
        path = tmp_path / f"{start}"
        path.mkdir()
        run(mode, part, path)
        assert remaining(mode) == {}, f"tasks are left in the scheduler after seeds {part}"
        assert left(mode) == {}, f"something is left in the workers after seeds {part}"
    mode.cluster.check()


# -- lost workers -----------------------------------------------------------------------------------------------------


def everyone(tasks: Iterable[Any]) -> Iterator[Task]:
    """These tasks and all that they launch."""
    for task in tasks:
        if isinstance(task, Task):
            yield task
            for step in task.steps:
                yield from everyone([launch.task for launch in step.launches])


def bears_loss(tasks: tuple[Task, ...]) -> bool:
    """Whether it means the same if some of its tasks run once more: none counts its attempts, or puts data there."""
    return not any(task.fails_first or any(step.what == "scatter" for step in task.steps) for task in everyone(tasks))


def kill_one(pids: list[int], seconds: float) -> None:
    """A worker dies in the middle of things."""
    time.sleep(seconds)
    os.kill(pids[0], signal.SIGKILL)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_lost_worker_changes_nothing(threads: int, tmp_path: Path) -> None:
    seeds = [seed for seed in range(200) if bears_loss(program(seed))][:24]
    chance = Random(7)
    with LocalCluster(3, threads) as cluster, Client(cluster, set_as_default=False) as client:
        for start in range(0, len(seeds), AT_ONCE):
            pids = sorted(client.run(os.getpid).values(), key=lambda pid: chance.random())
            killer = threading.Thread(target=kill_one, args=(pids, 0.2 * chance.random()))
            path = tmp_path / f"{start}"
            path.mkdir()
            killer.start()
            run(client, seeds[start : start + AT_ONCE], path)
            killer.join()
            while pids[0] in client.run(os.getpid, on_error="return").values() or len(client.nthreads()) < 3:
                time.sleep(0.005)
            assert remaining(client) == {}, f"tasks are left in the scheduler after {seeds[start:][:AT_ONCE]}"
            assert left(client) == {}, f"something is left in the workers after {seeds[start:][:AT_ONCE]}"
        cluster.check()
