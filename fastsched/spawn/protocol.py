"""What a client and its fork helper say to each other: length-prefixed lists over a socket pair.

One concern: these bytes. Both sides of `fastsched.spawn` use it and nobody else. Both run before anything heavy is
imported, hence `marshal`, which is built in (`json` takes a millisecond to import, the codec of the wire more). It is
for peers that trust each other and run the same Python: no peer from outside ever reaches this channel, an unnamed
socket pair between a process and the child that it started from its own executable.
"""

from __future__ import annotations

import marshal
from enum import IntEnum
from signal import Signals
from typing import Any

__all__ = ["CHANNEL_FD", "Op", "Unpacker", "how_it_ended", "pack"]

CHANNEL_FD = 3
"""The descriptor under which the helper finds its end of the socket pair."""

_HEADER = 4


class Op(IntEnum):
    """First item of each message; the fields that follow are named here."""

    # client -> helper
    SPAWN = 1  # name, settings
    SIGNAL = 2  # name, signal number
    CLOSE = 3  # seconds from SIGHUP to SIGKILL
    # helper -> client
    READY = 10  # the worker's modules are imported
    SPAWNED = 11  # name, pid
    DIED = 12  # name, pid (0: the fork failed), how, code, joined, executing, stderr
    PRESSED = 13  # name, whether it uses so much memory that it should get no tasks


def pack(op: Op, *fields: Any) -> bytes:
    """One message as bytes."""
    body = marshal.dumps([int(op), *fields])
    return len(body).to_bytes(_HEADER, "big") + body


class Unpacker:
    """Collects bytes and gives back whole messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[list[Any]]:
        """The messages that `data` completes, each ``[op, *fields]``."""
        self._bytes += data
        messages = []
        while len(self._bytes) >= _HEADER:
            end = _HEADER + int.from_bytes(self._bytes[:_HEADER], "big")
            if len(self._bytes) < end:
                break
            messages.append(marshal.loads(self._bytes[_HEADER:end]))
            del self._bytes[:end]
        return messages


def how_it_ended(code: int) -> str:
    """``"SIGKILL"`` for -9, ``"exit 3"`` for 3: how a process ended, for people."""
    if code >= 0:
        return f"exit {code}"
    try:
        return Signals(-code).name
    except ValueError:  # real-time signals have no name
        return f"signal {-code}"
