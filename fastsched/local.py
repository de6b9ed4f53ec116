"""`LocalCluster`: a scheduler in this process and workers beside it, on this machine.

One concern: from the user's arguments to a running cluster, in the right order: the fork helper starts first, then
the heavy modules are imported (`embedded`, by way of `_late`), so that the helper imports the worker's share on
another core meanwhile.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fastsched import _late
from fastsched.client.client import Client
from fastsched.closing import closes_elsewhere
from fastsched.config import Config
from fastsched.errors import ClosedError
from fastsched.phase import Phase
from fastsched.resources import AUTO, can_measure, cores, limit_of
from fastsched.spawn.supervisor import Helper
from fastsched.timing import Timeout, seconds

if TYPE_CHECKING:
    from fastsched.embedded import EmbeddedLink

__all__ = ["LocalCluster"]

MOST = 10_000  # workers, or threads of one: beyond it was a slip


class LocalCluster:
    """Workers on this machine, with the scheduler embedded in this process. Follows ``dask.distributed.LocalCluster``.

    Parameters
    ----------
    n_workers : int, optional
        Worker processes. By default, as in dask: as many as cores on machines with up to 4, else about the square
        root of the cores.
    threads_per_worker : int, optional
        Tasks that each runs at once. By default the cores divided by the workers.
    processes : bool
        Only True: workers are processes.
    memory_limit : str, float or int, optional
        Of each worker process. While it executes something and uses more than 80 % of it, it gets no tasks; above the
        limit it is killed and replaced, and the tasks that executed are told why. ``"auto"``, the default: the share of
        this machine's memory that its threads are of the cores. Else bytes (``4_000_000_000`` or ``"4GB"``), a fraction
        up to 1 of this machine's memory, 0 or None for no limit. Follows dask. Enforced on Linux only.
    name : str, optional
        What the scheduler calls itself.
    config : Config, optional
        Limits and policies; by default from the environment.
    dashboard_address : optional
        Only None: there is no dashboard yet.
    **unknown
        Anything else is an error that names it.

    Raises
    ------
    TypeError, ValueError
        For arguments that make no sense, named.

    Examples
    --------
    >>> from fastsched import Client, LocalCluster
    >>> with LocalCluster(n_workers=1, threads_per_worker=2) as cluster, Client(cluster) as client:
    ...     client.submit(pow, 2, 10).result()
    1024
    """

    def __init__(
        self,
        n_workers: int | None = None,
        threads_per_worker: int | None = None,
        processes: bool = True,
        memory_limit: str | float | None = AUTO,
        name: str | None = None,
        config: Config | None = None,
        dashboard_address: str | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise TypeError(_unexpected(unknown))
        if not processes:
            raise NotImplementedError("processes=False: workers in threads of this process are not supported yet")
        if dashboard_address is not None:
            raise NotImplementedError("dashboard_address=: there is no dashboard yet")
        count, self._nthreads = _shape(n_workers, threads_per_worker)
        limit = limit_of(memory_limit, self._nthreads, cores())
        if limit and memory_limit != AUTO and not can_measure():
            warnings.warn("memory_limit= is not enforced on this system, which has no /proc", stacklevel=2)
        self.config = config or Config.from_environment()
        self.name = name or f"local-{os.getpid()}"
        self.status = Phase.STARTING
        self._owner = os.getpid()
        helper = Helper.start()
        try:
            self._embedding = _late.embedding()(self.name, self.config, helper, count, self._nthreads, limit)
        except BaseException:
            helper.close()
            raise
        self.status = Phase.RUNNING
        _late.close_at_exit(self)

    @property
    def scheduler_address(self) -> str:
        """Where the scheduler listens for its workers."""
        return self._embedding.address

    def get_client(self) -> Client:
        """A new client of this cluster."""
        return Client(self)

    def link(self, name: str) -> EmbeddedLink:
        """A client's link to the scheduler; called by `Client`."""
        self._ensure_open()
        return self._embedding.link(name)

    def check(self) -> None:
        """Recompute every invariant of the scheduler; AssertionError says which does not hold."""
        self._ensure_open()
        self._embedding.check()

    def close(self, timeout: Timeout = None) -> None:
        """Stop workers and scheduler; open futures end with SchedulerLost or CancelledError. Twice is fine.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds from asking the workers to stop to killing them.
        """
        limit = seconds(timeout)
        if self.status is Phase.CLOSED or closes_elsewhere(self.close, limit):
            return
        self.status = Phase.CLOSED
        if os.getpid() == self._owner:  # in a forked child nothing here is its own
            self._embedding.close(self.config.close_seconds if limit is None else limit)

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalCluster: {self.name!r} {self.status}, threads per worker: {self._nthreads}>"

    def _ensure_open(self) -> None:
        if self.status is Phase.CLOSED:
            raise ClosedError(f"the cluster {self.name!r} is closed")


def _unexpected(names: Iterable[str]) -> str:
    """A text that names unknown arguments, and what may have been meant."""
    known = LocalCluster.__init__.__annotations__.keys() - {"unknown", "return"}
    parts = []
    for name in sorted(names):
        close = _late.difflib().get_close_matches(name, known, 1)
        parts.append(f"{name!r} (did you mean {close[0]!r}?)" if close else repr(name))
    return f"Client and LocalCluster take no argument {', '.join(parts)}"


def _shape(n_workers: int | None, threads: int | None) -> tuple[int, int]:
    """Workers and threads per worker; what is not given is chosen as ``dask.distributed`` does."""
    for name, value in (("n_workers", n_workers), ("threads_per_worker", threads)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if value is not None and value > MOST:
            raise ValueError(f"{name} must be at most {MOST}, not {value}")
        if value is not None and value < (1 if name == "threads_per_worker" else 0):
            raise ValueError(f"{name} must be at least {1 if name == 'threads_per_worker' else 0}, not {value}")
    here = cores()
    if n_workers is None and threads is None:
        return _processes_and_threads(here)
    if n_workers is None:
        assert threads is not None
        return max(1, here // threads), threads
    if threads is None:
        return n_workers, max(1, here // n_workers) if n_workers else 1
    return n_workers, threads


def _processes_and_threads(count: int) -> tuple[int, int]:
    """``dask.distributed``'s breakdown of cores.

    Examples
    --------
    >>> _processes_and_threads(4), _processes_and_threads(32)
    ((4, 1), (8, 4))
    """
    if count <= 4:
        return count, 1
    processes = min(n for n in range(1, count + 1) if count % n == 0 and n >= math.sqrt(count))
    return processes, count // processes
