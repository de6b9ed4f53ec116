"""Connections on which values are fetched from workers: what `net.data` is in a real process.

One concern: one question at a time turned into one answer, whatever becomes of the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from fastsched.wire.messages import Data, Frames, GetData, Message
from tests.sim.network import End
from tests.sim.world import World

__all__ = ["DataServer", "Directory", "Fetcher"]

ASKS: frozenset[type] = frozenset((GetData,))
ANSWERS: frozenset[type] = frozenset((Data,))

Answer: TypeAlias = Callable[[dict[int, Frames | None] | None], None]


class DataServer(Protocol):
    """Somebody who serves values."""

    name: str

    def serve(self, end: End) -> None:
        """Let in a connection."""


Directory: TypeAlias = dict[str, DataServer]
"""By address, those that are alive."""


class Fetcher:
    """The data connections of one process.

    Parameters
    ----------
    world : World
        The ground.
    name : str
        Whose.
    directory : Directory
        Whom to find where.
    """

    def __init__(self, world: World, name: str, directory: Directory) -> None:
        self._world = world
        self._name = name
        self._directory = directory
        self._peers: dict[str, _Peer] = {}
        self._alive = True

    def ask(self, address: str, ids: Sequence[int], answer: Answer) -> None:
        """Ask the worker at `address` for values; None: it cannot be reached, or left before it answered.

        Never answered from inside.
        """
        peer = self._peers.get(address)
        if peer is None:
            server = self._directory.get(address)
            if server is None:
                self._world.clock.after(self._world.lateness() + 50e-6, lambda: self._unreachable(answer))
                return
            mine, theirs = self._world.network.connect(f"{self._name}.data", ASKS, server.name, ANSWERS)
            mine.process = self._world.clock
            peer = self._peers[address] = _Peer(self._world, mine, lambda: self._peers.pop(address))
            server.serve(theirs)
            if self._world.network.breaks():
                self._world.clock.after(self._world.rng.random() * 5e-3, peer.break_off)
        peer.ask(tuple(ids), answer)

    def _unreachable(self, answer: Answer) -> None:
        if self._alive:
            answer(None)

    def get(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """Ask one after the other of `addresses` for one value; `answer` gets it, or None if none of them has it."""
        first, *rest = addresses

        def answered(items: dict[int, Frames | None] | None) -> None:
            frames = items and items[id]
            if frames or not rest:
                answer(frames or None)
            else:
                self.get(id, rest, answer)

        self.ask(first, (id,), answered)

    def stop(self, *, dead: bool) -> None:
        """End all connections; nobody is answered any more."""
        self._alive = False
        for peer in list(self._peers.values()):
            peer.stop(dead=dead)


class _Peer:
    """One worker and what it was asked."""

    def __init__(self, world: World, end: End, gone: Callable[[], object]) -> None:
        self._world = world
        self._end = end
        self._gone = gone
        self._asked: dict[int, tuple[set[int], dict[int, Frames | None], Answer]] = {}
        end.on_messages = self._received
        end.on_closed = self._closed

    def ask(self, ids: tuple[int, ...], answer: Answer) -> None:
        request = self._world.number()
        self._asked[request] = (set(ids), {}, answer)
        self._end.send(GetData(request, ids))

    def stop(self, *, dead: bool) -> None:
        self._asked.clear()
        if dead:
            self._end.die()
        else:
            self._end.close()

    def break_off(self) -> None:
        """The connection is lost, both processes go on."""
        if self._end.open:
            self._end.die()
            self._closed()

    def _received(self, messages: list[Message]) -> None:
        for message in messages:
            assert isinstance(message, Data)
            missing, found, answer = self._asked[message.request]
            for id, frames in message.items:
                missing.remove(id)
                found[id] = frames
            if not missing:
                del self._asked[message.request]
                answer(found)

    def _closed(self) -> None:
        self._gone()
        asked, self._asked = self._asked, {}
        for _, _, answer in asked.values():
            answer(None)
