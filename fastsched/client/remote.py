"""A client's link to a scheduler in another process.

One concern: connect, introduce ourselves, and tie a stream to a session. The connection lives in an I/O thread of its
own, which ends with the link.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

from fastsched._version import __version__
from fastsched._wait import TurnLock
from fastsched.client.session import Session
from fastsched.config import Config
from fastsched.errors import ConnectError, FastschedError, HandshakeError
from fastsched.net._pump import Pump
from fastsched.net.access import AccessFile, locate
from fastsched.net.again import look_again
from fastsched.net.channel import Channel
from fastsched.net.connect import connect
from fastsched.net.data import DataPeers
from fastsched.net.loop import LoopThread
from fastsched.net.stream import Connection, Stream
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import Message, Refuse, Register, Role, Welcome

__all__ = ["RemoteLink", "remote_link"]

log = logging.getLogger(__name__)


def remote_link(place: str, config: Config, timeout: float | None, name: str, lasting: bool = False) -> RemoteLink:
    """Connect to the scheduler that an access file names, and register as a client.

    Parameters
    ----------
    place : str
        The path of the access file.
    config : Config
        Limits and policies.
    timeout : float or None
        Seconds.
    name : str
        Of the client.
    lasting : bool
        Whether to look for another scheduler if this one dies.

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
        link = RemoteLink(io, access, config, name, str(Path(place).absolute()) if lasting else "")
        io.run(link.open(limit))
    except BaseException:
        io.stop()
        raise
    return link


class RemoteLink:
    """A session over a stream, or over several, one after the other.

    Parameters
    ----------
    io : LoopThread
        Its I/O thread, which ends with it.
    access : AccessFile
        Where the scheduler is.
    config : Config
        Limits and policies.
    name : str
        What the scheduler shall call the client.
    place : str
        Where it is written which scheduler there is, if this one dies; "": end with it.

    Attributes
    ----------
    session : Session
        There once `open` has returned.
    """

    session: Session

    def __init__(self, io: LoopThread, access: AccessFile, config: Config, name: str, place: str) -> None:
        self._io = io
        self.scheduler = str(access.address)
        self._access = access
        self._config = config
        self._name = name
        self._place = place if config.reconnect_seconds > 0 else ""
        self._looking: asyncio.Task[None] | None = None
        self._comebacks = 0  # so often another scheduler was found
        self._stream: Stream | None = None  # as long as it is open
        self._welcome: asyncio.Future[Welcome] | None = None
        self._early: list[Message] = []  # what came before there was a session
        self._joined = False

    async def open(self, timeout: float) -> None:
        """Connect and be welcomed, within `timeout` seconds; runs in the I/O thread."""
        address, key, loop = self._access.address, self._access.client_key, self._io.loop
        pump = self._pump = Pump(loop)
        stream: Stream | None = None
        try:
            async with asyncio.timeout(timeout):
                stream = self._introduce(await connect(address, Role.CLIENT, key, self._config))
                assert self._welcome is not None
                await self._welcome
        except BaseException as error:
            if stream is not None:
                stream.close(flush=False)
            pump.close()
            if isinstance(error, TimeoutError):
                raise TimeoutError(f"the scheduler at {address} did not welcome us in {timeout} s") from None
            raise
        data = DataPeers(loop, Role.CLIENT, key, self._config)
        self.session = Session(loop, self._config, pump, TurnLock(), stream, data, lasting=bool(self._place))
        self._begin(stream)
        self._joined = True

    def _introduce(self, connection: Connection) -> Stream:
        """The first thing that is said; `_welcome` will have the answer."""
        allowed = ALLOWED[Role.SCHEDULER]
        stream = Stream(connection, self._pump, self._config, allowed, self._welcomed, self._on_closed)
        self._stream, self._welcome, self._early = stream, self._io.loop.create_future(), []
        stream.send(Register(self._name, __version__, os.getpid(), 0, "", 0, "", self._comebacks))
        return stream

    def _begin(self, stream: Stream) -> None:
        """Welcome: from now on the session hears what comes."""
        stream.on_message = self.session.received
        if self._early:
            self.session.received(stream, self._early)

    async def _look_for_another(self, text: str) -> None:
        """Another scheduler in the place of the one that is gone. If there is none, all futures end."""
        try:
            stream = await self._another()
            self._looking = None
            self._begin(stream)
            self.session.returned(stream)
        except Exception as error:  # futures wait for this: whatever it is, they must end
            if not isinstance(error, FastschedError):
                log.exception("cannot look for another scheduler")
            self.session.closed(f"{text}; {error}")

    async def _another(self) -> Stream:
        """One that has welcomed us."""
        key, loop = self._access.client_key, self._io.loop
        deadline = loop.time() + self._config.reconnect_seconds
        while True:
            try:
                found = await look_again(self._place, Role.CLIENT, key, self._config)
                self._comebacks += 1
                stream = self._introduce(found.connection)
                assert self._welcome is not None
                async with asyncio.timeout(self._config.connect_seconds):
                    await self._welcome
            except TimeoutError:  # it is stopped, or has too much to do
                self._welcome = self._stream = None
                stream.close()
                if loop.time() >= deadline:
                    raise ConnectError(f"the scheduler at {found.address} does not answer") from None
            except ConnectError:  # it has gone again
                if loop.time() >= deadline:
                    raise
            else:
                if self._stream is stream:
                    self.scheduler = str(found.address)
                    return stream

    def wait_ready(self, timeout: float | None) -> None:
        """Whoever is there is there."""

    def close(self, timeout: float | None) -> None:
        """End session, connection and I/O thread. Waits until what was to be sent is sent."""
        self._place = ""
        try:
            self.session.close(timeout)
        finally:  # also after Ctrl-C
            self._pump.post(self._pump.close)
            self._io.stop(timeout)

    def _welcomed(self, channel: Channel, messages: list[Message]) -> None:
        """The scheduler's first messages, in whatever thread reads: one may wait for futures from before."""
        self._pump.post(self._take_first, channel, messages)

    def _take_first(self, channel: Channel, messages: list[Message]) -> None:
        """In the I/O thread. (Nothing follows before the session has said something.)"""
        if channel is not self._stream:  # it was not waited for any longer
            return
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
        if channel is not self._stream:  # one that did not answer, and another one has
            return
        self._stream = None
        if self._welcome is not None and not self._welcome.done():
            error: FastschedError = ConnectError(text)
            self._welcome.set_exception(error)
        elif not self._joined or self._looking is not None:
            return
        elif self._place and not self.session.ended:
            self.session.parted(text)
            self._looking = self._io.loop.create_task(self._look_for_another(text))
        else:
            self.session.closed(text)
