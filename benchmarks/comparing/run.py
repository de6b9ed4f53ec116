"""A run of `compare.py`: under which conditions, on what, and every raw sample. Saved as JSON, read back for tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.comparing.rounds import Failure, Round
from benchmarks.workloads.measuring import Sample

__all__ = ["Conditions", "Result", "Run"]

FORMAT = 1
DIGITS = 5  # of a time; clocks are not better


@dataclass
class Conditions:
    """When, how much, how quiet.

    Attributes
    ----------
    pairs : int
        Rounds per workload and variant.
    smoke : bool
        Whether everything was made small: then only that it works is of interest.
    begun, ended : str
        Date and time.
    load_before, load_after : list of float
        The system's load averages.
    others : float, optional
        How many cores other programs kept busy meanwhile, on average.
    """

    pairs: int
    smoke: bool = False
    begun: str = ""
    ended: str = ""
    load_before: list[float] = field(default_factory=list)
    load_after: list[float] = field(default_factory=list)
    others: float | None = None


@dataclass
class Result:
    """The rounds of one workload in one variant."""

    workload: str
    pinned: bool
    rounds: list[Round] = field(default_factory=list)


@dataclass
class Run:
    """All of it."""

    conditions: Conditions
    machine: dict[str, Any]
    results: list[Result] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write everything to a file, a round per line."""
        head = json.dumps({"format": FORMAT, "conditions": asdict(self.conditions), "machine": self.machine})
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([head, *(json.dumps(line) for line in self._lines())]) + "\n")

    def _lines(self) -> Iterator[dict[str, Any]]:
        for result in self.results:
            for taken in result.rounds:
                subjects = {name: _as_json(sample) for name, sample in taken.items()}
                yield {"workload": result.workload, "pinned": result.pinned, "subjects": subjects}

    @classmethod
    def read(cls, path: Path) -> Run:
        """What `save` wrote; ValueError if it is something else."""
        head, *lines = map(json.loads, path.read_text().splitlines())
        if head.get("format") != FORMAT:
            raise ValueError(f"{path} is not of format {FORMAT} but {head.get('format')!r}: measure again")
        run = cls(Conditions(**head["conditions"]), head["machine"])
        for line in lines:
            last = run.results[-1] if run.results else None
            if last is None or (last.workload, last.pinned) != (line["workload"], line["pinned"]):
                run.results.append(last := Result(line["workload"], line["pinned"]))
            last.rounds.append({name: _from_json(sample) for name, sample in line["subjects"].items()})
        return run


def _as_json(sample: Sample | Failure) -> dict[str, Any]:
    if isinstance(sample, Failure):
        return {"failure": sample.reason}
    return {"times": [float(f"{time:.{DIGITS}g}") for time in sample.times], "details": sample.details}


def _from_json(data: dict[str, Any]) -> Sample | Failure:
    return Failure(data["failure"]) if "failure" in data else Sample(data["times"], data["details"])
