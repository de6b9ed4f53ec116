"""Where the microseconds of one task go: into the call of submit, on the way there, on the way back.

    python benchmarks/breakdown.py                  # the scheduler embedded in the client
    python benchmarks/breakdown.py --4hop           # the scheduler in a process of its own
    python benchmarks/breakdown.py --rate 100       # so many tasks a second, not one after the other

Nothing is added to what is measured: the task returns the time at which it was called, and all processes of a machine
have the same clock. `wakeups.py` says who was woken meanwhile.

``submit``     from the call to its return: pickle, key, and what is done for the task in the caller's thread
``there``      from then to the call of the task's function: placing, the wire, unpickling. Below zero if the worker
               was faster than the return of submit
``back``       from the end of the function to the value in the caller's hands
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks import kernel
from benchmarks.comparing.figures import quantile
from benchmarks.comparing.tables import aligned, duration
from benchmarks.workloads import clusters, flat
from benchmarks.workloads.placing import Placing, can_pin
from benchmarks.workloads.tasks import now

__all__ = ["PARTS", "main", "parts"]

PARTS = ("submit", "there", "back", "together")
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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--4hop", dest="apart", action="store_true", help="the scheduler in a process of its own")
    parser.add_argument("--rate", type=float, metavar="N", help="tasks per second (default: one after the other)")
    parser.add_argument("--trips", type=int, default=2000, help="how many (default: 2000)")
    options = parser.parse_args(arguments)
    rows = [("processes", "part", "median", "p90", "p99")]
    for pinned in (False, True) if can_pin() else (False,):
        with clusters.open_client("four-hops" if options.apart else "fastsched", 1) as client:
            flat.warm_up(client)
            parts(client, WARM)
            Placing(pinned, apart=True).place(kernel.descendants(os.getpid()))
            for name, times in parts(client, options.trips, options.rate).items():
                spans = [duration(quantile(times, share)) for share in (0.5, 0.9, 0.99)]
                rows.append(("pinned" if pinned else "free", name, *spans))
    print("\n".join(aligned(rows)))


if __name__ == "__main__":
    main()
