"""The life of a worker process.

One concern: `main`, from the start of the interpreter's part in it to the exit. Makes the loop, and the `WorkerServer`
on it. Called by `entry`, in a process that is nothing but a worker.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from asyncio import AbstractEventLoop
from typing import Any

from fastsched._wait import serve
from fastsched.errors import FastschedError
from fastsched.net.loop import new_event_loop
from fastsched.worker.server import WorkerServer
from fastsched.worker.settings import Settings

__all__ = ["main"]

log = logging.getLogger(__name__)

EXIT_SECONDS = 0.5
"""From the end of a worker to the end of its process, whatever tasks have left running in it."""

GC_THRESHOLDS = (20_000, 20, 20)
"""Young objects here are mostly records of tasks, which need no collector; the default of 700 costs 5 % of a no-op."""


def main(settings: dict[str, Any]) -> None:
    """Live as a worker process until told to stop, or until the scheduler is gone.

    Parameters
    ----------
    settings : dict
        The fields of `Settings`; keys in hexadecimal, `config` as keyword arguments of `Config`.
    """
    told = Settings.from_dict(settings)
    serve()
    sys.setswitchinterval(told.config.switch_interval)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    code = 0
    ended_by: list[int] = []
    try:
        code = loop.run_until_complete(_live(told, loop, ended_by))
    except (FastschedError, OSError) as error:
        log.error("worker %s cannot start: %s", told.name, error)
        code = 1
    loop.close()
    serve(False)  # what ends with the process may wait
    _end_soon(code)
    for number in ended_by:  # nobody's plan: whoever waits for this process shall see what it was
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(code)


async def _live(settings: Settings, loop: AbstractEventLoop, ended_by: list[int]) -> int:
    """The exit code: 0 if it ended as it was told, or because nobody needs it any more."""
    server = WorkerServer(settings, loop)

    told: list[int] = []

    def stop(number: signal.Signals) -> None:
        told.append(number)
        if not settings.stops_as_planned:
            ended_by[:] = [number]
        elif told == [signal.SIGTERM]:
            server.retire()
            return
        server.stop(number.name, settings.stops_as_planned)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    start, end = loop.create_task(server.start()), loop.create_task(server.closed.wait())
    await asyncio.wait((start, end), return_when=asyncio.FIRST_COMPLETED)
    if end.done():  # told to stop before the scheduler has answered; breaking a handshake off would be noted there
        await asyncio.wait((start,), timeout=EXIT_SECONDS)
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        return 0
    try:
        start.result()
    except BaseException:
        end.cancel()
        raise
    await end
    return 1 if server.refused else 0


def _end_soon(code: int) -> None:
    """The interpreter's end waits for threads that a task may have left behind; it shall not for long."""
    for file in (sys.stdout, sys.stderr):
        try:
            file.flush()
        except (OSError, ValueError):  # nobody reads it any more, or a task has closed it
            continue
    timer = threading.Timer(EXIT_SECONDS, os._exit, (code,))
    timer.daemon = True
    timer.start()
