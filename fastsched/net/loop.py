"""Event loops: how to make one, how to run one in a thread of its own, how to wake one from anywhere.

One concern: everything about loops that is not a socket. The only file that imports uvloop. Called by servers,
clients and the command line; imports nothing of fastsched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

try:
    import uvloop
except ImportError:  # not to be had on every platform
    uvloop = None  # type: ignore[assignment]

__all__ = ["LoopThread", "Waker", "new_event_loop"]

T = TypeVar("T")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A new loop, of uvloop where it is to be had."""
    return asyncio.new_event_loop() if uvloop is None else uvloop.new_event_loop()


class LoopThread:
    """An event loop that runs in a daemon thread until `stop`.

    Parameters
    ----------
    name : str
        Of the thread, for people who look at stacks.
    """

    def __init__(self, name: str) -> None:
        self.loop: asyncio.AbstractEventLoop = new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._stopping = threading.Lock()
        self._owner = os.getpid()

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
            Called from the loop's own thread, or the loop was stopped.
        """
        if self.is_current():
            coroutine.close()
            raise RuntimeError("the loop's own thread cannot wait for the loop")
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
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(timeout)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            _finish(self.loop)


def _finish(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel all tasks of a stopped loop, let them end, close it."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    asyncio.set_event_loop(None)
    loop.close()


class _Descriptors:
    """Owns descriptors and closes them when nobody holds this object any more.

    So a `Waker.wake` in one thread cannot meet a descriptor that another thread has just closed, and that the system
    has given to somebody else since.
    """

    __slots__ = ("reader", "writer")

    def __init__(self) -> None:
        if hasattr(os, "eventfd"):
            self.reader = self.writer = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self.reader, self.writer = os.pipe()
            os.set_blocking(self.reader, False)
            os.set_blocking(self.writer, False)

    def __del__(self) -> None:
        os.close(self.reader)
        if self.writer != self.reader:
            os.close(self.writer)


_ONE = (1).to_bytes(8, "little")  # what an eventfd expects; for a pipe any bytes will do
_READ_BYTES = 1 << 12


class Waker:
    """Makes a loop call a function soon, from any thread, from ``__del__`` and from signal handlers.

    `wake` is one write to a non-blocking descriptor: no lock that the interrupted code could hold, nothing that a
    signal could leave half done. Wakes that come before the loop looks are one call.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Made and closed in the loop's thread, or while the loop does not run.
    callback : callable
        Called without arguments in the loop's thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
        self._loop = loop
        self._callback = callback
        self._descriptors: _Descriptors | None = _Descriptors()
        loop.add_reader(self._descriptors.reader, self._on_readable, self._descriptors.reader)

    def wake(self) -> None:
        """Have the callback called; nothing happens after `close`."""
        descriptors = self._descriptors
        if descriptors is not None:
            try:
                os.write(descriptors.writer, _ONE)
            except BlockingIOError:  # a full pipe: the loop has more wakes to read than it will ever need
                return

    def close(self) -> None:
        """Forget the callback; in the loop's thread, or once the loop has stopped. Twice does no harm."""
        descriptors = self._descriptors
        if descriptors is not None:
            self._descriptors = None
            if not self._loop.is_closed():
                self._loop.remove_reader(descriptors.reader)

    def _on_readable(self, fd: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(fd, _READ_BYTES)
        self._callback()
