"""Connections on which values are fetched from workers: made at the first need, kept, shared.

One concern: one question at a time turned into one answer, whatever happens to the connection. Called by clients and
by workers, in the loop's thread; knows streams, not what the values are for.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence

from fastsched.config import Config
from fastsched.errors import FastschedError
from fastsched.net.address import parse
from fastsched.net.channel import Channel
from fastsched.net.connect import connect
from fastsched.net.stream import Stream
from fastsched.wire.messages import Data, DatumItem, Frames, GetData, Message, Role

__all__ = ["DataPeers"]

logger = logging.getLogger(__name__)

Answer = Callable[[str, Sequence[DatumItem] | None], None]


class DataPeers:
    """All data connections that one process has opened.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        The loop of the calling thread.
    role : Role
        What we prove to be.
    key : bytes
        The key of that role.
    config : Config
        Limits and the time to connect.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, role: Role, key: bytes, config: Config) -> None:
        self._loop = loop
        self._role = role
        self._key = key
        self._config = config
        self._peers: dict[str, _Peer] = {}
        self._closed = False

    def ask(self, address: str, ids: Sequence[int], answer: Answer) -> None:
        """Ask the worker at `address` for values.

        `answer` is called once, in the loop's thread and never from inside this call, with the address and the items,
        or None if it cannot be reached or left before it answered.
        """
        if self._closed:
            self._loop.call_soon(answer, address, None)
            return
        peer = self._peers.get(address)
        if peer is None:
            peer = self._peers[address] = _Peer(address)
            peer.opening = self._loop.create_task(self._open(peer))
        peer.ask(tuple(ids), answer)

    def get(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """Ask one after the other of `addresses` for one value; `answer` gets it, or None if none of them has it."""
        rest = list(addresses)

        def next_one(_: str, items: Sequence[DatumItem] | None) -> None:
            frames = next((frames for found, frames in items if found == id), None) if items is not None else None
            if frames is not None or not rest:
                answer(frames)
            else:
                self.ask(rest.pop(0), (id,), next_one)

        next_one("", None)

    def close(self) -> None:
        """End all connections; what was asked is answered with None."""
        self._closed = True
        for peer in list(self._peers.values()):
            self._drop(peer)

    async def _open(self, peer: _Peer) -> None:
        try:
            connection = await connect(parse(peer.address), self._role, self._key, self._config)
        except (FastschedError, OSError) as error:
            logger.info("no data from %s: %s", peer.address, error)
            self._drop(peer)
            return
        stream = Stream(
            connection,
            self._loop,
            self._config,
            _ANSWERS,
            lambda _, messages: peer.received(messages),
            lambda _, reason: self._drop(peer),
        )
        if self._peers.get(peer.address) is not peer:  # closed meanwhile
            stream.close(flush=False)
            return
        peer.opened(stream)

    def _drop(self, peer: _Peer) -> None:
        if self._peers.get(peer.address) is peer:
            del self._peers[peer.address]
        for answer in peer.end():
            self._loop.call_soon(answer, peer.address, None)


class _Peer:
    """One worker and what it was asked."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.opening: asyncio.Task[None] | None = None
        self._channel: Channel | None = None
        self._requests = itertools.count(1)
        self._asked: dict[int, _Question] = {}
        self._unsent: list[Message] = []

    def ask(self, ids: tuple[int, ...], answer: Answer) -> None:
        request = next(self._requests)
        self._asked[request] = _Question(ids, answer)
        if self._channel is None:
            self._unsent.append(GetData(request, ids))
        else:
            self._channel.send(GetData(request, ids))

    def opened(self, channel: Channel) -> None:
        self._channel = channel
        for message in self._unsent:
            channel.send(message)
        self._unsent.clear()

    def received(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if isinstance(message, Data):
                question = self._asked.get(message.request)
                if question is not None and question.is_answered_by(message.items):
                    del self._asked[message.request]
                    question.answer(self.address, question.items)

    def end(self) -> list[Answer]:
        """Close; gives back who still waits."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close(flush=False)
        answers = [question.answer for question in self._asked.values()]
        self._asked.clear()
        return answers


class _Question:
    """What one worker was asked at once. A long answer comes in several messages."""

    __slots__ = ("_missing", "answer", "items")

    def __init__(self, ids: tuple[int, ...], answer: Answer) -> None:
        self._missing = set(ids)
        self.answer = answer
        self.items: list[DatumItem] = []

    def is_answered_by(self, items: Sequence[DatumItem]) -> bool:
        """Take in some of the answer; whether that was all."""
        self.items += items
        self._missing.difference_update([item[0] for item in items])
        return not self._missing


_ANSWERS: frozenset[type] = frozenset((Data,))
