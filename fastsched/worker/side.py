"""Functions that the scheduler has a worker call beside its tasks.

One concern: the thread of `Client.run`. Started by `server`; may import the runner and the context.
"""

from __future__ import annotations

import threading
from typing import Protocol

from fastsched.wire.messages import Frames
from fastsched.worker.context import Host, leave_place, take_place
from fastsched.worker.runner import run_function

__all__ = ["SideThread"]


class Server(Host, Protocol):
    """The worker."""

    def reply(self, request: int, ok: bool, frames: Frames) -> None:
        """Send the outcome."""


class SideThread(threading.Thread):
    """Runs one function of `Client.run`: outside the slots, so that it answers also on a busy worker."""

    def __init__(self, server: Server, request: int, frames: Frames) -> None:
        super().__init__(name=f"fastsched-run-{request}", daemon=True)
        self._server = server
        self._request = request
        self._frames = frames

    def run(self) -> None:
        """Call it and reply."""
        take_place(self._server)
        try:
            ok, frames = run_function(self._frames, self._server.name, self._server.config)
            self._server.reply(self._request, ok, frames)
        finally:
            leave_place()
