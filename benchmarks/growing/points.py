"""What is measured at one size of one thing, in this process and its children, which end with it.

    python -m benchmarks.growing.points workers 100      # one point, as JSON

All workers are zero workers, so the costs are the scheduler's and the client's. Costs are seconds per task: *on a core*
is what the kernel counted for the scheduler's process, which other programs hardly change; the rest is time passing.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter, process_time
from typing import Any

from benchmarks import kernel
from benchmarks.bench_machines import Zero, flat
from benchmarks.growing.series import SERIES
from benchmarks.workloads.measuring import each
from benchmarks.workloads.processes import scheduler, zero_workers
from benchmarks.workloads.tasks import add_all, inc, times_ten
from fastsched import Client, wait

__all__ = ["main"]

WORKERS = 24  # where their number is not in question
ONE_AT_A_TIME = 20  # one of so many
BATCH = 1000  # tasks in a message to the machine alone

Figures = dict[str, float]


class Meter:
    """The scheduler's process, from one look to the next.

    Parameters
    ----------
    pid : int
        Of the scheduler.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._counts = kernel.counts(pid)
        self._start = perf_counter()

    def look(self) -> tuple[float, float]:
        """Seconds on a core, and seconds that passed, since the last look."""
        counts, now = kernel.counts(self._pid), perf_counter()
        used = (counts - self._counts).seconds, now - self._start
        self._counts, self._start = counts, now
        return used


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, int]]:
    """A scheduler with zero workers; its access file and its process."""
    with scheduler() as (access_file, pid), zero_workers(access_file, workers):
        yield access_file, pid


def settle(client: Any) -> None:
    """The scheduler has seen all that this client has said."""
    client.scheduler_info()


def pending(n: int, _: int) -> Figures:
    """n tasks come while there is no worker; then workers come, and the tasks run; then all futures go."""
    with scheduler() as (access_file, pid), Client(access_file) as client:
        client.scheduler_info()
        empty, meter = kernel.resident(pid), Meter(pid)
        futures = client.map(times_ten, range(n))
        settle(client)
        submitting, submitting_passed = meter.look()
        waiting = kernel.resident(pid) - empty
        with zero_workers(access_file, WORKERS):
            wait(futures)
            running, _ = meter.look()
            held = kernel.resident(pid) - empty
            futures.clear()
            gc.collect()
            settle(client)
            releasing, _ = meter.look()
    return {
        "on a core, submit": submitting / n,
        "on a core, run": running / n,
        "on a core, release": releasing / n,
        "on a core": (submitting + running + releasing) / n,
        "submit": submitting_passed / n,
        "bytes pending": waiting / n,
        "bytes with values": held / n,
    }


def clients(k: int, total: int) -> Figures:
    """Tasks of k clients at once, all in this process."""
    share = total // k
    with cluster(WORKERS) as (access_file, pid), ExitStack() as stack:
        everyone = [stack.enter_context(Client(access_file, set_as_default=False)) for _ in range(k)]
        for number, client in enumerate(everyone):
            client.submit(inc, -1 - number).result()
        meter = Meter(pid)
        futures = [client.map(inc, range(i * share, (i + 1) * share)) for i, client in enumerate(everyone)]
        for client, its in zip(everyone, futures, strict=True):
            client.gather(its)
        used, passed = meter.look()
        return {"on a core": used / (k * share), "passed": passed / (k * share)}


def workers(k: int, total: int) -> Figures:
    """Tasks for k workers: many at once, one at a time, and without sockets."""
    with cluster(k) as (access_file, pid), Client(access_file) as client:
        client.gather(client.map(inc, range(-4 * k, 0)))
        meter = Meter(pid)
        client.gather(client.map(inc, range(total)))
        used, passed = meter.look()
        trips = total // ONE_AT_A_TIME
        times = sorted(each(lambda i: client.submit(inc, total + i).result(), range(trips)))
        one_by_one, _ = meter.look()
    return {
        "on a core": used / total,
        "passed": passed / total,
        "on a core, one at a time": one_by_one / trips,
        "round trip": times[trips // 2],
        "machine alone": machine_alone(k, total),
    }


def machine_alone(k: int, total: int) -> float:
    """The scheduler's machine with k workers, without sockets and bytes: placing and all that belongs to it."""
    zero = Zero(workers=k)
    zero.run(flat(zero, 4 * k), BATCH)
    gc.collect()
    gc.disable()
    items = flat(zero, total)
    start = process_time()
    zero.run(items, BATCH)
    return (process_time() - start) / total


def fan_in(n: int, _: int) -> Figures:
    """One task that takes the results of n others, which are there."""
    with cluster(WORKERS) as (access_file, pid), Client(access_file) as client:
        client.submit(add_all, [client.submit(inc, -1)]).result()
        futures = client.map(times_ten, range(n))
        wait(futures)
        settle(client)
        meter = Meter(pid)
        client.submit(add_all, futures).result()
        used, passed = meter.look()
        return {"on a core": used / n, "passed": passed / n}


POINTS: dict[str, Callable[[int, int], Figures]] = {
    "pending": pending,
    "clients": clients,
    "workers": workers,
    "fan-in": fan_in,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", choices=[series.name for series in SERIES], help="what grows")
    parser.add_argument("size", type=int, help="to what")
    parser.add_argument("--tasks", type=int, default=20_000, help="how many, where that is not what grows")
    options = parser.parse_args()
    figures = POINTS[options.series](options.size, options.tasks)
    print(json.dumps(figures), flush=True)
    os._exit(0)  # a million futures take their time to go, and nobody waits for them


if __name__ == "__main__":
    main()
