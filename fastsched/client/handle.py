"""What a future is made of, and how it ends.

One concern: a handle owns one want of its key. When it goes, the want goes: `__del__` leaves a note with the client
(it takes no lock and calls nothing that could: it may run at any moment, in any thread). Compiled: a handle is made and
dropped for every task. `future` adds what a user does with it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from fastsched.client.record import FutureRecord

if TYPE_CHECKING:
    from fastsched.client.client import Client

__all__ = ["Handle"]


class Handle:
    """One want of a key.

    Parameters
    ----------
    record : FutureRecord
        What is known about it.
    client : Client
        Whose it is.
    """

    __slots__ = ("client", "record")

    def __init__(self, record: FutureRecord, client: Client) -> None:
        self.client = client
        self.record = record  # last: `__del__` looks for it first

    def release(self) -> None:
        """Give up the claim on the result; the future cannot be used afterwards. Deleting it does the same."""
        record = self.record
        if not record.released:
            self.client.release(record)
            record.released = True

    def __del__(self) -> None:
        record = getattr(self, "record", None)
        if record is not None and not record.released and sys is not None and not sys.is_finalizing():
            # first: a signal handler that raises in between may cost a second release, no want
            self.client.release(record)
            record.released = True
