"""Who fetches values from this worker.

One concern: connections of other workers and of clients, each of which asks (`GetData`) and is answered (`Data`) at
the pace at which it reads. Held by `server`, which knows the answers; everything here runs in the loop's thread.
"""

from __future__ import annotations

import itertools
import logging
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable

from fastsched.config import Config
from fastsched.errors import SerializationError
from fastsched.net.channel import Channel
from fastsched.net.stream import Connection, Stream
from fastsched.wire.messages import Data, DatumItem, GetData, Message
from fastsched.worker.machine import SCHEDULER

__all__ = ["Readers"]

log = logging.getLogger(__name__)

QUESTIONS: frozenset[type] = frozenset((GetData,))
"""All that a reader may say."""


class Readers:
    """All connections on which this worker serves values.

    Parameters
    ----------
    loop, config
        For their streams.
    ask : callable
        ``(number, question)``: has the machine answer; the answer comes by `answer`.
    """

    def __init__(self, loop: AbstractEventLoop, config: Config, ask: Callable[[int, Message], None]) -> None:
        self._loop = loop
        self._config = config
        self._ask = ask
        self._readers: dict[int, _Reader] = {}  # by the machine's number
        self._numbers = itertools.count(SCHEDULER + 1)

    @property
    def unsent(self) -> int:
        """Bytes that wait for readers."""
        return sum(reader.stream.buffered for reader in self._readers.values())

    def admit(self, connection: Connection) -> None:
        """Somebody has proved to know a key."""
        number = next(self._numbers)
        reader = self._readers[number] = _Reader(number, self._ask, self._config.high_water_bytes)
        reader.stream = Stream(
            connection,
            self._loop,
            self._config,
            QUESTIONS,
            reader.received,
            lambda channel, reason: self._readers.pop(number),
            lambda channel: channel.pause_reading(),
            reader.drained,
        )

    def answer(self, number: int, message: Message) -> None:
        """Send an answer, if its reader is still there."""
        reader = self._readers.get(number)
        if reader is None:
            return
        try:
            reader.stream.send(message)
        except SerializationError as error:  # over a limit of the wire; no answer at all would be worse
            log.error("%s cannot have a value: %s", reader.stream.label, error)
            if isinstance(message, Data):
                items = tuple(DatumItem(id, None) for id, _ in message.items)
                reader.stream.send(Data(message.request, items))

    def close(self) -> None:
        """End all connections."""
        for reader in list(self._readers.values()):
            reader.stream.close(flush=False)


class _Reader:
    """One reader. Its next question is taken when what it asked before has nearly left."""

    stream: Stream

    def __init__(self, number: int, ask: Callable[[int, Message], None], high_water_bytes: int) -> None:
        self._number = number
        self._ask = ask
        self._high_water_bytes = high_water_bytes
        self._questions: deque[Message] = deque()

    def received(self, channel: Channel, messages: list[Message]) -> None:
        self._questions += messages
        self._serve()

    def drained(self, channel: Channel) -> None:
        channel.resume_reading()
        self._serve()

    def _serve(self) -> None:
        while self._questions and self.stream.buffered <= self._high_water_bytes:
            self._ask(self._number, self._questions.popleft())
