"""A client over a session that somebody else made: the one that a worker holds for its tasks.

One concern: what is different about it. Its connection is the worker's, so it opens and closes nothing.
"""

from __future__ import annotations

from fastsched.client.client import Client
from fastsched.client.link import Link, Surroundings
from fastsched.timing import Timeout

__all__ = ["LinkedClient"]


class LinkedClient(Client):
    """A client over a session that somebody else made: the one that a worker holds for its tasks.

    Parameters
    ----------
    link, surroundings
        What it stands on.
    name : str
        Its name.
    """

    def __init__(self, link: Link, surroundings: Surroundings, name: str) -> None:
        self.cluster = None
        self._owned = None
        self._set_up(link, surroundings, name, None)

    def close(self, timeout: Timeout = None) -> None:
        """Nothing of it is the task's to close: other tasks use it too."""
