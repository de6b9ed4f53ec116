"""Runs the programs of `flat` and `nested` on fastsched, and on dask as its documentation advises.

``fastsched``   the scheduler embedded in the client's process
``four-hops``   the scheduler in a process of its own
``one-worker``  as ``fastsched``, with one worker instead of two
``dask``        `distributed.Client` with worker processes; no dashboard, as it would only cost
"""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.workloads import flat
from benchmarks.workloads.measuring import Sample
from benchmarks.workloads.placing import Placing
from benchmarks.workloads.tasks import SYSTEM

__all__ = ["measure", "open_client"]

WORKERS = 2
ON_ONE_WORKER = {"fib"}  # its cost per task, not its speed-up, is in question
START_SECONDS = 20.0  # for processes to come and go

Program = Callable[[Any, int], Sample]
FLAT: dict[str, Program] = {
    "sync": flat.sync,
    "sync-4hop": flat.sync,
    "map": flat.many,
    "submit-loop": flat.submit_loop,
    "chain": flat.chain,
}
NESTED = {"nested": "nested", "open": "open_close", "fib": "fib", "fib100": "fib100", "tree-par": "tree", "fan": "fan"}


def measure(subject: str, workload: str, size: int, placing: Placing) -> Sample:
    """A sample of a workload of `flat` or `nested`."""
    workers = 1 if subject == "one-worker" or workload in ON_ONE_WORKER else WORKERS
    with open_client(subject, workers) as client:
        program = FLAT.get(workload) or _nested_program(workload)
        flat.warm_up(client)
        placing.place(client.run(os.getpid).values())
        return program(client, size)


def _nested_program(workload: str) -> Program:
    """Imported late: whose `worker_client` it uses stands in the environment since `open_client`."""
    program: Program = getattr(importlib.import_module("benchmarks.workloads.nested"), NESTED[workload])
    return program


@contextmanager
def open_client(subject: str, workers: int) -> Iterator[Any]:
    """A client of a new cluster of `subject` with `workers` processes of one thread each."""
    system = "distributed" if subject == "dask" else "fastsched"
    os.environ[SYSTEM] = system  # for `nested`, here and in the workers
    client_type = importlib.import_module(system).Client
    if subject == "four-hops":
        with _processes(workers) as access_file, client_type(access_file) as client:
            client.wait_for_workers(workers, timeout=START_SECONDS)
            yield client
    else:
        options = {"dashboard_address": None} if subject == "dask" else {}
        with client_type(n_workers=workers, threads_per_worker=1, **options) as client:
            yield client


@contextmanager
def _processes(workers: int) -> Iterator[str]:
    """Scheduler and workers as one starts them by hand; the path of the access file."""
    with tempfile.TemporaryDirectory() as folder:
        access_file = str(Path(folder, "access.json"))
        run = [sys.executable, "-m"]
        scheduler = subprocess.Popen(
            [*run, "fastsched.cli.scheduler", "--access-file", access_file], stdout=subprocess.PIPE, text=True
        )
        assert scheduler.stdout is not None
        started = [scheduler]
        try:
            for line in scheduler.stdout:  # "listens at", then "access file"
                if line.startswith("access file"):
                    break
            started.append(
                subprocess.Popen(
                    [*run, "fastsched.cli.worker", access_file, "--nworkers", str(workers), "--nthreads", "1"],
                    stdout=subprocess.DEVNULL,
                )
            )
            yield access_file
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait(START_SECONDS)
            scheduler.stdout.close()
