"""Does anything grow? A cluster at work for long, with a bit of everything, and what it holds meanwhile.

    python benchmarks/soak.py                       # ten minutes, a line every half minute, the slopes at the end
    python benchmarks/soak.py --minutes 120

One program with an embedded cluster runs one kind of work after the other, in an order that a seed decides: flat maps,
trees, lambdas made anew, errors, futures that are dropped or cancelled, large values, clients that come and go. Between
them it takes the time of single round trips. What is printed: resident memory of the program and of its workers, open
descriptors, threads, and the round trip's median and 99th percentile in each part of the time. The first third is
warming up: the slopes are those of the rest. It ends with 1 if memory grows by more than `MOST_GROWTH`, or if
there are more and more descriptors or threads.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import linear_regression, median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.comparing.figures import quantile
from benchmarks.comparing.tables import aligned, duration
from benchmarks.workloads.tasks import inc
from fastsched import Client, LocalCluster, as_completed, fire_and_forget, worker_client
from fastsched.resources import shown, used_bytes

__all__ = ["KINDS", "Sample", "growth", "main", "soak"]

MOST_GROWTH = 1_000_000  # bytes a minute, of all processes together
SPARE = 2  # threads come and go with waits
ROUND_TRIPS = 20  # single ones, after each piece of work


class Sample(NamedTuple):
    """What was there after so many seconds."""

    seconds: float
    program: int  # bytes of resident memory
    workers: int
    descriptors: int  # of all processes
    threads: int
    p50: float  # of the round trips since the last one
    p99: float
    rounds: int  # pieces of work since the last one


def tree(depth: int, name: float) -> int:
    """A task that launches two, and so on."""
    if depth == 0:
        return 1
    with worker_client() as client:
        return sum(client.gather(client.map(tree, [depth - 1] * 2, [2 * name, 2 * name + 1])))


def fail(number: int) -> None:
    raise ValueError(number)


def flat(client: Client, rng: random.Random) -> None:
    """A map of tasks that are all new."""
    assert sum(client.gather(client.map(inc, range(500), pure=False))) == 125_250


def trees(client: Client, rng: random.Random) -> None:
    """A tree of 255 tasks."""
    assert client.submit(tree, 7, rng.random()).result() == 128


def lambdas(client: Client, rng: random.Random) -> None:
    """Functions that nobody has seen before."""
    salt = rng.random()
    futures = [client.submit(lambda x, y=number: x + y + salt, 1) for number in range(50)]
    assert len(set(client.gather(futures))) == 50


def errors(client: Client, rng: random.Random) -> None:
    """Half of the tasks raise."""
    futures = [client.submit(fail if number % 2 else inc, number, pure=False) for number in range(50)]
    assert sum([future.exception() is not None for future in futures]) == 25


def dropped(client: Client, rng: random.Random) -> None:
    """Futures that nobody waits for, some of them cancelled."""
    futures = client.map(inc, range(200), pure=False)
    client.cancel(futures[::7])
    fire_and_forget(futures[1::50])


def large(client: Client, rng: random.Random) -> None:
    """A large argument, and a large result of it."""
    array = rng.randbytes(2_000_000)
    scattered = client.scatter(array)
    assert client.submit(bytes.upper, scattered).result() == array.upper()


def visitors(client: Client, rng: random.Random) -> None:
    """Another client that comes and goes."""
    with Client(client.cluster, set_as_default=False) as other:
        other.gather(other.map(inc, range(20), pure=False))


def stream(client: Client, rng: random.Random) -> None:
    """Results as they come, more work as they do."""
    arrived = 0
    futures = as_completed(client.map(inc, range(50), pure=False), with_results=True)
    for _, number in futures:
        arrived += 1
        if number == 1:
            futures.add(client.submit(inc, 100, pure=False))
    assert arrived == 51


KINDS: tuple[Callable[[Client, random.Random], None], ...] = (
    flat, trees, lambdas, errors, dropped, large, visitors, stream
)  # fmt: skip


def soak(seconds: float, every: float, seed: int = 0) -> Iterator[Sample]:
    """Work for so long; what is there, so often."""
    rng = random.Random(seed)
    with LocalCluster(n_workers=2, threads_per_worker=2) as cluster, Client(cluster) as client:
        client.wait_for_workers(2)
        pids = list(client.run(os.getpid).values())
        start = time.monotonic()
        due = start + every
        rounds, times = 0, []
        while due <= start + seconds:
            rng.choice(KINDS)(client, rng)
            rounds += 1
            times += [round_trip(client) for _ in range(ROUND_TRIPS)]
            if time.monotonic() >= due:
                yield sample(time.monotonic() - start, pids, times, rounds)
                rounds, times = 0, []
                due += every


def round_trip(client: Client) -> float:
    start = time.perf_counter()
    client.submit(inc, 1, pure=False).result()
    return time.perf_counter() - start


def sample(seconds: float, workers: Sequence[int], times: Sequence[float], rounds: int) -> Sample:
    gc.collect()  # what is garbage here is nobody's leak
    everybody = [os.getpid(), *workers]
    descriptors = sum([len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in everybody])
    threads = sum([len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in everybody])
    memory = sum([used_bytes(pid) for pid in workers])
    return Sample(
        seconds,
        used_bytes(os.getpid()),
        memory,
        descriptors,
        threads,
        quantile(times, 0.5),
        quantile(times, 0.99),
        rounds,
    )


def growth(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    """The slope of a straight line through the last two thirds of the samples, a minute."""
    rest = samples[len(samples) // 3 :]
    if len(rest) < 2:
        return 0.0
    return linear_regression([one.seconds / 60 for one in rest], [of(one) for one in rest]).slope


def table(samples: Sequence[Sample]) -> list[str]:
    head = ("minute", "program", "workers", "descriptors", "threads", "round trip", "p99", "pieces of work")
    rows: list[tuple[str, ...]] = [head]
    for one in samples:
        memory = shown(one.program), shown(one.workers)
        counts = str(one.descriptors), str(one.threads)
        rows.append(
            (f"{one.seconds / 60:.1f}", *memory, *counts, duration(one.p50), duration(one.p99), str(one.rounds))
        )
    return aligned(rows)


def verdict(samples: Sequence[Sample]) -> tuple[list[str], bool]:
    """Lines, and whether all is well."""
    program, workers = growth(samples, lambda one: one.program), growth(samples, lambda one: one.workers)
    rest = samples[len(samples) // 3 :]
    half = len(rest) // 2
    early, late = (median([one.p99 for one in part]) for part in (rest[:half] or rest, rest[half:]))
    usual = {name: median([getattr(one, name) for one in rest[half:]]) for name in ("descriptors", "threads")}
    before = {name: median([getattr(one, name) for one in rest[:half] or rest]) for name in usual}
    lines = [
        f"memory: {program / 1e3:+.0f} kB a minute in the program, {workers / 1e3:+.0f} kB in the workers",
        *[f"{name}: {usual[name]:g} in the last third, {before[name]:g} in the one before" for name in usual],
        f"p99 of a round trip: {duration(late)} in the last third, {duration(early)} in the one before",
    ]
    return lines, program + workers <= MOST_GROWTH and all(usual[name] <= before[name] + SPARE for name in usual)


def main(arguments: Sequence[str] | None = None) -> int:
    """See the head of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: %(default)s)")
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two lines (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the work (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    samples: list[Sample] = []
    for one in soak(chosen.minutes * 60, chosen.every, chosen.seed):
        samples.append(one)
        print(table(samples)[0] + "\n" if len(samples) == 1 else "", table(samples)[-1], sep="", flush=True)
    lines, well = verdict(samples)
    print("", *lines, "nothing grows" if well else "SOMETHING GROWS", sep="\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
