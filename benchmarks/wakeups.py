"""Where a round trip goes: wake-ups, time on a core and system calls, by thread. Linux only.

    python benchmarks/wakeups.py                    # submit(inc, i).result()
    python benchmarks/wakeups.py --nested           # the same inside a task
    python benchmarks/wakeups.py --4hop             # the same with the scheduler in a process of its own
    python benchmarks/wakeups.py --rate 100         # so many a second, not one after the other
    python benchmarks/wakeups.py --strace           # system calls, too, in a second run
    python benchmarks/wakeups.py --idle             # a cluster that has nothing to do

A wake-up is a voluntary switch: the thread had nothing to do and slept until something came. It costs some ten
microseconds, so a scheduler is as fast as its wake-ups are few. They are counted by the kernel, in
``/proc/PID/task/*/``, before and after the round trips; threads of the same process share one interpreter lock, and
waiting for that counts as well.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks import kernel
from benchmarks.comparing.tables import duration
from benchmarks.workloads import clusters, flat, nested
from benchmarks.workloads.measuring import each
from benchmarks.workloads.tasks import inc

__all__ = ["Process", "Threads", "Trips", "idle", "main", "trips_of", "used_for", "watch"]

NEVER = 0.02  # per trip: what happens less often is not worth a line
IDLE_SECONDS = 3.0
SETTLE_SECONDS = 0.5  # from the last task to a cluster that has nothing to do
PAUSE = kernel.Counts(1, 0)  # what the pause before a trip adds to the thread that makes it

Trips = Callable[[int], list[float]]  # makes so many, and gives their times
Threads = dict[int, kernel.Counts]  # of a process, by their ids


@dataclass(frozen=True)
class Process:
    """The calling process, and the names of its threads by their ids. Made in the client and in each worker."""

    pid: int
    threads: dict[int, str]

    @classmethod
    def this(cls) -> Process:
        names = {thread.native_id: thread.name for thread in threading.enumerate() if thread.native_id is not None}
        pid = os.getpid()
        return cls(pid, names | {pid: "MainThread"})  # after a fork, Python remembers the parent's id


# -- round trips ------------------------------------------------------------------------------------------------------


@contextmanager
def watch(subject: str = "fastsched") -> Iterator[tuple[Any, dict[str, Process]]]:
    """A client of a new cluster with one worker, warm, and the processes that take part in a trip."""
    with clusters.open_client(subject, 1) as client:
        flat.warm_up(client)
        client.submit(nested.submit_and_wait, -100, 50).result()
        (worker,) = client.run(Process.this).values()
        processes = {"client": Process.this(), "worker": worker}
        if subject == "four-hops":
            (pid,) = (
                pid for pid in kernel.descendants(os.getpid()) if "fastsched.cli.scheduler" in kernel.command(pid)
            )
            processes["scheduler"] = Process(pid, {pid: "MainThread"})
        yield client, processes


def trips_of(client: Any, inside: bool, rate: float | None) -> Trips:
    """One after the other, or `rate` of them a second; from the client, or inside a task."""

    def trip(i: int) -> None:
        client.submit(inc, i).result()

    if inside:
        return lambda n: client.submit(nested.submit_and_wait, 0, n, pure=False).result()
    if rate is None:
        return lambda n: each(trip, range(n))
    pause = 1 / rate

    def paused(n: int) -> list[float]:
        times = []
        for i in range(n):
            time.sleep(pause)
            times += each(trip, (i,))
        return times

    return paused


def used_for(processes: Mapping[str, Process], run: Trips, trips: int) -> tuple[list[float], dict[str, Threads]]:
    """Run the trips; their times, and what each thread of each process was counted meanwhile."""
    before = {name: kernel.counts_by_thread(process.pid) for name, process in processes.items()}
    times = run(trips)
    used = {}
    for name, process in processes.items():
        after = kernel.counts_by_thread(process.pid)
        used[name] = {thread: now - before[name].get(thread, kernel.Counts()) for thread, now in after.items()}
    return sorted(times), used


def print_wakeups(processes: Mapping[str, Process], trips: int, run: Trips, paused: bool) -> None:
    """Run the trips, and print what each thread did for one of them."""
    times, used = used_for(processes, run, trips)
    if paused:
        me = threading.get_native_id()
        used["client"][me] -= kernel.Counts(trips * PAUSE.wakeups, 0)
    p50, p99 = times[trips // 2], times[trips * 99 // 100]
    print(f"{trips:,} round trips: median {duration(p50)}, p99 {duration(p99)}. For each of them:")
    print(f"{'process':10} {'thread':20} {'wake-ups':>9} {'on a core':>10}")
    for name, threads in used.items():
        for thread, counts in threads.items():
            if counts.wakeups > NEVER * trips:
                print(_line(name, processes[name].threads.get(thread, "started since"), counts, trips))
    total = kernel.together(counts for threads in used.values() for counts in threads.values())
    print(_line("together", "", total, trips))


def _line(process: str, thread: str, counts: kernel.Counts, trips: int) -> str:
    return f"{process:10} {thread:20} {counts.wakeups / trips:9.2f} {duration(counts.seconds / trips):>10}"


# -- nothing to do ----------------------------------------------------------------------------------------------------


def idle(subject: str = "fastsched", seconds: float = IDLE_SECONDS) -> dict[str, kernel.Counts]:
    """A cluster with two workers that has nothing to do: what each of its processes is counted in a second."""
    with clusters.open_client(subject, 2) as client:
        flat.warm_up(client)
        time.sleep(SETTLE_SECONDS)
        pids = [os.getpid(), *kernel.descendants(os.getpid())]
        before = {pid: kernel.counts(pid) for pid in pids}
        time.sleep(seconds)
        used = {pid: kernel.counts(pid) - before[pid] for pid in pids}
    used[os.getpid()] -= PAUSE  # ours
    return {
        f"{'client' if pid == os.getpid() else 'child'} {pid}": kernel.Counts(
            round(counts.wakeups / seconds), round(counts.nanoseconds / seconds)
        )
        for pid, counts in used.items()
    }


def print_idle(subject: str) -> None:
    """Wake-ups and time on a core of each process, per second."""
    print(f"{'process':20} {'wake-ups':>9} {'on a core':>10}   per second")
    for name, counts in idle(subject).items():
        print(f"{name:20} {counts.wakeups:9} {duration(counts.seconds):>10}")


# -- system calls -----------------------------------------------------------------------------------------------------


def print_calls(processes: Mapping[str, Process], trips: int, run: Trips) -> None:
    """Run the trips under strace, and print the most frequent system calls. Traced threads wake up more often."""
    tables = dict.fromkeys(processes, "")
    with ExitStack() as stack:
        for name, process in reversed(list(processes.items())):  # ourselves last: what we start then would be traced
            stack.enter_context(_traced(process.pid, partial(tables.__setitem__, name)))
        run(trips)
    for name, table in tables.items():
        calls = Counter({call: int(n) for n, call in re.findall(r"^ *(\d+) (\w+)$", table, re.MULTILINE)})
        del calls["total"]
        shown = ", ".join(f"{call} {n / trips:.2f}" for call, n in calls.most_common() if n > NEVER * trips)
        print(f"{name:10} {calls.total() / trips:.1f} system calls: {shown}")


@contextmanager
def _traced(pid: int, give: Callable[[str], None]) -> Iterator[None]:
    """Count the system calls of a process meanwhile, and hand over the table."""
    with tempfile.NamedTemporaryFile("r") as output:
        command = ["strace", "-f", "-c", "-U", "calls,name", "-o", output.name, "-p", str(pid)]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert tracer.stderr is not None
        tracer.stderr.readline()  # "attached", or why not
        try:
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()
        give(output.read())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nested", action="store_true", help="round trips inside a task, not from the client")
    parser.add_argument("--4hop", dest="apart", action="store_true", help="the scheduler in a process of its own")
    parser.add_argument("--rate", type=float, metavar="N", help="round trips per second (default: one after the other)")
    parser.add_argument("--strace", action="store_true", help="count system calls")
    parser.add_argument("--idle", action="store_true", help="no round trips: a cluster that has nothing to do")
    parser.add_argument("--trips", type=int, default=2000, help="how many (default: 2000)")
    options = parser.parse_args()
    if options.nested and options.rate:
        parser.error("--rate is for round trips from the client")
    if not kernel.available():
        sys.exit("wakeups: this system has no /proc/self/schedstat")
    if options.strace and not shutil.which("strace"):
        sys.exit("wakeups: strace is not installed")
    subject = "four-hops" if options.apart else "fastsched"
    if options.idle:
        print_idle(subject)
        return
    with watch(subject) as (client, processes):
        run = trips_of(client, options.nested, options.rate)
        print_wakeups(processes, options.trips, run, paused=options.rate is not None)
        if options.strace:
            print_calls(processes, options.trips, run)


if __name__ == "__main__":
    main()
