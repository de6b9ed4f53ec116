"""Where a worker process begins, forked by a local cluster's helper or by ``fastsched-worker``.

One concern: join the worker with the client that its tasks use, then be the worker. Sees both roles; imported in
worker processes only, so that programs do not load the worker's server.
"""

from __future__ import annotations

from typing import Any

from fastsched import _late, nested
from fastsched.worker import process

__all__ = ["main"]

_late.cloudpickle()  # once in the helper that forks the workers, else in each of them: a program's functions need it


def main(settings: dict[str, Any]) -> None:
    """Run a worker until it is told to stop, or its scheduler is gone.

    Parameters
    ----------
    settings : dict
        What `fastsched.worker.process.main` takes.
    """
    nested.adopt()
    process.main(settings)
