"""One seed after the other: which there are, and what is said of one that fails.

One concern: run a seed and put its failure into words. As a program it is the child of a `pool`: it reads lines of
seeds, says of each that it begins (so that the parent knows which one has ended the process), and what failed.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import NamedTuple

from tests.sim.scenarios import KINDS, cluster_of, kind_of

__all__ = ["BEGINS", "DONE", "FAILED", "MOST_IN_BLOCK", "Failure", "blocks_of", "command", "run_seed"]

LAST_LINES = 200
"""Of the journal; all of it is printed when the seed is run again."""

MOST_IN_BLOCK = 50

BEGINS, FAILED, DONE = "begins", "failed", "done"
"""What a child says: a line is one of these words, and what belongs to it."""


class Failure(NamedTuple):
    """A seed that failed."""

    seed: int
    why: str  # in one line
    text: str  # traceback, configuration, and the last of what happened

    def __str__(self) -> str:
        return f"{self.text}\n{self.headline}"

    @property
    def headline(self) -> str:
        """What happened, and how to see it again."""
        return f"{kind_of(self.seed).name} {self.seed}: {self.why}\n    again, with all of it: {command(self.seed)}"


def command(seed: int) -> str:
    """What to type to see this seed again."""
    return f"python -m tests.sim {seed}"


def run_seed(seed: int, most_lines: int = LAST_LINES) -> Failure | None:
    """Run it to its end; None: all is well."""
    cluster = None
    try:
        cluster = cluster_of(seed)
        cluster.finish()
    except Exception as error:
        why = traceback.format_exception_only(error)[-1].strip().partition("\n")[0]
        parts = []
        if cluster is not None:
            parts += list(cluster.world.journal.lines())[-most_lines:]
            parts += [f"{kind_of(seed).name}: {cluster.world.weather}, {cluster.scheduler.detection}"]
            parts += [str(cluster.world.config)]
        return Failure(seed, why, "\n".join([*parts, traceback.format_exc()]))
    return None


def blocks_of(seeds: range, kinds: frozenset[str] = frozenset()) -> Iterator[tuple[int, ...]]:
    """These seeds in handy parts, each of one kind. `kinds`: only these; empty: all."""
    size = MOST_IN_BLOCK * len(KINDS)
    for start in range(seeds.start, seeds.stop, size):
        part = range(start, min(start + size, seeds.stop))
        for offset in range(min(len(KINDS), len(part))):
            block = tuple(part[offset :: len(KINDS)])
            if not kinds or kind_of(block[0]).name in kinds:
                yield block


def _serve() -> None:
    """The life of a pool's child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's affair, which ends us
    gc.freeze()
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever is printed goes elsewhere
    for line in sys.stdin:
        for seed in json.loads(line):
            print(BEGINS, seed, file=out)
            failure = run_seed(seed)
            if failure is not None:
                print(FAILED, json.dumps(failure), file=out)
        print(DONE, file=out)


if __name__ == "__main__":
    _serve()
