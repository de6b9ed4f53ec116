"""The scheduler inside the program's own process, and the workers beside it: what stands behind a `LocalCluster`.

One concern: the I/O thread with everything in it: the scheduler's server, the in-process channels of its clients, and
the supervision of worker processes. Everything but the methods of `Embedding` runs in that thread; the program's
threads act on the scheduler's machine by way of a `Session`.

Imported late, by `local`, after the fork helper has been started.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sys
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from fastsched._version import __version__
from fastsched.client.session import Session
from fastsched.config import Config
from fastsched.net.access import fresh_keys, private_directory
from fastsched.net.address import unix_address
from fastsched.net.data import DataPeers
from fastsched.net.inproc import channel_pair
from fastsched.net.loop import LoopThread
from fastsched.scheduler.server import SchedulerServer
from fastsched.spawn.crew import Crew
from fastsched.spawn.supervisor import Died, Event, Helper, working_directory
from fastsched.wire.messages import Register, Role

__all__ = ["EmbeddedLink", "Embedding"]

logger = logging.getLogger("fastsched.local")


class Embedding:
    """A scheduler in this process and its workers.

    Parameters
    ----------
    name : str
        What the scheduler calls itself.
    config : Config
        Limits and policies.
    helper : Helper
        Where worker processes come from; belongs to this object from now on.
    n_workers, nthreads, memory_limit : int
        Worker processes, tasks that each runs at once, and bytes that each may use (0: as many as it likes).

    Attributes
    ----------
    address : str
        Where the scheduler listens for its workers.
    """

    def __init__(
        self, name: str, config: Config, helper: Helper, n_workers: int, nthreads: int, memory_limit: int
    ) -> None:
        self._name = name
        self._config = config
        self._nthreads = nthreads
        self._memory_limit = memory_limit
        self._settled = threading.Event()  # the first workers have come, or will not
        self._keys = fresh_keys()
        self._directory = private_directory()
        try:
            self._address = unix_address(os.path.join(self._directory, "scheduler.sock"))
            self.address = str(self._address)
            self._io = LoopThread("fastsched-io")
            self._io.start()
            try:
                self._io.run(self._start(helper, n_workers))
            except BaseException:
                self._io.stop(config.close_seconds)
                raise
        except BaseException:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise

    async def _start(self, helper: Helper, n_workers: int) -> None:
        loop = self._io.loop
        self._scheduler = scheduler = SchedulerServer(self._config, loop, self._name)
        await scheduler.start(self._address, self._keys)
        self._crew = crew = Crew(helper, self._config, loop, self._settings, "worker-{}".format, scheduler, False)
        scheduler.on_worker, scheduler.on_worker_lost = self._joined, crew.lost
        scheduler.on_worker_left = crew.left
        crew.on_event = self._happened
        crew.start(n_workers)
        self._look()

    def _joined(self, name: str) -> None:
        self._crew.joined(name)
        self._look()

    def _happened(self, event: Event) -> None:
        if isinstance(event, Died) and not (event.executing or self._crew.leaves(event.name)):
            # else its tasks' errors will tell, or it was somebody's plan
            logger.warning("worker process %s (pid %d) ended: %s", event.name, event.pid, event.how)
        self._look()

    def _look(self) -> None:
        if self._crew.complete:
            self._settled.set()

    def link(self, name: str) -> EmbeddedLink:
        """A link for a client of this process."""
        return self._io.run(self._attach(name))

    async def _attach(self, name: str) -> EmbeddedLink:
        loop, scheduler = self._io.loop, self._scheduler
        ours, theirs = channel_pair(scheduler.pump, name)
        data = DataPeers(loop, Role.CLIENT, self._keys[Role.CLIENT], self._config)
        session = Session(loop, self._config, scheduler.pump, scheduler.turns.lock, ours, data)
        ours.on_message = session.take
        ours.on_turn = session.flush_machine
        ours.on_closed = lambda _, reason: session.closed(f"the cluster {self._name!r} is closed")
        theirs.on_turn = scheduler.turns.turn
        scheduler.attach(theirs, Register(name, __version__, os.getpid(), 0, "", 0, ""))
        return EmbeddedLink(session, self.address, self._settled)

    def check(self) -> None:
        """Recompute every invariant of the scheduler; AssertionError says which does not hold."""
        self._io.run(self._check())

    async def _check(self) -> None:
        self._scheduler.check()

    def close(self, timeout: float) -> None:
        """Stop the workers, killing them after `timeout` seconds, then the scheduler and the I/O thread."""
        # Workers first: one that is about to sign on would find its scheduler gone, and complain.
        with contextlib.ExitStack() as steps:  # taken from the last to the first, each whatever became of the others
            steps.callback(shutil.rmtree, self._directory, ignore_errors=True)
            steps.callback(self._io.stop, timeout)
            steps.callback(self._run_in_time, self._scheduler.close, timeout)
            steps.callback(self._crew.helper.close, timeout)
            steps.callback(self._run_in_time, self._dismiss, timeout)

    async def _dismiss(self) -> None:
        self._crew.stop()
        self._look()

    def _run_in_time(self, step: Callable[[], Coroutine[Any, Any, None]], timeout: float) -> None:
        try:
            self._io.run(step(), timeout)
        except TimeoutError:
            logger.warning("the scheduler did not close in %s s", timeout)

    def _settings(self, name: str) -> dict[str, Any]:
        """What a worker process is told at its start."""
        cwd = working_directory()
        return {
            "name": name,
            "address": self.address,
            "worker_key": self._keys[Role.WORKER].hex(),
            "client_key": self._keys[Role.CLIENT].hex(),
            "nthreads": self._nthreads,
            "memory_limit": self._memory_limit,
            "stops_as_planned": False,
            "directory": self._directory,
            "page": os.path.join(self._directory, f"{name}.page"),
            "sys_path": [entry or cwd for entry in sys.path],
            "cwd": cwd,
            "environ": dict(os.environ),
            "config": self._config.as_dict(),
        }


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
