"""The gate: does a task still cost what it cost? For CI, so it looks only at what is stable there.

    python benchmarks/gate.py                  # fails if a bound is exceeded, or the build is not the right one
    python benchmarks/gate.py --no-count       # without valgrind, even if it is installed
    python benchmarks/gate.py --propose        # what the table below would be from this run

Never a time. Instructions per task, counted by valgrind, are the same in every run; without valgrind, time on the
processor divided by that of a fixed loop of Python in the same run. Beside them wake-ups, which the kernel counts. The
table below is the only place with numbers. A change that makes something cheaper takes its bound down with it: paste
the lines that ``--propose`` prints.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks import kernel, wakeups
from benchmarks.comparing import machine
from benchmarks.comparing.tables import aligned
from benchmarks.gating import measures

__all__ = ["BOUNDS", "Bound", "main", "verdicts"]


@dataclass(frozen=True)
class Bound:
    """What something was, and what it must not exceed."""

    measured: float
    limit: float


INSTRUCTIONS = "instructions per task"
RATIO = "times a fixed loop"
WAKEUPS = "wake-ups"

# Measured with Python 3.11 and gcc 12 (instructions), and on a busy machine of two cores (the others).
BOUNDS: dict[str, dict[str, Bound]] = {
    INSTRUCTIONS: {
        "core": Bound(2_190, 2_920),
        "core, one by one": Bound(6_540, 8_720),
        "scheduler": Bound(25_100, 33_500),
        "scheduler, all wanted": Bound(23_600, 31_400),
        "scheduler, one by one": Bound(58_200, 77_600),
        "wire": Bound(5_670, 7_550),
        "wire, one by one": Bound(13_400, 17_900),
        "call": Bound(22_000, 29_300),
        "worker, one by one": Bound(28_800, 38_500),
    },
    RATIO: {
        "core": Bound(0.18, 0.37),
        "core, one by one": Bound(0.31, 0.63),
        "scheduler": Bound(1.6, 3.3),
        "scheduler, all wanted": Bound(1.6, 3.2),
        "scheduler, one by one": Bound(4.5, 9.0),
        "wire": Bound(0.28, 0.56),
        "wire, one by one": Bound(0.82, 1.7),
        "call": Bound(1.5, 3.0),
        "worker, one by one": Bound(2.3, 4.7),
    },
    WAKEUPS: {
        "a round trip": Bound(1.9, 3.0),
        "a round trip, scheduler apart": Bound(4.5, 6.0),
        "idle, a second": Bound(0.0, 10.0),
    },
}

ROOM = {INSTRUCTIONS: 4 / 3, RATIO: 2.0, WAKEUPS: 1.25}
"""What a proposed bound leaves above the measured value: for other versions of Python and compilers, and for noise."""

IDLE = 10.0  # wake-ups a second, where none is measured
TRIPS = 500


@dataclass(frozen=True)
class Verdict:
    """One line of the outcome."""

    what: str
    unit: str
    value: float
    bound: Bound

    @property
    def held(self) -> bool:
        """Whether it is within its bound."""
        return self.value <= self.bound.limit


def verdicts(unit: str, values: Mapping[str, float]) -> Iterator[Verdict]:
    """Hold each value against its bound; a bound that nothing was measured for is a mistake of ours (KeyError)."""
    for what, bound in BOUNDS[unit].items():
        yield Verdict(what, unit, values[what], bound)


def wakeup_counts() -> dict[str, float]:
    """Wake-ups of a round trip, and of a second in which nothing happens."""
    return {
        "a round trip": _wakeups_of_a_trip("fastsched"),
        "a round trip, scheduler apart": _wakeups_of_a_trip("four-hops"),
        "idle, a second": sum(counts.wakeups for counts in wakeups.idle().values()),
    }


def _wakeups_of_a_trip(subject: str) -> float:
    with wakeups.watch(subject) as (client, processes):
        _, used = wakeups.used_for(processes, wakeups.trips_of(client, inside=False, rate=None), TRIPS)
    return kernel.together(counts for threads in used.values() for counts in threads.values()).wakeups / TRIPS


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-count", action="store_true", help="do not count instructions")
    parser.add_argument("--propose", action="store_true", help="print new lines for the table; fails at nothing")
    options = parser.parse_args(arguments)
    try:
        machine.refuse_what_is_not_built()
    except machine.WrongBuildError as error:
        sys.exit(f"gate: {error}")
    counting = measures.can_count() and not options.no_count
    found = list(verdicts(INSTRUCTIONS, measures.instructions()) if counting else verdicts(RATIO, measures.ratios()))
    if kernel.available():
        found += verdicts(WAKEUPS, wakeup_counts())
    if options.propose:
        print("\n".join(map(_proposed, found)))
        return
    print("\n".join(_table(found)))
    exceeded = [verdict.what for verdict in found if not verdict.held]
    if exceeded:
        sys.exit(f"gate: these cost more than they may: {'; '.join(exceeded)}")


def _table(found: Sequence[Verdict]) -> list[str]:
    head = ("what", "unit", "now", "measured", "bound", "")
    rows = [
        (
            v.what,
            v.unit,
            _short(v.value),
            _short(v.bound.measured),
            f"≤ {_short(v.bound.limit)}",
            "" if v.held else "EXCEEDED",
        )
        for v in found
    ]
    return aligned([head, *rows])


def _proposed(verdict: Verdict) -> str:
    """A line for `BOUNDS`."""
    limit = ROOM[verdict.unit] * verdict.value or IDLE
    return f'"{verdict.what}": Bound({_digits(verdict.value)}, {_digits(limit)}),'


def _digits(value: float) -> str:
    """A literal with three digits."""
    return f"{int(float(f'{value:.3g}')):_}" if value >= 1000 else f"{float(f'{value:.3g}')}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
