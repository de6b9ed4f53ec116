"""What a worker process is told at its start.

One concern: this record, and how it is made from plain data. Made by `process`; imports only the config.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from fastsched.config import Config

__all__ = ["Settings"]


class Settings(NamedTuple):
    """What a worker process is told at its start."""

    name: str
    address: str  # of the scheduler
    worker_key: bytes
    client_key: bytes
    nthreads: int
    memory_limit: int  # bytes, 0: none
    directory: str  # for the socket, 0700; "" if the worker serves over TCP
    page: str  # the file of its page of running tasks; "": nobody reads it
    listen: str  # the host at which it serves its data if there is no directory; "": on the way to the scheduler
    insecure: bool  # serve its data also where other machines can get to, in the clear
    stops_as_planned: bool  # signals are somebody's plan, SIGTERM to retire; else they are a death of what it executes
    place: str  # where it is written which scheduler there is now, if this one dies; "": end with it
    config: Config

    def own_path(self, suffix: str) -> str:
        """A file of this worker in the cluster's directory; names of workers may hold anything."""
        name = "".join(char if char.isalnum() and char.isascii() else "-" for char in self.name)[:20]
        return f"{self.directory}/{name}-{os.getpid()}.{suffix}"

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> Settings:
        """From plain data, as it is handed to a worker process."""
        return cls(
            settings["name"],
            settings["address"],
            bytes.fromhex(settings["worker_key"]),
            bytes.fromhex(settings["client_key"]),
            settings["nthreads"],
            settings.get("memory_limit", 0),
            settings.get("directory", ""),
            settings.get("page", ""),
            settings.get("listen", ""),
            settings.get("insecure", False),
            settings.get("stops_as_planned", True),
            settings.get("place", ""),
            Config(**settings.get("config", {})),
        )
