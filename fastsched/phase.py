"""How far something that is opened and closed has come.

Ground: imports nothing of fastsched.
"""

from enum import StrEnum

__all__ = ["Phase"]


class Phase(StrEnum):
    """What `Client.status` and `LocalCluster.status` say; the words are dask.distributed's."""

    STARTING = "starting"
    CONNECTING = "connecting"
    RUNNING = "running"
    CLOSED = "closed"
