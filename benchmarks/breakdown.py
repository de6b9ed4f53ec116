"""Where the microseconds of one task go: into the call of submit, on the way there, on the way back.

    python benchmarks/breakdown.py                  # the scheduler embedded in the client
    python benchmarks/breakdown.py --4hop           # the scheduler in a process of its own
    python benchmarks/breakdown.py --rate 100       # so many tasks a second, not one after the other
    python benchmarks/breakdown.py --finer          # also when bytes left and came, in the client and in the worker

Nothing is added to what is measured: the task returns the time at which it was called, and all processes of a machine
have the same clock. `wakeups.py` says who was woken meanwhile.

``submit``     from the call to its return: pickle, key, and what is done for the task in the caller's thread
``there``      from then to the call of the task's function: placing, the wire, unpickling. Below zero if the worker
               was faster than the return of submit
``back``       from the end of the function to the value in the caller's hands

With ``--finer`` the calls of the system that send and receive are noted, in both processes, by a function around them
(a third of a microsecond each, on top):

``placed``     from the call of submit until the task leaves: pickle, key, the client's machine and the scheduler's
``wire``       until the worker has it: the way, the wake-up, and the interpreter lock
``started``    until the function is called: the worker's machine, a thread, unpickling
``ran``        the function itself
``reported``   until the result leaves: pickling, the worker's machine
``wire back``  until the client has it
``delivered``  until `result` returns: both machines, unpickling
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks import kernel
from benchmarks.comparing.figures import quantile
from benchmarks.comparing.tables import aligned, duration
from benchmarks.workloads import clusters, flat
from benchmarks.workloads.placing import Placing, can_pin
from benchmarks.workloads.stamps import between, collected, note, stamped
from benchmarks.workloads.tasks import now

__all__ = ["FINER", "PARTS", "finer", "main", "parts"]

PARTS = ("submit", "there", "back", "together")
FINER = ("placed", "wire", "started", "ran", "reported", "wire back", "delivered", "together")
WARM = 200


def parts(client: Any, trips: int, rate: float | None = None) -> dict[str, list[float]]:
    """The times of each part, of so many tasks."""
    found: dict[str, list[float]] = {name: [] for name in PARTS}
    for i in range(trips):
        if rate is not None:
            time.sleep(1 / rate)
        start = perf_counter()
        future = client.submit(now, i, pure=False)
        submitted = perf_counter()
        called = future.result()
        delivered = perf_counter()
        spans = (submitted - start, called - submitted, delivered - called, delivered - start)
        for name, span in zip(PARTS, spans, strict=True):
            found[name].append(span)
    return found


def finer(client: Any, trips: int, rate: float | None = None) -> dict[str, list[float]]:
    """The same by when bytes leave and come; trips of which something was not seen are left out."""
    note()
    client.run(note)
    ends = []
    for i in range(trips):
        if rate is not None:
            time.sleep(1 / rate)
        start = perf_counter()
        pid, called, returned = client.submit(stamped, i, pure=False).result()
        ends.append((start, pid, called, returned, perf_counter()))
    found: dict[str, list[float]] = {name: [] for name in FINER}
    ours, theirs = collected(), {pid: stamps for pid, *stamps in client.run(collected).values()}
    for start, pid, called, returned, delivered in ends:
        there = between(theirs[pid], start, called, returned, delivered)
        if there is None:
            continue
        back = between(ours[1:], start, there[0], there[1], delivered, ours=True)
        if back is None:
            continue
        moments = (start, back[0], there[0], called, returned, there[1], back[1], delivered)
        spans = [after - before for before, after in pairwise(moments)]
        for name, span in zip(FINER, (*spans, delivered - start), strict=True):
            found[name].append(span)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--4hop", dest="apart", action="store_true", help="the scheduler in a process of its own")
    parser.add_argument("--rate", type=float, metavar="N", help="tasks per second (default: one after the other)")
    parser.add_argument("--finer", action="store_true", help="note when bytes leave and come, too")
    parser.add_argument("--trips", type=int, default=2000, help="how many (default: 2000)")
    options = parser.parse_args(arguments)
    rows = [("processes", "part", "median", "p90", "p99")]
    for pinned in (False, True) if can_pin() else (False,):
        with clusters.open_client("four-hops" if options.apart else "fastsched", 1) as client:
            flat.warm_up(client)
            parts(client, WARM)
            Placing(pinned, apart=True).place(kernel.descendants(os.getpid()))
            measure = finer if options.finer else parts
            for name, times in measure(client, options.trips, options.rate).items():
                spans = [duration(quantile(times, share)) for share in (0.5, 0.9, 0.99)]
                rows.append(("pinned" if pinned else "free", name, *spans))
    print("\n".join(aligned(rows)))


if __name__ == "__main__":
    main()
