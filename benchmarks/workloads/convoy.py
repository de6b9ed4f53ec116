"""The workload `sync` beside a thread that burns CPU in pure Python: in the worker, or in the client.

``convoy-worker``  the thread is in the worker that runs the tasks
``convoy-client``  it is in the process that submits them
``undisturbed``    a subject: the same cluster without the thread

One worker, so that two cores are enough for the two processes that matter. The pool has its thread in the same place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from benchmarks import kernel
from benchmarks.workloads import clusters, flat, pools
from benchmarks.workloads.burner import burn, burning, stop_burning
from benchmarks.workloads.catalogue import SUBJECTS
from benchmarks.workloads.measuring import Sample, each
from benchmarks.workloads.placing import Placing
from benchmarks.workloads.tasks import inc

__all__ = ["measure"]

WARM = 50

Call = Callable[..., Any]  # of a function with arguments, in the worker


def measure(subject: str, workload: str, size: int, placing: Placing) -> Sample:
    """A sample of a convoy on a cluster or a pool with one worker."""
    place = None if subject == "undisturbed" else workload
    if SUBJECTS[subject].module == pools.__name__:
        with pools.open_pool(subject, 1) as pool:
            return _disturbed(lambda function, *args: pools.call(pool, function, *args), place, size, placing)
    with clusters.open_client(subject, 1) as client:
        flat.warm_up(client)
        return _disturbed(
            lambda function, *args: client.submit(function, *args, pure=False).result(), place, size, placing
        )


def _disturbed(call: Call, place: str | None, size: int, placing: Placing) -> Sample:
    """Round trips beside the thread."""

    def trip(i: int) -> None:
        call(inc, i)

    each(trip, range(-WARM, 0))
    placing.place(kernel.descendants(os.getpid()))
    if place == "convoy-worker":
        call(burn)
        assert call(burning) == 1
    elif place == "convoy-client":
        burn()
    try:
        return Sample(each(trip, range(size)))
    finally:
        stop_burning()  # that of this process
