"""`LocalCluster`: a scheduler in this process and workers beside it, on this machine.

One concern: bring the pieces up in the right order, keep the workers alive, and leave nothing behind. The fork helper
starts first, because it imports the worker's modules on another core while this process starts its I/O thread and its
scheduler. Everything that belongs to the scheduler runs in the I/O thread; the user's threads hand it commands
through a `Session`.

Sees scheduler and client: it is one of the few files that join roles.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from time import monotonic
from typing import Any

from fastsched import _late
from fastsched._version import __version__
from fastsched.client.client import Client
from fastsched.client.session import Session
from fastsched.config import Config
from fastsched.errors import ClosedError
from fastsched.net.address import fresh_keys, private_directory, unix_address
from fastsched.net.data import DataPeers
from fastsched.net.inproc import channel_pair
from fastsched.net.loop import LoopThread
from fastsched.phase import Phase
from fastsched.scheduler.server import SchedulerServer
from fastsched.spawn.supervisor import Died, Helper, HelperDied
from fastsched.timing import Timeout, seconds
from fastsched.wire.messages import Register, Role

__all__ = ["LocalCluster"]

logger = logging.getLogger("fastsched.local")


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
        name: str | None = None,
        config: Config | None = None,
        dashboard_address: str | None = None,
        **unknown: Any,
    ) -> None:
        if unknown:
            raise TypeError(f"LocalCluster got unexpected arguments: {', '.join(sorted(unknown))}")
        if not processes:
            raise NotImplementedError("processes=False: workers in threads of this process are not supported yet")
        if dashboard_address is not None:
            raise NotImplementedError("dashboard_address=: there is no dashboard yet")
        count, self._nthreads = _shape(n_workers, threads_per_worker)
        self.config = config or Config.from_environment()
        self.name = name or f"local-{os.getpid()}"
        self.status = Phase.STARTING
        self._owner = os.getpid()
        self._supervisor = _Supervisor(self, Helper.start())
        try:
            self._directory = private_directory()
            self._keys = fresh_keys()
            self._io = LoopThread("fastsched-io")
            self._io.start()
            self._address = unix_address(Path(self._directory, "scheduler.sock"))
            self._io.run(self._start(count))
        except BaseException:
            self._supervisor.helper.close()
            raise
        self.status = Phase.RUNNING
        _late.close_at_exit(self)

    async def _start(self, count: int) -> None:
        loop = self._io.loop
        self.scheduler = SchedulerServer(self.config, loop, self.name)
        await self.scheduler.start(self._address, self._keys)
        self._supervisor.start(loop, self.scheduler, count)

    def link(self, name: str) -> EmbeddedLink:
        """A client's link to the embedded scheduler; called by `Client`."""
        self._ensure_open()
        return self._io.run(self._attach(name))

    async def _attach(self, name: str) -> EmbeddedLink:
        loop = self._io.loop
        ours, theirs = channel_pair(loop, name)
        data = DataPeers(loop, Role.CLIENT, self._keys[Role.CLIENT], self.config)
        session = Session(loop, self.config, ours, data, monotonic)
        ours.on_message = lambda _, messages: session.received(messages)
        ours.on_closed = lambda _, reason: session.closed(f"the cluster {self.name!r} is closed")
        self.scheduler.attach(theirs, Register(name, __version__, os.getpid(), 0, "", 0, ""))
        return EmbeddedLink(session, self.scheduler_address, self._supervisor.settled)

    def settings(self, name: str) -> dict[str, Any]:
        """What a worker process of this cluster is told at its start."""
        return {
            "name": name,
            "address": str(self._address),
            "worker_key": self._keys[Role.WORKER].hex(),
            "client_key": self._keys[Role.CLIENT].hex(),
            "nthreads": self._nthreads,
            "memory_limit": 0,
            "directory": self._directory,
            "sys_path": [entry or str(Path.cwd()) for entry in sys.path],
            "cwd": str(Path.cwd()),
            "environ": dict(os.environ),
            "config": self.config.as_dict(),
        }

    def check(self) -> None:
        """Recompute every invariant of the embedded scheduler; AssertionError says which does not hold."""
        self._ensure_open()
        self._io.run(self._check())

    async def _check(self) -> None:
        self.scheduler.check()

    def close(self, timeout: Timeout = None) -> None:
        """Stop workers and scheduler; open futures end with SchedulerLost or CancelledError. Twice is fine.

        Parameters
        ----------
        timeout : float or str, optional
            Seconds from asking the workers to stop to killing them.
        """
        if self.status is Phase.CLOSED:
            return
        self.status = Phase.CLOSED
        if os.getpid() != self._owner:  # a forked child: nothing here is its own
            return
        limit = seconds(timeout)
        limit = self.config.close_seconds if limit is None else limit
        # Workers first: one that is about to sign on would find its scheduler gone, and complain.
        self._run_if_alive(self._supervisor.stop(), limit)
        self._supervisor.helper.close(limit)
        self._run_if_alive(self.scheduler.close(), limit)
        self._io.stop(limit)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _run_if_alive(self, coroutine: Coroutine[Any, Any, None], timeout: float) -> None:
        try:
            self._io.run(coroutine, timeout)
        except TimeoutError:
            logger.warning("the scheduler did not close in %s s", timeout)

    @property
    def scheduler_address(self) -> str:
        """Where the scheduler listens for its workers."""
        return str(self._address)

    def get_client(self) -> Client:
        """A new client of this cluster."""
        return Client(self)

    def __enter__(self) -> LocalCluster:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LocalCluster: {self.name!r} {self.status}, threads per worker: {self._nthreads}>"

    def _ensure_open(self) -> None:
        if self.status is Phase.CLOSED:
            raise ClosedError(f"the cluster {self.name!r} is closed")


