"""What all nodes of a simulated cluster share.

One concern: time, chance, network, configuration, the journal, and what is known about every key: the call behind it
and what it must give.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from copy import copy
from hashlib import blake2b
from typing import NamedTuple

from fastsched.config import KIB, MIB, Config
from tests.sim.clock import Clock, Process
from tests.sim.journal import Journal
from tests.sim.language import Call, Value
from tests.sim.ledger import Ledger
from tests.sim.network import Network, Weather
from tests.sim.oracle import Good, Oracle, Outcome

__all__ = ["Checks", "Spec", "World", "config_by"]


class Checks:
    """When a machine recomputes its invariants.

    After each step, or each k-th by the seed; less often the more there is to look at. (And at the end, all of them.)

    Parameters
    ----------
    rng : random.Random
        Draws k.
    """

    def __init__(self, rng: random.Random) -> None:
        self._every = rng.choice((1, 5, 20, 60))
        self._owed = 0

    def due(self, size: int) -> bool:
        """A step was made by a machine that has so many tasks and values: now?"""
        self._owed += 1
        if self._owed < self._every * (1 + size // 20):
            return False
        self._owed = 0
        return True


class Spec(NamedTuple):
    """What a key stands for."""

    key: str
    expected: Outcome


def config_by(rng: random.Random) -> Config:
    """Limits and policies of a seed: from absurdly small to the defaults, so that every limit is met somewhere."""
    return Config(
        frame_bytes=rng.choice((256, 4 * KIB, 64 * MIB)),
        control_bytes=rng.choice((16 * KIB, 256 * MIB)),
        attach_bytes=rng.choice((64, 16 * KIB)),
        batch_items=rng.choice((1, 4, 10_000)),
        functions=rng.choice((3, 10_000)),
        inline_bytes=rng.choice((0, 64, 1 * KIB, 64 * KIB)),
        inline_budget=rng.choice((0, 500, 64 * MIB)),
        retain_budget=rng.choice((0, 500, 256 * MIB)),
        allowed_failures=rng.choice((0, 1, 3)),
        prefill_seconds=rng.choice((0.0, 0.005, 0.05)),
        prefill_unknown=rng.choice((0, 1, 8)),
        prefill_most=rng.choice((0, 4, 64)),
        local_tasks=rng.choice((1, 1, 1, 1, 0)),
        locality_bytes=rng.choice((1, 1 * KIB, 1 * MIB)),
    )


class World:
    """The ground on which a simulated cluster stands.

    Parameters
    ----------
    seed : int
        Decides everything that is left to chance.
    config : dict
        Fields of `Config` that are not left to it.
    """

    def __init__(self, seed: int, **config: float) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        drawn = config_by(self.rng)
        self.config = Config(**{**drawn.as_dict(), **config})  # type: ignore[arg-type]
        clock = Clock()
        self.clock: Clock | Process = clock
        self.journal = Journal(clock)
        self.weather = Weather.by(self.rng)
        self.network = Network(clock, self.rng, self.config, self.weather, self.journal)
        self.ledger = Ledger(self.config.allowed_failures)
        self.oracle = Oracle()
        self.specs: dict[str, Spec] = {}
        self.pulses = False  # whether workers let themselves be heard; as in a real cluster, but it takes time
        self._numbers = itertools.count(1)
        self._lateness = self.rng.choice((0.0, 20e-6, 500e-6))  # of threads and loops that have something to do
        self._preemption = self.rng.choice((0.0, 0.1))

    def lateness(self) -> float:
        """How long it takes until a thread or a loop does what it has to do."""
        return self._lateness * self.rng.random()

    def preempts(self) -> bool:
        """Whether a thread loses the processor between two operations."""
        return self._preemption > 0.0 and self.rng.random() < self._preemption

    def number(self) -> int:
        """A number that was not used before."""
        return next(self._numbers)

    def process(self) -> World:
        """The same world, as a process sees it: one that can be stopped has a time of its own."""
        seen = copy(self)
        seen.clock = Process(self.clock)
        return seen

    def key_of(self, call: Call, inputs: Sequence[str], pins: Sequence[str]) -> str:
        """The key of a call whose futures have these keys, noted with what the call must give.

        `pins`: with the keys of its names.
        """
        if call.pure:
            what = repr((call.program, call.args, call.retries, tuple(inputs), tuple(pins)))
            key = f"{call.program}-{blake2b(what.encode(), digest_size=6).hexdigest()}"
        else:
            key = f"{call.program}-u{self.number()}"
        if key not in self.specs:
            expected = self.oracle.outcome(call, self._expected(inputs), self._expected(pins))
            self.specs[key] = Spec(key, expected)
            self.ledger.depends(key, (*inputs, *pins))
        return key

    def key_of_value(self, value: Value, keys: Sequence[str]) -> str:
        """The key of a scattered value that holds futures of these keys."""
        key = f"value-{self.number()}"
        self.specs[key] = Spec(key, self.oracle.value(value._replace(handles=tuple(self._expected(keys)))))
        self.ledger.scattered.add(key)
        return key

    def expected(self, key: str) -> Outcome:
        """What a key must give."""
        return self.specs[key].expected

    def runs(self, key: str) -> bool:
        """Whether a key stands for a task that runs: it was not scattered, and no input fails."""
        return key not in self.ledger.scattered and isinstance(self.expected(key), Good)

    def _expected(self, keys: Sequence[str]) -> list[Outcome]:
        return [self.specs[key].expected for key in keys]
