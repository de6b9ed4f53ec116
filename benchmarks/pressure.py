"""What does a greedy client cost the others? Memory, and the round trips of a second client, while it is at it.

    python benchmarks/pressure.py                   # all cases, a minute or two each at most
    python benchmarks/pressure.py --cases flood,stopped --tasks 1000000

A scheduler, two workers with eight threads each, and two clients, all in processes of their own. One client is greedy,
in one of the ways of `CASES`; the other takes the time of single round trips with short pauses (tasks of a higher
priority, so that they need not queue behind the greedy one's). Meanwhile the resident memory of the greedy client, the
scheduler and the larger worker is looked at. Then the same again beside a harmless client, which has a few tasks of the
same kind under way all the time, and beside loops that take as much of the cores as the greedy client had made
everybody take: that is what the round trips are compared with.
"""

from __future__ import annotations

import argparse
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks import kernel
from benchmarks.comparing.figures import quantile
from benchmarks.comparing.tables import aligned, duration
from benchmarks.workloads import processes
from benchmarks.workloads.tasks import inc
from fastsched import Client, as_completed
from fastsched.resources import shown, used_bytes

__all__ = ["CASES", "Figures", "main", "under"]

WORKERS, THREADS = 2, 8
PAUSE_SECONDS = 0.002  # between round trips
LOOK_SECONDS = 0.1  # between two looks at memory
NAP_SECONDS = 0.005  # a task of a slow cluster
WINDOW = 64  # tasks that a harmless client has under way
AFTER_SECONDS = 3.0  # what follows when it is done
SLICE_SECONDS = 0.01  # a loop that takes half of a core does so for half of each of these
WARM = 200


class Figures(NamedTuple):
    """What was seen in one case."""

    seconds: float  # until it was done; 0 if it was not
    trips: Sequence[float]  # the second client's round trips
    client: int  # the most bytes of resident memory, of the greedy client,
    scheduler: int
    worker: int  # and of the larger of the workers
    cores: float  # that all of them took


# -- what the greedy client does ---------------------------------------------------------------------------------------


def nap(_: int) -> None:
    time.sleep(NAP_SECONDS)


def taking(_: int, data: bytes) -> int:
    time.sleep(NAP_SECONDS)
    return len(data)


def zeros(size: int) -> bytes:
    return bytes(size)


def flood(client: Client, n: int) -> object:
    """Submits many tasks, one after the other, to workers that are slow."""
    return [client.submit(nap, number, pure=False) for number in range(n)]


def many(client: Client, n: int) -> object:
    """Submits them by one call."""
    return client.map(nap, range(n), pure=False)


def leaving(client: Client, n: int) -> object:
    """Submits them, and is gone."""
    futures = client.map(nap, range(n), pure=False)
    client.submit(inc, 1, priority=1, pure=False).result()
    del futures
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def dropping(client: Client, n: int) -> object:
    """Submits them, and drops the futures."""
    futures = client.map(nap, range(n), pure=False)
    client.submit(inc, 1, priority=1, pure=False).result()
    del futures
    return client.submit(inc, 1, priority=1, pure=False).result()


def stopped(client: Client, n: int) -> object:
    """Submits short tasks with small results, and reads nothing any more."""
    futures = client.map(zeros, [1000] * n, pure=False)
    client.submit(inc, 1, priority=1, pure=False).result()
    os.kill(os.getpid(), signal.SIGSTOP)
    return futures


def ungathered(client: Client, n: int) -> object:
    """Keeps the futures of tasks that are done, and never asks for their results."""
    futures = client.map(zeros, [1000] * n, pure=False)
    futures[-1].exception()
    return futures


def lambdas(client: Client, n: int) -> object:
    """Every task is a function that nobody has seen before."""
    waiting = as_completed()
    for number in range(n):
        waiting.add(client.submit(lambda x, y=number: x + y, 1))
        if waiting.count() >= 100:
            next(waiting)
    return None


