"""Event loops: how to make one, how to run one in a thread of its own.

One concern: everything about loops that is not a socket. The only file that imports uvloop. Called by servers,
clients and the command line; imports `_wait` only.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from fastsched._wait import in_turn, serve

try:
    import uvloop
except ImportError:  # not to be had on every platform
    uvloop = None  # type: ignore[assignment]

__all__ = ["LoopThread", "new_event_loop"]

T = TypeVar("T")

log = logging.getLogger(__name__)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new loop, of uvloop where it is to be had."""
    return asyncio.new_event_loop() if uvloop is None else uvloop.new_event_loop()


class LoopThread:
    """An event loop that runs in a daemon thread until `stop`.

    Parameters
    ----------
    name : str
        Of the thread, for people who look at stacks.
    serves : bool
        Whether others wait for it, so that it must wait for nobody. False: users' coroutines run there, and what they
        raise, be it SystemExit, does not end it.
    """

    def __init__(self, name: str, serves: bool = True) -> None:
        self.loop: asyncio.AbstractEventLoop = new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopping = threading.Lock()
        self._owner = os.getpid()
        self._serves = serves
        self._stopped = False

    def start(self) -> None:
        """Start the thread; what is scheduled at once runs as soon as the loop does."""
        self._thread.start()

    def is_current(self) -> bool:
        """Whether the calling thread is this one."""
        return threading.get_ident() == self._thread.ident

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function` in the loop's thread; from any thread, returns at once.

        Raises
        ------
        RuntimeError
            The loop was stopped.
        """
        self.loop.call_soon_threadsafe(function, *args)

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine in the loop's thread and wait for its result.

        Raises
        ------
        TimeoutError
            It took longer than `timeout` seconds; the coroutine is cancelled.
        RuntimeError
            Called from the loop's own thread, or in a finalizer that interrupts fastsched; or the loop was stopped.
        """
        if self.is_current() or in_turn():
            coroutine.close()
            raise RuntimeError("the loop's own thread, and who interrupts fastsched, cannot wait for the loop")
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        except RuntimeError:
            coroutine.close()
            raise
        try:
            return future.result(timeout)
        except BaseException:  # a timeout, or Ctrl-C in the waiting thread
            future.cancel()
            raise

    def stop(self, timeout: float | None = None) -> None:
        """Cancel what still runs, close the loop and end the thread; again and from any other thread without harm.

        In a fork of the process that made it, this does nothing: the loop's descriptors are shared with the parent,
        and closing the loop would unregister what the parent waits for.
        """
        if os.getpid() != self._owner:
            return
        with self._stopping:
            if self.loop.is_closed():
                return
            if not self._thread.is_alive():  # never started
                self.loop.close()
                return
            self._stopped = True
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(timeout)

    def _run(self) -> None:
        if self._serves:
            serve()
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever() if self._serves else self._run_whatever_comes()
        finally:
            _finish(self.loop)

    def _run_whatever_comes(self) -> None:
        """A SystemExit or KeyboardInterrupt of a callback comes out of the loop, and would end the others with it."""
        while not self._stopped:
            try:
                self.loop.run_forever()
            except BaseException:
                log.exception("what runs in the event loop of %s has raised", self._thread.name)


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel all tasks of a stopped loop, let them end, close it."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()
