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

# The floor: a helper that is started first of all and imports what any worker on uvloop needs, while this process
# imports the same; the helper forks a child, which gets the function and answers. No module of fastsched, no handshake.
BARE_HELPER = """
import os, socket, sys
import asyncio, cloudpickle, uvloop
import pickle
with socket.socket(fileno=int(sys.argv[1])) as end:
    if os.fork():
        os.wait()
    else:
        function, argument = pickle.loads(end.recv(1 << 16))
        end.sendall(pickle.dumps(function(argument)))
        os._exit(0)
"""
BARE_OPEN = f"""
import os, sys
from _socket import socketpair
here, there = socketpair()
there_fd = os.dup(there.fileno())
os.set_inheritable(there_fd, True)
there.close()
helper = os.posix_spawn(sys.executable, [sys.executable, "-c", {BARE_HELPER!r}, str(there_fd)], os.environ)
os.close(there_fd)
import asyncio, cloudpickle, uvloop
import pickle
def answer(function, argument):
    here.send(cloudpickle.dumps((function, argument)))
    return pickle.loads(here.recv(1 << 16))
"""

PROGRAMS = {
    "fastsched": PROGRAM.format(
        open="from fastsched import Client; client = Client()",
        call="client.submit(inc, 1).result()",
        close="client.close()",
    ),
    "bare": PROGRAM.format(open=BARE_OPEN, call="answer(inc, 1)", close="here.close(); os.waitpid(helper, 0)"),
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
