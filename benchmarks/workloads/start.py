"""The workload `start`: a fresh interpreter, from the import to the first result, and then to the end of closing.

Each program is what a user would write, as a text for ``python -c``; its function is one of ``__main__``, as a user's
are. Bytecode is there, as in an installed package: one run that does not count writes it first, also where this process
was told to write none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from benchmarks.workloads.measuring import Sample
from benchmarks.workloads.placing import Placing

__all__ = ["measure"]

ROUNDS = 3
SECONDS = 60.0  # for a program to come to its end

PROGRAM = """
from time import perf_counter
began = perf_counter()
{open}
def inc(x):
    return x + 1
assert {call} == 2
first = perf_counter()
{close}
closed = perf_counter()
import json
print(json.dumps([first - began, closed - first]))
"""

PROGRAMS = {
    "fastsched": PROGRAM.format(
        open="from fastsched import Client; client = Client()",
        call="client.submit(inc, 1).result()",
        close="client.close()",
    ),
    "dask": PROGRAM.format(
        open="from distributed import Client; client = Client(dashboard_address=None)",
        call="client.submit(inc, 1).result()",
        close="client.close(); client.cluster.close()",
    ),
    "ray": PROGRAM.format(
        open="import ray; ray.init(include_dashboard=False, logging_level='error')",
        call="ray.get(ray.remote(inc).remote(1))",
        close="ray.shutdown()",
    ),
    "frisky": PROGRAM.format(
        open="import frisky; cluster = frisky.LocalCluster(processes=True, silence_summary=True); "
        "client = cluster.get_client()",
        call="client.submit(inc, 1).result()",
        close="client.close(); cluster.close()",
    ),
    "pool": PROGRAM.format(
        open="from multiprocessing import Pool",
        call="(pool := Pool()).apply(inc, (1,))",  # it forks at once: the function must be there
        close="pool.close(); pool.join()",
    ),
    "executor": PROGRAM.format(
        open="from concurrent.futures import ProcessPoolExecutor; pool = ProcessPoolExecutor()",
        call="pool.submit(inc, 1).result()",
        close="pool.shutdown()",
    ),
    "loky": PROGRAM.format(
        open="from loky import get_reusable_executor; pool = get_reusable_executor()",
        call="pool.submit(inc, 1).result()",
        close="pool.shutdown()",
    ),
}


def measure(subject: str, workload: str, size: int, placing: Placing) -> Sample:
    """Seconds to the first result; those to close beside them."""
    run(PROGRAMS[subject])
    times, closing = zip(*(run(PROGRAMS[subject]) for _ in range(ROUNDS)), strict=True)
    return Sample(list(times), {"close": sorted(closing)[ROUNDS // 2]})


def run(program: str) -> tuple[float, float]:
    """The seconds that a program says it took to its first result, and to close."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS, env=environ)
    first, close = json.loads(done.stdout.splitlines()[-1])
    return first, close
