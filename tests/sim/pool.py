"""Processes that run seeds, as many as there are cores.

One concern: have blocks of seeds run somewhere, and name each seed that fails: also the one that ends its process, and
the one that never comes to an end. The children are `seeds`, run as a program.
"""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from time import monotonic

from tests.sim.seeds import BEGINS, DONE, FAILED, Failure

__all__ = ["Block", "Pool"]

Block = tuple[int, ...]

MOST_SECONDS = 120.0
"""For one seed, which takes a tenth of a second: after that it hangs, outside the virtual clock."""

CHILD = (sys.executable, "-m", "tests.sim.seeds")

ROOT = Path(__file__).parents[2]


class Pool:
    """Runs blocks of seeds.

    Parameters
    ----------
    blocks : iterable of tuple of int
        What to run, in about this order.
    processes : int
        How many at once; 0: one for each core.
    program : sequence of str
        The children.
    most_seconds : float
        See `MOST_SECONDS`.
    """

    def __init__(
        self,
        blocks: Iterable[Block],
        processes: int = 0,
        program: Sequence[str] = CHILD,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        self._blocks = iter(blocks)
        self._program = program
        self._most_seconds = most_seconds
        self._selector = selectors.DefaultSelector()
        self._children: list[_Child] = []
        self._results: dict[Block, list[Failure]] = {}
        for _ in range(processes or _cores()):
            self._feed(_Child(program))

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for child in self._children:
            child.end()
        self._selector.close()

    def finished(self) -> Iterator[tuple[Block, list[Failure]]]:
        """Each block when it is through, with the seeds that failed."""
        while self._results or self._children:
            while self._results:
                yield self._results.popitem()
            self._wait()

    def result(self, block: Block) -> list[Failure]:
        """The failures of this block, when it is through."""
        while block not in self._results:
            self._wait()
        return self._results.pop(block)

    def _feed(self, child: _Child) -> None:
        block = next(self._blocks, None)
        if block is None:
            child.end()
            return
        child.run(block)
        self._children.append(child)
        self._selector.register(child.out, selectors.EVENT_READ, child)

    def _wait(self) -> None:
        """Until some child has something to say, or is late."""
        for key, _ in self._selector.select(self._most_seconds / 10):
            self._listen(key.data)
        for child in list(self._children):
            if monotonic() - child.since > self._most_seconds:
                self._replace(child, f"did not end within {self._most_seconds:g} s")

    def _listen(self, child: _Child) -> None:
        for line in child.read():
            word, _, rest = line.partition(" ")
            if word == BEGINS:
                child.begins(int(rest))
            elif word == FAILED:
                child.failures.append(Failure(*json.loads(rest)))
            elif word == DONE:
                self._forget(child)
                self._results[child.block] = child.failures
                self._feed(child)
        if child.gone:
            self._replace(child, f"ended its process with {child.end()}")

    def _replace(self, child: _Child, why: str) -> None:
        """A seed has cost us a child: another one runs the rest of its block."""
        self._forget(child)
        code = child.end()
        if child.seed is None:
            raise RuntimeError(f"{' '.join(self._program)} ended with {code} before it began anything")
        rest = child.block[child.block.index(child.seed) + 1 :]
        heir = _Child(self._program)
        heir.run(child.block, rest)
        heir.failures = [*child.failures, Failure(child.seed, why, "")]
        self._children.append(heir)
        self._selector.register(heir.out, selectors.EVENT_READ, heir)

    def _forget(self, child: _Child) -> None:
        self._children.remove(child)
        self._selector.unregister(child.out)


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Child:
    """One process."""

    def __init__(self, program: Sequence[str]) -> None:
        self._process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self.out = self._process.stdin, self._process.stdout
        self._rest = b""
        self.gone = False

    def run(self, block: Block, seeds: Sequence[int] | None = None) -> None:
        """Have it run a block, or only these `seeds` of it."""
        self.block = block
        self.failures: list[Failure] = []
        self.seed: int | None = None
        self.since = monotonic()
        self._in.write(json.dumps(block if seeds is None else seeds).encode() + b"\n")
        self._in.flush()

    def begins(self, seed: int) -> None:
        """It runs this one now."""
        self.seed = seed
        self.since = monotonic()

    def read(self) -> Iterator[str]:
        """Whole lines that it has said."""
        data = os.read(self.out.fileno(), 1 << 16)
        self.gone = not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        return (line.decode() for line in lines)

    def end(self) -> int:
        """Have it end, whatever it does; its exit code."""
        self._in.close()
        self.out.close()
        if not self.gone:
            self._process.kill()
        return self._process.wait()
