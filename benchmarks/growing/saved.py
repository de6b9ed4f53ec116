"""A run of `growth.py`: conditions, machine, and the figures of every round. Saved as JSON, read back for tables."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.comparing.run import DIGITS, Conditions

__all__ = ["Growth", "Point"]

FORMAT = 1


@dataclass
class Point:
    """One size of one thing: the figures of each round, by name."""

    series: str
    size: int
    rounds: list[dict[str, float]] = field(default_factory=list)

    def median(self, figure: str) -> float:
        """Over the rounds."""
        return statistics.median(figures[figure] for figures in self.rounds)


@dataclass
class Growth:
    """All of it."""

    conditions: Conditions
    machine: dict[str, Any]
    points: list[Point] = field(default_factory=list)

    def of(self, series: str) -> list[Point]:
        """The points of a series, in the order of their sizes."""
        return sorted((point for point in self.points if point.series == series), key=lambda point: point.size)

    def save(self, path: Path) -> None:
        """Write everything to a file, a point per line."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(json.dumps(line) for line in self._lines()) + "\n")

    def _lines(self) -> Iterator[dict[str, Any]]:
        yield {"format": FORMAT, "conditions": asdict(self.conditions), "machine": self.machine}
        for point in self.points:
            rounds = [{name: float(f"{value:.{DIGITS}g}") for name, value in r.items()} for r in point.rounds]
            yield {"series": point.series, "size": point.size, "rounds": rounds}

    @classmethod
    def read(cls, path: Path) -> Growth:
        """What `save` wrote; ValueError if it is something else."""
        head, *lines = map(json.loads, path.read_text().splitlines())
        if head.get("format") != FORMAT or any("series" not in line for line in lines):
            raise ValueError(f"{path} was not saved by growth.py in format {FORMAT}: measure again")
        return cls(Conditions(**head["conditions"]), head["machine"], [Point(**line) for line in lines])