class EmbeddedLink:
    """A session on the in-process channel; the I/O thread is the cluster's."""

    def __init__(self, session: Session, scheduler: str, settled: threading.Event) -> None:
        self.session = session
        self.scheduler = scheduler
        self._settled = settled

    def wait_ready(self, timeout: float | None) -> None:
        """Wait until the workers that the cluster was started with have come (or were given up)."""
        self._settled.wait(timeout)

    def close(self, timeout: float | None) -> None:
        """End the session; the cluster stays."""
        self.session.close(timeout)


class _Supervisor:
    """Keeps as many worker processes alive as were asked for. Everything but `settled` belongs to the I/O thread.

    A worker that dies is replaced at once. One that dies before it has registered counts as a failed start; after
    ``Config.start_failures`` of them in a row it gives up, and the scheduler ends what waits with NoWorkers if no
    worker is left.
    """

    def __init__(self, cluster: LocalCluster, helper: Helper) -> None:
        self.helper = helper
        self.settled = threading.Event()
        self._cluster = cluster
        self._starting: set[str] = set()
        self._alive: set[str] = set()
        self._first: set[str] = set()  # the workers of the start that have not come yet
        self._failures = 0
        self._number = 0
        self._stopped = False

    def start(self, loop: Any, scheduler: SchedulerServer, count: int) -> None:
        """Ask for the first workers, and listen to the helper."""
        self._loop = loop
        self._scheduler = scheduler
        scheduler.on_worker = self._on_worker
        loop.add_reader(self.helper.fileno(), self._on_events)
        for _ in range(count):
            self._first.add(self._spawn())
        if count == 0:
            self.settled.set()

    async def stop(self) -> None:
        """Replace nobody any more."""
        self._stopped = True
        self._loop.remove_reader(self.helper.fileno())
        self.settled.set()

    def _spawn(self) -> str:
        name = f"worker-{self._number}"
        self._number += 1
        self._starting.add(name)
        self._scheduler.expect(name)
        self.helper.spawn(name, self._cluster.settings(name))
        return name

    def _on_worker(self, name: str) -> None:
        """The scheduler says that a worker has registered."""
        if name in self._starting:
            self._starting.discard(name)
            self._alive.add(name)
            self._failures = 0
            self._arrived(name)

    def _arrived(self, name: str) -> None:
        self._first.discard(name)
        if not self._first:
            self.settled.set()

    def _on_events(self) -> None:
        for event in self.helper.read_events():
            if isinstance(event, Died):
                self._died(event)
            elif isinstance(event, HelperDied):
                self._loop.remove_reader(self.helper.fileno())
                self._give_up(f"the fork helper of the cluster died ({event.how}): no worker can be started any more")

    def _died(self, event: Died) -> None:
        started = event.name in self._alive
        self._alive.discard(event.name)
        self._starting.discard(event.name)
        self._scheduler.worker_died(event.name, event.how)
        if self._stopped or not self.helper.alive:
            return
        if not started:
            self._failures += 1
            logger.warning("worker process %s ended at its start: %s", event.name, event.how)
            if self._failures >= self._cluster.config.start_failures:
                self._arrived(event.name)
                self._give_up(
                    f"{self._failures} worker processes in a row ended at their start, the last with {event.how}"
                )
                return
        replacement = self._spawn()
        if event.name in self._first:
            self._first.discard(event.name)
            self._first.add(replacement)

    def _give_up(self, text: str) -> None:
        if not self._stopped:
            self._stopped = True
            self._first.clear()
            self.settled.set()
            self._scheduler.give_up(text)


def _shape(n_workers: int | None, threads: int | None) -> tuple[int, int]:
    """Workers and threads per worker; what is not given is chosen as ``dask.distributed`` does."""
    for name, value in (("n_workers", n_workers), ("threads_per_worker", threads)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise TypeError(f"{name} must be an integer, not {value!r}")
        if value is not None and value < (1 if name == "threads_per_worker" else 0):
            raise ValueError(f"{name} must be at least {1 if name == 'threads_per_worker' else 0}, not {value}")
    cores = _cores()
    if n_workers is None and threads is None:
        return _processes_and_threads(cores)
    if n_workers is None:
        assert threads is not None
        return max(1, cores // threads), threads
    if threads is None:
        return n_workers, max(1, cores // n_workers) if n_workers else 1
    return n_workers, threads


def _processes_and_threads(cores: int) -> tuple[int, int]:
    """``dask.distributed``'s breakdown of cores.

    Examples
    --------
    >>> _processes_and_threads(4), _processes_and_threads(32)
    ((4, 1), (8, 4))
    """
    if cores <= 4:
        return cores, 1
    processes = min(n for n in range(1, cores + 1) if cores % n == 0 and n >= math.sqrt(cores))
    return processes, cores // processes


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
