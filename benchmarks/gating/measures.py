"""Two ways to say what a piece of work costs that do not depend on how busy the machine is.

`instructions` counts them, with valgrind: the same from run to run, and nearly so from machine to machine. `ratios`
needs nothing: time on the processor, divided by that of a fixed loop of Python in the same run.
"""

from __future__ import annotations

import gc
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from time import process_time

from benchmarks.comparing.rounds import ROOT
from benchmarks.gating.works import MORE, TASKS, WORKS, loop

__all__ = ["can_count", "instructions", "ratios"]

ROUNDS = 15
COUNTER = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--trace-children=yes"]
SECONDS = 900.0  # valgrind is some forty times slower than the processor


def can_count() -> bool:
    """Whether valgrind is installed."""
    return shutil.which(COUNTER[0]) is not None


def instructions() -> dict[str, float]:
    """Instructions per task of each piece of work."""
    done = subprocess.run(
        [*COUNTER, sys.executable, "-m", "benchmarks.gating.works"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    if done.returncode != 0:
        raise ChildProcessError(f"valgrind ended with {done.returncode}: {done.stderr[-2000:]}")
    counted = {
        pid: int(n.replace(",", "")) for pid, n in re.findall(r"^==(\d+)== I\s+refs:\s+([\d,]+)", done.stderr, re.M)
    }
    by_runs: dict[str, list[int]] = {}
    for line in done.stdout.splitlines():
        pid, name, _ = line.split("\t")
        by_runs.setdefault(name, []).append(counted[pid])
    return {name: (more - once) / MORE / TASKS for name, (once, more) in by_runs.items()}


def ratios() -> dict[str, float]:
    """Time on the processor of each piece of work, divided by the loop's; the best of some rounds of both."""
    gc.collect()
    gc.disable()
    found = {}
    for name, prepare in WORKS.items():
        work = prepare()
        work()
        pairs = [(_time(loop), _time(work)) for _ in range(ROUNDS)]
        found[name] = min(its for _, its in pairs) / min(yardstick for yardstick, _ in pairs)
    gc.enable()
    return found


def _time(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start
