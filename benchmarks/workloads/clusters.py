"""Runs the programs of `flat` and `nested` on fastsched, and on its peers as their documentation advises.

``fastsched``   the scheduler embedded in the client's process
``four-hops``   the scheduler in a process of its own
``one-worker``  as ``fastsched``, with one worker instead of two
``dask``        `distributed.Client` with worker processes; no dashboard, as it would only cost
``ray``         see `on_ray`
``frisky``      see `on_frisky`
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import kernel
from benchmarks.workloads import flat, processes
from benchmarks.workloads.measuring import Sample
from benchmarks.workloads.placing import Placing
from benchmarks.workloads.tasks import SYSTEM

__all__ = ["measure", "open_client"]

WORKERS = 2
SYSTEMS = {  # the module that has `Client` and `worker_client`
    "dask": "distributed",
    "ray": "benchmarks.workloads.on_ray",
    "frisky": "benchmarks.workloads.on_frisky",
}
ON_ONE_WORKER = {"fib"}  # its cost per task, not its speed-up, is in question

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
        placing.place(_others(subject, client))
        return program(client, size)


def _others(subject: str, client: Any) -> list[int]:
    """The worker processes; where there are others on the way, or nobody says which they are, all that we started."""
    if subject == "four-hops" or not hasattr(client, "run"):
        return kernel.descendants(os.getpid())
    return list(client.run(os.getpid).values())


def _nested_program(workload: str) -> Program:
    """Imported late: whose `worker_client` it uses stands in the environment since `open_client`."""
    program: Program = getattr(importlib.import_module("benchmarks.workloads.nested"), NESTED[workload])
    return program


@contextmanager
def open_client(subject: str, workers: int) -> Iterator[Any]:
    """A client of a new cluster of `subject` with `workers` processes of one thread each."""
    system = SYSTEMS.get(subject, "fastsched")
    os.environ[SYSTEM] = system  # for `nested`, here and in the workers
    client_type = importlib.import_module(system).Client
    if subject == "four-hops":
        with (
            processes.scheduler() as (access_file, _),
            processes.workers(access_file, workers),
            client_type(access_file) as client,
        ):
            client.wait_for_workers(workers, timeout=processes.START_SECONDS)
            yield client
    else:
        options = {"dashboard_address": None} if subject == "dask" else {}
        with client_type(n_workers=workers, threads_per_worker=1, **options) as client:
            yield client
