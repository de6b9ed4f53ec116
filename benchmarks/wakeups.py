"""Where a round trip goes: wake-ups, time on a core and system calls, by thread. Linux only.

    python benchmarks/wakeups.py                    # submit(inc, i).result()
    python benchmarks/wakeups.py --nested           # the same inside a task
    python benchmarks/wakeups.py --strace           # system calls, too, in a second run

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
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.comparing.tables import duration
from benchmarks.workloads import flat, nested
from benchmarks.workloads.measuring import each
from benchmarks.workloads.tasks import inc
from fastsched import Client

__all__ = ["main"]

NEVER = 0.02  # per trip: what happens less often is not worth a line


@dataclass(frozen=True)
class Counts:
    """What the kernel has counted for a thread so far."""

    wakeups: int
    nanoseconds: int

    def since(self, before: Counts) -> Counts:
        """What was added."""
        return Counts(self.wakeups - before.wakeups, self.nanoseconds - before.nanoseconds)


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


def counts(pid: int) -> dict[int, Counts]:
    """Of all threads of a process, by their ids."""
    found = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        switches = re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", (thread / "status").read_text(), re.MULTILINE)
        assert switches is not None
        found[int(thread.name)] = Counts(int(switches[1]), int((thread / "schedstat").read_text().split()[0]))
    return found


def count_wakeups(processes: Mapping[str, Process], trips: int, run: Callable[[int], list[float]]) -> None:
    """Run the trips, and print what each thread did for one of them."""
    before = {name: counts(process.pid) for name, process in processes.items()}
    times = sorted(run(trips))
    p50, p99 = times[trips // 2], times[trips * 99 // 100]
    print(f"{trips:,} round trips: median {duration(p50)}, p99 {duration(p99)}. For each of them:")
    print(f"{'process':10} {'thread':20} {'wake-ups':>9} {'on a core':>10}")
    total = Counts(0, 0)
    for name, process in processes.items():
        for thread, now in counts(process.pid).items():
            new = now.since(before[name].get(thread, Counts(0, 0)))
            total = total.since(Counts(-new.wakeups, -new.nanoseconds))
            if new.wakeups > NEVER * trips:
                print(_line(name, process.threads.get(thread, "started since"), new, trips))
    print(_line("together", "", total, trips))


def _line(process: str, thread: str, new: Counts, trips: int) -> str:
    return f"{process:10} {thread:20} {new.wakeups / trips:9.2f} {duration(new.nanoseconds / trips * 1e-9):>10}"


def count_calls(processes: Mapping[str, Process], trips: int, run: Callable[[int], list[float]]) -> None:
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
    parser.add_argument("--strace", action="store_true", help="count system calls")
    parser.add_argument("--trips", type=int, default=2000, help="how many (default: 2000)")
    options = parser.parse_args()
    if not Path("/proc/self/schedstat").exists():
        sys.exit("wakeups: this system has no /proc/self/schedstat")
    if options.strace and not shutil.which("strace"):
        sys.exit("wakeups: strace is not installed")
    with Client(n_workers=1, threads_per_worker=1) as client:
        flat.warm_up(client)
        client.submit(nested.submit_and_wait, -100, 50).result()

        def trips(n: int) -> list[float]:
            if options.nested:
                return client.submit(nested.submit_and_wait, 0, n).result()
            return each(lambda i: client.submit(inc, i).result(), range(n))

        (worker,) = client.run(Process.this).values()
        processes = {"client": Process.this(), "worker": worker}
        count_wakeups(processes, options.trips, trips)
        if options.strace:
            count_calls(processes, options.trips, trips)


if __name__ == "__main__":
    main()
