"""To find a scheduler again that is gone, or another one in its place.

One concern: how long and how often to look. Called by clients and by workers, in their loops; imports access files,
connections, config and errors.

A scheduler that was killed leaves its access file; one that ends as it should takes it away first, and nobody else will
ever know its keys: then there is nothing to look for.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

from fastsched.config import Config
from fastsched.errors import AddressError, FastschedError, HandshakeError
from fastsched.net.access import locate
from fastsched.net.address import Address
from fastsched.net.connect import connect
from fastsched.net.stream import Connection
from fastsched.wire.messages import Role

__all__ = ["Found", "look_again"]

FIRST_PAUSE = 0.05
LAST_PAUSE = 0.25
"""Seconds between two looks. Much less than what a scheduler waits for its peers (`Config.gather_seconds`)."""


class Found(NamedTuple):
    """A scheduler."""

    address: Address
    connection: Connection


async def look_again(place: str, role: Role, key: bytes, config: Config) -> Found:
    """Look for `Config.reconnect_seconds`.

    Parameters
    ----------
    place : str
        The path of the access file, which tells each time where the scheduler is now.
    role : Role
        What to be there.
    key : bytes
        Of that role, so far.

    Raises
    ------
    AddressError
        There is no access file any more.
    HandshakeError
        The scheduler that is there now has other keys: it is none that follows the one that is gone.
    FastschedError
        What the last look has brought.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + config.reconnect_seconds
    pause = FIRST_PAUSE
    while True:
        if not Path(place).exists():
            raise AddressError(f"it has ended as planned, and taken its access file {place!r} away")
        try:
            access = locate(place)
            if key != (access.client_key if role is Role.CLIENT else access.worker_key):
                break
            return Found(access.address, await connect(access.address, role, key, config))
        except FastschedError:
            if loop.time() + pause >= deadline:
                raise
        await asyncio.sleep(pause)
        pause = min(2.0 * pause, LAST_PAUSE)
    raise HandshakeError(f"the scheduler at {access.address} is another one, with keys of its own")
