"""Connections between the nodes of a simulated cluster.

One concern: bytes from one end to the other. Within one direction of one connection they keep their order, as on a
socket; everything else is left to the seed: how long they travel, in which pieces they arrive, whether a direction
stands still for a while, and how much of what a dying process had written still arrives. Each message is encoded and
decoded by the real codec.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import NamedTuple

from fastsched.config import Config
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.messages import Message, Pulse
from tests.sim.clock import Clock, Event, Process
from tests.sim.journal import Journal

__all__ = ["End", "Network", "Weather"]


class Weather(NamedTuple):
    """How a network behaves."""

    latency: float  # seconds; each direction of each connection has its own, up to twice as much
    jitter: float  # seconds on top, for each message anew
    stalls: float  # probability that a direction stands still before a message...
    stall: float  # ...for up to so many seconds
    cuts: float  # probability that a message arrives in pieces
    breaks: float  # probability that a connection for data is lost after a while

    @classmethod
    def by(cls, rng: random.Random) -> Weather:
        """The weather of a seed."""
        latency = rng.choice((0.0, 20e-6, 100e-6, 2e-3))
        return cls(
            latency,
            rng.choice((0.0, 50e-6, 1e-3, 10e-3)),
            rng.choice((0.0, 0.02)),
            0.05,
            rng.choice((0.0, 0.2, 0.8)),
            rng.choice((0.0, 0.0, 0.3)),
        )


class End:
    """One end of a connection.

    Attributes
    ----------
    on_messages : callable
        Told messages that have arrived together.
    on_closed : callable
        Told once, when the other end has closed or died and everything that came before has been delivered.
    open : bool
        Whether this end takes part: it did not close, and it has not heard that the other one did.
    process : Process or None
        Who reads here, if that can be stopped.
    said_at : float
        When something was sent last.
    """

    def __init__(self, network: Network, name: str, allowed: frozenset[type]) -> None:
        self.name = name
        self.on_messages: Callable[[list[Message]], object] = _nothing
        self.on_closed: Callable[[], object] = _nothing
        self.open = True
        self.process: Process | None = None
        self.said_at = 0.0
        self._network = network
        self._decoder = Decoder(network.config, allowed)  # of what arrives here
        self._under_way: list[Event] = []  # to here, in order
        self._last = 0.0  # when the last of it arrives
        self._latency = network.latency()
        self._other: End = self

    def join(self, other: End) -> None:
        """Make a connection of two ends."""
        self._other, other._other = other, self

    @property
    def is_heard(self) -> bool:
        """Whether somebody is at the other end."""
        return self._other.open

    def send(self, message: Message) -> None:
        """Send it, in order; nothing once closed."""
        if self.open:
            self._network.journal.note(self.name, "sends", message)
            self.said_at = self._network.clock.now
            self._other._carry(b"".join(encode(message, self._network.config)), isinstance(message, Pulse))

    def close(self) -> None:
        """Everything that was sent arrives, then the end."""
        if self.open:
            self.open = False
            self._other._carry(None, False)

    def die(self) -> None:
        """The process is gone: of what it wrote last some may be lost, also in the middle of a message."""
        if self.open:
            self.open = False
            self._other._lose_tail()
            self._other._carry(None, False)

    def sever(self) -> None:
        """The connection breaks: both ends hear of it some time, and what was sent last may be lost."""
        for end in (self, self._other):
            if end.open:
                end._lose_tail()
                end._carry(None, False)

    # -- at the receiving end ------------------------------------------------------------------------------------------

    def _carry(self, data: bytes | None, background: bool) -> None:
        """Plan the arrival of bytes, or of the end (None)."""
        network = self._network
        arrival = network.clock.at if self.process is None else self.process.arrival
        self._last = max(self._last, network.clock.now + self._latency + network.delay())
        for piece in (None,) if data is None else network.pieces(data):
            self._last += network.gap()
            self._under_way.append(arrival(self._last, lambda piece=piece: self._arrived(piece), background))

    def _lose_tail(self) -> None:
        kept = self._network.rng.randint(0, len(self._under_way))
        for event in self._under_way[kept:]:
            event.cancel()
        del self._under_way[kept:]

    def _arrived(self, piece: bytes | None) -> None:
        self._under_way.pop(0)
        if not self.open:
            return
        if piece is None:
            self.open = False
            self.on_closed()
            return
        messages = self._decoder.feed(piece)
        if messages:
            for message in messages:
                self._network.journal.note(self.name, "receives", message)
            self.on_messages(messages)


class Network:
    """Makes connections.

    Parameters
    ----------
    clock : Clock
        When things arrive.
    rng : random.Random
        Everything that is left to chance.
    config : Config
        Limits of the wire.
    weather : Weather
        What is to be expected.
    journal : Journal
        Notes each message.
    """

    def __init__(self, clock: Clock, rng: random.Random, config: Config, weather: Weather, journal: Journal) -> None:
        self.clock = clock
        self.rng = rng
        self.config = config
        self.weather = weather
        self.journal = journal

    def connect(self, one: str, from_one: frozenset[type], two: str, from_two: frozenset[type]) -> tuple[End, End]:
        """A connection of two names, and what each of them may send."""
        first, second = End(self, f"{one}>{two}", from_two), End(self, f"{two}>{one}", from_one)
        first.join(second)
        return first, second

    def latency(self) -> float:
        """Of one direction of one connection."""
        return self.weather.latency * self.rng.uniform(1.0, 2.0)

    def delay(self) -> float:
        """Of one message, on top."""
        weather, rng = self.weather, self.rng
        delay = weather.jitter * rng.random()
        return delay + weather.stall * rng.random() if weather.stalls and rng.random() < weather.stalls else delay

    def breaks(self) -> bool:
        """Whether a connection for data will be lost."""
        return self.weather.breaks > 0.0 and self.rng.random() < self.weather.breaks

    def gap(self) -> float:
        """Between pieces that arrive one after the other."""
        return self.weather.jitter * 0.1 * self.rng.random()

    def pieces(self, data: bytes) -> list[bytes]:
        """Cut the bytes of a message."""
        if self.rng.random() >= self.weather.cuts:
            return [data]
        cuts = sorted(self.rng.randrange(len(data)) for _ in range(self.rng.randint(1, 4)))
        bounds = [0, *cuts, len(data)]
        return [data[start:stop] for start, stop in itertools.pairwise(bounds) if start < stop]


def _nothing(*_: object) -> None:
    """Nobody listens."""