def heavy_lambdas(client: Client, n: int) -> object:
    """The same, and each bears 100 kB."""
    waiting = as_completed()
    for number in range(n // 20):
        data = os.urandom(100_000)
        waiting.add(client.submit(lambda x, y=data: x + len(y), number))
        if waiting.count() >= 100:
            next(waiting)
    return None


def arguments(client: Client, n: int) -> object:
    """Tasks that are slower than the arguments that come with them: 1 MB each."""
    return [client.submit(taking, number, os.urandom(1_000_000), pure=False) for number in range(n // 1000)]


def large_result(client: Client, n: int) -> object:
    """Results of 1 GB (for a million tasks), one after the other."""
    for _ in range(3):
        assert len(client.submit(zeros, 1000 * n, pure=False).result()) == 1000 * n
    return None


def large_argument(client: Client, n: int) -> object:
    """An argument of 1 GB."""
    data = bytes(1000 * n)
    assert client.submit(len, data, pure=False).result() == 1000 * n
    return None


CASES: dict[str, Callable[[Client, int], object]] = {
    case.__name__.replace("_", "-"): case
    for case in (
        flood, many, leaving, dropping, stopped, ungathered, lambdas, heavy_lambdas, arguments, large_result,
        large_argument,
    )
}  # fmt: skip


BUSY = {"stopped", "ungathered", "lambdas", "heavy-lambdas"}  # the workers have as much to do as they can
EMPTY = {"large-result", "large-argument"}  # they have next to nothing to do


def slow(client: Client) -> None:
    """Harmless: has a few tasks under way, that only take time."""
    _keep_at(client, nap, 0)


def short(client: Client) -> None:
    """Harmless: has a few tasks under way, that take no time."""
    _keep_at(client, zeros, 1000)


def none(client: Client) -> None:
    """Harmless: does nothing."""
    sys.stdin.read()


def _keep_at(client: Client, function: Callable[[Any], object], argument: float) -> None:
    waiting = as_completed(client.map(function, [argument] * WINDOW, pure=False))
    for _ in waiting:
        waiting.add(client.submit(function, argument, pure=False))


HARMLESS = {kind.__name__: kind for kind in (slow, short, none)}


def spin(share: float) -> None:
    """Take this share of a core, for ever."""
    while True:
        end = time.perf_counter() + SLICE_SECONDS
        busy = time.thread_time() + share * SLICE_SECONDS
        while time.thread_time() < busy:
            pass
        time.sleep(max(0.0, end - time.perf_counter()))


def play(part: str, place: str, size: float) -> None:
    """What this script does in a process that it has started."""
    if part == "spin":
        spin(size)
    with Client(place, set_as_default=False) as client:
        print("begun", flush=True)
        if part in HARMLESS:
            HARMLESS[part](client)
        futures = CASES[part](client, int(size))
        print("done", flush=True)
        sys.stdin.read()
        del futures


# -- what is measured --------------------------------------------------------------------------------------------------


@contextmanager
def actor(part: str, place: str, size: float) -> Iterator[subprocess.Popen[str]]:
    """This script in another process, as one of those above."""
    command = [sys.executable, str(Path(__file__).resolve()), "--play", part, "--place", place, "--size", str(size)]
    process = subprocess.Popen(command, cwd=processes.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout):
            if end is not None:
                end.close()


class Cluster:
    """Scheduler and workers, and the second client."""

    def __init__(self, place: str, scheduler: int, client: Client) -> None:
        self.place = place
        self.scheduler = scheduler
        self.client = client
        self.workers = list(client.run(os.getpid).values())
        for _ in range(WARM):
            self.round_trip()

    def round_trip(self) -> float:
        start = time.perf_counter()
        self.client.submit(inc, 1, pure=False, priority=1).result()
        return time.perf_counter() - start

    def watch(self, greedy: int, seconds: float, over: Callable[[], bool], after: float = 0.0) -> Figures:
        """Round trips until a while after it is over, at most for so long; and whatever else there is to see."""
        everybody = [greedy, self.scheduler, *self.workers]
        trips: list[float] = []
        most = [0, 0, 0]
        start = due = time.perf_counter()
        end, before, took, lasted = start + seconds, _cpu(everybody), 0.0, 0.0
        while (now := time.perf_counter()) < end:
            if now >= due:
                held = [used_bytes(greedy), used_bytes(self.scheduler), max(map(used_bytes, self.workers))]
                most = list(map(max, most, held))
                took = max(took, _cpu(everybody) - before)
                if not lasted and over():
                    lasted = now - start
                    end = min(end, now + after)
                due = now + LOOK_SECONDS
            trips.append(self.round_trip())
            time.sleep(PAUSE_SECONDS)
        return Figures(lasted, trips, most[0], most[1], most[2], took / (now - start))


def _cpu(pids: Sequence[int]) -> float:
    """Seconds that these have spent on cores, as far as they live."""
    return sum(kernel.counts(pid).seconds for pid in pids if Path(f"/proc/{pid}").exists())


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A fresh one."""
    with (
        processes.scheduler() as (place, pid),
        processes.workers(place, WORKERS, THREADS),
        Client(place, set_as_default=False) as client,
    ):
        client.wait_for_workers(WORKERS, timeout=processes.START_SECONDS)
        yield Cluster(place, pid, client)


def under(case: str, tasks: int, seconds: float, after: float = AFTER_SECONDS) -> Figures:
    """One case, and what follows for a while when it is done."""
    with cluster() as here, actor(case, here.place, tasks) as greedy:
        _await(greedy.stdout, "begun")
        return here.watch(greedy.pid, seconds, lambda: _is_over(greedy), after)


def beside(kind: str, cores: float, seconds: float) -> Figures:
    """A harmless client of this kind, and loops that make up for what is missing to so many cores."""
    with cluster() as here, actor(kind, here.place, 0) as client:
        _await(client.stdout, "begun")
        missing = cores - here.watch(client.pid, seconds / 4, lambda: False).cores
        with ExitStack() as stack:
            for number in range(math.ceil(missing)):
                stack.enter_context(actor("spin", "", min(1.0, missing - number)))
            return here.watch(client.pid, seconds, lambda: False)


def _is_over(greedy: subprocess.Popen[str]) -> bool:
    """It says so, has stopped itself, or is gone."""
    if greedy.poll() is not None:
        return True
    if select.select([greedy.stdout], [], [], 0.0)[0]:
        return True
    return Path(f"/proc/{greedy.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _await(output: IO[str] | None, word: str) -> None:
    line = "" if output is None else output.readline()
    if line.strip() != word:
        raise ChildProcessError(f"the greedy client said {line!r} instead of {word!r}")


def row(case: str, seen: Figures, usual: Figures) -> tuple[str, ...]:
    """Of the table."""
    p50, p99, worst = (quantile(seen.trips, part) for part in (0.5, 0.99, 1.0))
    usual_p50, usual_p99, usual_worst = (quantile(usual.trips, part) for part in (0.5, 0.99, 1.0))
    return (
        case,
        f"{seen.seconds:.1f} s" if seen.seconds else "not done",
        *map(shown, (seen.client, seen.scheduler, seen.worker)),
        f"{seen.cores:.2f}",
        *map(duration, (p50, p99, worst, usual_p50, usual_p99, usual_worst)),
        f"{p99 / usual_p99:.2f}",
    )


HEAD = (
    "case", "took", "client", "scheduler", "worker", "cores",
    "p50", "p99", "worst", "harmless p50", "p99", "worst", "p99 ratio",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default=",".join(CASES), help="which, with commas between (default: %(default)s)")
    parser.add_argument("--tasks", type=int, default=1_000_000, metavar="N", help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=60.0, help="of a case at most (default: %(default)s)")
    parser.add_argument("--harmless", type=float, default=10.0, help="seconds beside harmless load (default: 10)")
    parser.add_argument("--play", choices=[*CASES, *HARMLESS, "spin"], help=argparse.SUPPRESS)
    parser.add_argument("--place", default="", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=float, default=0.0, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.play:
        play(chosen.play, chosen.place, chosen.size)
        return
    rows = [HEAD]
    for case in chosen.cases.split(","):
        kind = "short" if case in BUSY else "none" if case in EMPTY else "slow"
        seen = under(case, chosen.tasks, chosen.seconds)
        rows.append(row(case, seen, beside(kind, seen.cores, chosen.harmless)))
        print(*rows[-1], sep=" | ", flush=True)
    print("", *aligned(rows), sep="\n")


if __name__ == "__main__":
    main()
