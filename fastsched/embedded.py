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
from asyncio import AbstractEventLoop
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
from fastsched.spawn.supervisor import Died, Helper, HelperDied, working_directory
from fastsched.wire.messages import Register, Role

__all__ = ["EmbeddedLink", "Embedding"]

logger = logging.getLogger("fastsched.local")

WAVE = 4  # worker processes that start at the same time, per core


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
    n_workers, nthreads : int
        Worker processes, and tasks that each runs at once.

    Attributes
    ----------
    address : str
        Where the scheduler listens for its workers.
    """

    def __init__(self, name: str, config: Config, helper: Helper, n_workers: int, nthreads: int) -> None:
        self._name = name
        self._config = config
        self._nthreads = nthreads
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
        self._scheduler = SchedulerServer(self._config, loop, self._name)
        await self._scheduler.start(self._address, self._keys)
        self._supervisor = _Supervisor(helper, self._config, self._settings, loop, self._scheduler)
        self._supervisor.start(n_workers)

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
        return EmbeddedLink(session, self.address, self._supervisor.settled)

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
            steps.callback(self._supervisor.helper.close, timeout)
            steps.callback(self._run_in_time, self._supervisor.stop, timeout)

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
            "memory_limit": 0,
            "stops_as_planned": False,
            "directory": self._directory,
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


class _Supervisor:
    """Keeps as many worker processes alive as were asked for. Everything but `settled` belongs to the I/O thread.

    Workers start in waves, not all at once: a machine that is busy starting processes starts none of them in time.
    One that dies is replaced at once. One that dies before it has registered counts as a failed start; after
    ``Config.start_failures`` of them in a row it gives up, and the scheduler ends what waits with NoWorkers if no
    worker is left.
    """

    def __init__(
        self,
        helper: Helper,
        config: Config,
        settings: Callable[[str], dict[str, Any]],
        loop: AbstractEventLoop,
        scheduler: SchedulerServer,
    ) -> None:
        self.helper = helper
        self.settled = threading.Event()  # the first workers have come, or will not
        self._config = config
        self._settings = settings
        self._loop = loop
        self._scheduler = scheduler
        self._wave = WAVE * (os.cpu_count() or 1)
        self._due = 0  # workers to be started as soon as there is room in the wave
        self._starting: set[str] = set()
        self._alive: set[str] = set()
        self._expected = 0  # of the first workers, those that have not come yet
        self._failures = 0
        self._number = 0
        self._stopped = False

    def start(self, count: int) -> None:
        """Ask for the first workers, and listen to the helper."""
        self._scheduler.on_worker = self._on_worker
        self._loop.add_reader(self.helper.fileno(), self._on_events)
        self._due = self._expected = count
        self._fill_wave()
        self._look()

    async def stop(self) -> None:
        """Replace nobody any more."""
        self._stopped = True
        self._loop.remove_reader(self.helper.fileno())
        self.settled.set()

    def _fill_wave(self) -> None:
        while self._due and len(self._starting) < self._wave and not self._stopped:
            self._due -= 1
            name = f"worker-{self._number}"
            self._number += 1
            self._starting.add(name)
            self._scheduler.expect(name)
            self.helper.spawn(name, self._settings(name))

    def _look(self) -> None:
        if self._expected <= 0:
            self.settled.set()

    def _on_worker(self, name: str) -> None:
        """The scheduler says that a worker has registered."""
        if name in self._starting:
            self._starting.discard(name)
            self._alive.add(name)
            self._failures = 0
            self._expected -= 1
            self._fill_wave()
            self._look()

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
            if self._failures >= self._config.start_failures:
                self._give_up(
                    f"{self._failures} worker processes in a row ended at their start, the last with {event.how}"
                )
                return
        self._due += 1
        self._fill_wave()

    def _give_up(self, text: str) -> None:
        if not self._stopped:
            self._stopped = True
            self.settled.set()
            self._scheduler.give_up(text)
