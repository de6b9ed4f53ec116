"""The scheduler's representative in ``fastsched-worker``: it hears how workers end, and says which were let in.

One concern: a `spawn.crew.Overseer` that passes everything on over a connection. Called by the command; imports net and
the vocabulary. Without that connection workers work all the same; only what killed one would not be known.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from fastsched._version import __version__
from fastsched.config import Config
from fastsched.errors import FastschedError
from fastsched.net.access import AccessFile
from fastsched.net.channel import Channel
from fastsched.net.connect import connect
from fastsched.net.stream import Stream
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import (
    Despair,
    Dismiss,
    Expect,
    Message,
    Obituary,
    Oversee,
    Pressure,
    Refuse,
    Retire,
    Role,
    Welcome,
)

__all__ = ["RemoteOverseer"]

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.5
"""Between attempts to reach the scheduler after the connection has ended."""

Access = Callable[[], AccessFile]


class RemoteOverseer:
    """A connection to the scheduler.

    Parameters
    ----------
    name : str
        What to be called there.
    config : Config
        Limits of the wire.
    find : callable
        Where the scheduler is now, and its keys.

    Attributes
    ----------
    on_joined, on_lost : callable
        Told the name of each worker that was let in; that of each that is gone for the scheduler, and why.
    on_left : callable
        Told the name of each worker that leaves as planned.
    on_ended : callable
        Told that the connection has ended; it is tried to get another one.
    """

    def __init__(self, name: str, config: Config, find: Access) -> None:
        self.on_joined: Callable[[str], object] = _ignore
        self.on_lost: Callable[[str, str], object] = _ignore
        self.on_left: Callable[[str], object] = _ignore
        self.on_ended: Callable[[], object] = _ignore
        self._name = name
        self._config = config
        self._find = find
        self._stream: Stream | None = None
        self._expected: set[str] = set()  # workers whose end is to be told
        self._retiring: set[str] = set()  # of them, those that shall leave
        self._ended = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Connect, and stay connected.

        Raises
        ------
        FastschedError
            The scheduler cannot be reached.
        """
        await self._connect()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the connection."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._stream is not None:
            self._stream.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return not self._ended.is_set()

    async def _connect(self) -> None:
        access = self._find()
        connection = await connect(access.address, Role.WORKER, access.worker_key, self._config)
        loop = asyncio.get_running_loop()
        self._ended.clear()
        self._stream = Stream(connection, loop, self._config, ALLOWED[Role.SCHEDULER], self._received, self._closed)
        self._stream.send(Oversee(self._name, __version__))
        self._stream.send(Expect(tuple(self._expected)))
        if self._retiring:
            self._stream.send(Retire(tuple(self._retiring)))

    async def _keep(self) -> None:
        while True:
            await self._ended.wait()
            await asyncio.sleep(AGAIN_SECONDS)
            try:
                await self._connect()
            except FastschedError as error:
                log.debug("the scheduler cannot be reached: %s", error)

    # -- see `spawn.crew.Overseer` ------------------------------------------------------------------------------------

    def expect(self, name: str) -> None:
        """See there."""
        self._expected.add(name)
        self._say(Expect((name,)))

    def worker_died(self, name: str, how: str, executing: Sequence[int] | None, stderr: str) -> None:
        """See there."""
        self._expected.discard(name)
        self._retiring.discard(name)
        self._say(Obituary(name, how, executing is not None, tuple(executing or ()), stderr))

    def pressed(self, name: str, pressed: bool) -> None:
        """See there."""
        self._say(Pressure(name, pressed))

    def retire(self, names: Iterable[str]) -> None:
        """See there."""
        self._retiring.update(names)
        self._say(Retire(tuple(names)))

    def give_up(self, text: str) -> None:
        """See there."""
        self._say(Despair(text))

    def _say(self, message: Message) -> None:
        if self._stream is not None and not self._ended.is_set():
            self._stream.send(message)

    # -- the connection -----------------------------------------------------------------------------------------------

    def _received(self, channel: Channel, messages: list[Message]) -> None:
        for message in messages:
            match message:
                case Welcome(name):
                    self.on_joined(name)
                case Dismiss(name, reason):
                    self.on_lost(name, reason)
                case Retire(names):
                    for name in names:
                        self.on_left(name)
                case Refuse(text):
                    log.error("the scheduler does not let us oversee workers: %s", text)

    def _closed(self, channel: Channel, reason: Exception | None) -> None:
        self._ended.set()
        self.on_ended()


def _ignore(name: str = "", why: str = "") -> None:
    """Nobody has asked to hear of workers."""
