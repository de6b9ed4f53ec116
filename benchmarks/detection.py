"""How soon is it noticed that a worker is dead, or silent? Measured from outside, on a cluster on this machine.

    python benchmarks/detection.py                  # both, with the bounds that the documentation promises
    python benchmarks/detection.py --rounds 50      # more deaths

A task that runs says so in a file; its worker is killed (SIGKILL) or stopped (SIGSTOP), and the time is taken until the
task says so again, from another worker. So the figures hold all: that it is noticed, decided, sent, and begun.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.comparing.tables import duration
from fastsched import Client, LocalCluster
from fastsched.config import Config

__all__ = ["dead", "main", "silent"]

DEAD_SECONDS = 0.1  # promised
LOOK_SECONDS = 0.0005  # between two looks into the file
GIVE_UP_SECONDS = 30.0


def say(path: str, seconds: float) -> None:
    """One more line in the file; then stay for a while."""
    with Path(path).open("a") as file:
        file.write(f"{os.getpid()}\n")
    time.sleep(seconds)


def nth(path: Path, n: int) -> int:
    """The process that said so the n-th time, as soon as there is one."""
    end = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < end:
        if path.exists() and len(lines := path.read_text().splitlines()) >= n:
            return int(lines[n - 1])
        time.sleep(LOOK_SECONDS)
    raise TimeoutError(f"the task did not begin {n} times")


@contextmanager
def cluster() -> Iterator[Client]:
    """Three workers, so that another one is idle also while a dead one is being replaced."""
    config = Config(allowed_failures=1000)
    with LocalCluster(n_workers=3, threads_per_worker=1, config=config) as local, Client(local) as client:
        client.wait_for_workers(3)
        yield client


def moved(client: Client, path: Path, signum: int) -> float:
    """Seconds from this signal to the worker until its task has begun elsewhere."""
    future = client.submit(say, str(path), 10.0, pure=False)
    pid = nth(path, 1)
    start = time.monotonic()
    os.kill(pid, signum)
    nth(path, 2)
    took = time.monotonic() - start
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    future.cancel()
    return took


def rounds(n: int, signum: int) -> list[float]:
    """So many of them, sorted, each on workers that do nothing else."""
    times = []
    for _ in range(n):
        with tempfile.TemporaryDirectory() as directory, cluster() as client:
            times.append(moved(client, Path(directory) / "began", signum))
    return sorted(times)


def dead(n: int) -> list[float]:
    """Workers that are killed."""
    return rounds(n, signal.SIGKILL)


def silent(n: int) -> list[float]:
    """Workers that are stopped."""
    return rounds(n, signal.SIGSTOP)


def line(what: str, times: list[float], bound: float) -> str:
    """Of the table."""
    median, worst = duration(times[len(times) // 2]), duration(times[-1])
    return f"{what:34} {len(times):6} {median:>10} {worst:>10} {duration(bound):>10}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="deaths (default: 20)")
    parser.add_argument("--silent", type=int, default=3, metavar="N", help="silences (default: 3)")
    options = parser.parse_args()
    print(f"{'until its task runs elsewhere':34} {'rounds':>6} {'median':>10} {'worst':>10} {'bound':>10}")
    if options.rounds:
        print(line("a worker is killed", dead(options.rounds), DEAD_SECONDS), flush=True)
    if options.silent:
        config = Config()
        print(line("a worker is stopped", silent(options.silent), config.silence_seconds + config.pulse_seconds))


if __name__ == "__main__":
    main()
