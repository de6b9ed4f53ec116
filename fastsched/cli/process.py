"""How a command lives: until it is done or told to stop, and what a person hears of its end.

One concern: signals, exit codes and error texts. Called by the commands; imports loops and errors.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import click

from fastsched.errors import FastschedError
from fastsched.net.loop import new_event_loop

__all__ = ["run_until_told"]


def run_until_told(
    coroutine: Coroutine[Any, Any, int], log_level: str, retire: Callable[[], bool] | None = None
) -> int:
    """Run a command's coroutine; cancel it at the first Ctrl-C or SIGTERM, and let it clean up in peace.

    Parameters
    ----------
    coroutine : coroutine
        The command.
    log_level : str
        What is told on standard error.
    retire : callable, optional
        Called at the first SIGTERM. If it returns True the coroutine is going to end by itself; the next signal cancels
        it.

    Returns
    -------
    int
        The exit code: what the coroutine returns, 0 if it was told to stop.

    Raises
    ------
    click.ClickException
        For what a person did wrong or can mend: one line instead of a traceback.
    """
    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(message)s")
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    task = loop.create_task(coroutine)
    told: list[str] = []

    def stop(signum: int) -> None:
        if "stop" in told:
            return
        if signum == signal.SIGTERM and not told and retire is not None:
            told.append("retire")  # first: whatever comes of it, the next signal ends us
            if retire():
                return
        told.append("stop")
        task.cancel()

    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop, signum)
    try:
        return loop.run_until_complete(task)
    except asyncio.CancelledError:
        return 0
    except (FastschedError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    finally:
        asyncio.set_event_loop(None)
        loop.close()
