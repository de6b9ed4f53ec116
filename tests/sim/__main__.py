"""Seeds without pytest: one, with all that happens in it, or any number.

One concern: the command line. ``python -m tests.sim 1234`` runs a seed here and prints its journal if it fails;
``python -m tests.sim --seeds 1000000`` (``make sim``) runs many on all cores and lists those that fail.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from time import monotonic

from tests.sim.pool import Pool
from tests.sim.scenarios import KINDS, cluster_of, kind_of
from tests.sim.seeds import blocks_of, command, run_seed

EVERYTHING = 1_000_000_000
PROGRESS_SECONDS = 10.0


def main(arguments: list[str] | None = None, say: Callable[[str], object] = print) -> int:
    """Run what the command line names; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__.partition("\n")[0])
    parser.add_argument("seed", nargs="?", type=int, help="run this one alone, and print its journal if it fails")
    parser.add_argument("--journal", action="store_true", help="print the journal of that one in any case")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default: %(default)s)")
    parser.add_argument("--kind", action="append", default=[], choices=[kind.name for kind in KINDS])
    parser.add_argument("--processes", type=int, default=0, help="how many (default: one for each core)")
    parser.add_argument("--most-failures", type=int, default=20, help="stop after so many (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.seed is not None:
        return _run_one(chosen.seed, chosen.journal, say)
    return _run_many(chosen, say)


def _run_one(seed: int, journal: bool, say: Callable[[str], object]) -> int:
    failure = run_seed(seed, EVERYTHING)
    if failure is not None:
        say(str(failure))
    elif journal:
        cluster = cluster_of(seed)
        cluster.finish()
        say("\n".join(cluster.world.journal.lines()))
    say(f"{kind_of(seed).name} {seed}: {'FAILED' if failure else 'ok'}")
    return 0 if failure is None else 1


def _run_many(chosen: argparse.Namespace, say: Callable[[str], object]) -> int:
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    kinds = frozenset(chosen.kind)
    total = sum(len(block) for block in blocks_of(seeds, kinds))
    began = said = monotonic()
    done = 0
    failed: list[int] = []
    with Pool(blocks_of(seeds, kinds), chosen.processes) as pool:
        for block, failures in pool.finished():
            done += len(block)
            for failure in failures:
                failed.append(failure.seed)
                say(failure.headline)
            now = monotonic()
            if now - said > PROGRESS_SECONDS or done == total:
                said = now
                pace = done / (now - began)
                left = (total - done) / pace / 60
                say(f"{done:,} of {total:,} seeds, {pace:.0f} a second, {len(failed)} failed, {left:.0f} minutes left")
            if len(failed) >= chosen.most_failures:
                say(f"enough: {len(failed)} seeds have failed")
                break
    for seed in sorted(failed):
        say(f"FAILED {kind_of(seed).name} {seed}: {command(seed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
