"""A helper on a machine that has no process left to give: importing this makes its forks fail."""

import errno
import os

from tests.servers.spawned import report

__all__ = ["report"]


def _no_fork() -> int:
    raise OSError(errno.EAGAIN, "Resource temporarily unavailable")


os.fork = _no_fork
