"""A client's link to a scheduler in another process.

One concern: connect, introduce ourselves, and tie a stream to a session. The connection lives in an I/O thread of its
own, which ends with the link.
"""

from __future__ import annotations

import asyncio
import os

from fastsched._version import __version__
from fastsched._wait import TurnLock
from fastsched.client.session import Session
from fastsched.config import Config
from fastsched.errors import ConnectError, FastschedError, HandshakeError
from fastsched.net._pump import Pump
from fastsched.net.access import AccessFile, locate
from fastsched.net.channel import Channel
from fastsched.net.connect import connect
from fastsched.net.data import DataPeers
from fastsched.net.loop import LoopThread
from fastsched.net.stream import Stream
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import Message, Refuse, Register, Role, Welcome

__all__ = ["RemoteLink", "remote_link"]


def remote_link(place: str, config: Config, timeout: float | None, name: str) -> RemoteLink:
    """Connect to the scheduler that an access file names, and register as a client.

    Raises
    ------
    AddressError, ConnectError, HandshakeError, TimeoutError
        If that does not work within `timeout` seconds; the text names the address.
    """
    access = locate(place)
    limit = config.connect_seconds if timeout is None else timeout
    io = LoopThread("fastsched-io")
    io.start()
    try:
        link = RemoteLink(io, access, config)
        io.run(link.open(name, limit))
    except BaseException:
        io.stop()
        raise
    return link


class RemoteLink:
    """A session over a stream.

    Attributes
    ----------
    session : Session
        There once `open` has returned.
    """

    session: Session

    def __init__(self, io: LoopThread, access: AccessFile, config: Config) -> None:
        self._io = io
        self.scheduler = str(access.address)
        self._access = access
        self._config = config
        self._welcome: asyncio.Future[Welcome] | None = None
        self._early: list[Message] = []  # what came before there was a session
        self._joined = False

    async def open(self, name: str, timeout: float) -> None:
        """Connect and be welcomed, within `timeout` seconds; runs in the I/O thread."""
        address, key, loop = self._access.address, self._access.client_key, self._io.loop
        pump = self._pump = Pump(loop)
        stream: Stream | None = None
        try:
            async with asyncio.timeout(timeout):
                connection = await connect(address, Role.CLIENT, key, self._config)
                allowed = ALLOWED[Role.SCHEDULER]
                stream = Stream(connection, pump, self._config, allowed, self._welcomed, self._on_closed)
                self._welcome = loop.create_future()
                stream.send(Register(name, __version__, os.getpid(), 0, "", 0, ""))
                await self._welcome
        except BaseException as error:
            if stream is not None:
                stream.close(flush=False)
            pump.close()
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"the scheduler at {address} did not welcome us in {timeout} s") from None
            raise
        data = DataPeers(loop, Role.CLIENT, key, self._config)
        self.session = Session(loop, self._config, pump, TurnLock(), stream, data)
        stream.on_message = self.session.received
        if self._early:
            self.session.received(stream, self._early)
        self._joined = True

    def wait_ready(self, timeout: float | None) -> None:
        """Whoever is there is there."""

    def close(self, timeout: float | None) -> None:
        """End session, connection and I/O thread. Waits until what was to be sent is sent."""
        try:
            self.session.close(timeout)
        finally:  # also after Ctrl-C
            self._pump.post(self._pump.close)
            self._io.stop(timeout)

    def _welcomed(self, channel: Channel, messages: list[Message]) -> None:
        """The scheduler's first messages; in the I/O thread, since nobody waits yet."""
        welcome = self._welcome
        if welcome is None or welcome.done():
            self._early += messages
            return
        first, self._early = messages[0], messages[1:]
        if isinstance(first, Welcome):
            welcome.set_result(first)
        else:
            text = first.text if isinstance(first, Refuse) else f"it said {type(first).__name__} first"
            welcome.set_exception(HandshakeError(f"the scheduler at {self._access.address} does not let us in: {text}"))

    def _on_closed(self, channel: Channel, reason: Exception | None) -> None:
        text = f"the connection to the scheduler at {self._access.address} ended: {reason or 'it closed it'}"
        if self._welcome is not None and not self._welcome.done():
            error: FastschedError = ConnectError(text)
            self._welcome.set_exception(error)
        elif self._joined:
            self.session.closed(text)
