"""From raw samples to figures: costs, ratios with their quartiles, what is met and what is missed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.comparing.rounds import Failure, Round
from benchmarks.workloads.catalogue import Workload
from benchmarks.workloads.measuring import Sample

__all__ = ["Cost", "Figures", "Ratio", "cost_of", "figures_of"]

ENOUGH = 100  # times in a sample, for a 99th percentile


@dataclass(frozen=True)
class Cost:
    """What one operation costs a subject: medians over the samples.

    Attributes
    ----------
    p50, p99 : float
        Median and 99th percentile of a sample's times; no p99 if a sample has few of them.
    details : dict
        What else the samples say, by name.
    """

    p50: float
    p99: float | None
    details: dict[str, float]


@dataclass(frozen=True)
class Ratio:
    """Our cost divided by a yardstick's, pair by pair: below 1 we are faster. Median and quartiles of the pairs."""

    median: float
    low: float
    high: float


@dataclass
class Figures:
    """What the rounds of one workload say."""

    costs: dict[str, Cost] = field(default_factory=dict)  # by subject
    ratios: dict[str, Ratio] = field(default_factory=dict)  # by yardstick
    failures: dict[str, str] = field(default_factory=dict)  # by subject
    met: bool | None = None  # whether our cost is within what is required; None if nothing is


def figures_of(workload: Workload, rounds: Sequence[Round]) -> Figures:
    """Costs of all subjects, ratios of ours to the others."""
    figures = Figures()
    for subject in rounds[0]:
        samples = [r[subject] for r in rounds]
        failures = [sample for sample in samples if isinstance(sample, Failure)]
        if failures:
            figures.failures[subject] = failures[0].reason
        else:
            figures.costs[subject] = cost_of([sample for sample in samples if isinstance(sample, Sample)])
    for subject in figures.costs:
        if subject != workload.ours and workload.ours in figures.costs:
            figures.ratios[subject] = _ratio([_p50(r[workload.ours]) / _p50(r[subject]) for r in rounds])
    if workload.required is not None:
        figures.met = workload.ours in figures.costs and figures.costs[workload.ours].p50 <= workload.required
    return figures


def cost_of(samples: Sequence[Sample]) -> Cost:
    """Medians over samples."""
    tails = [_quantile(sample.times, 0.99) for sample in samples if len(sample.times) >= ENOUGH]
    return Cost(
        statistics.median(_p50(sample) for sample in samples),
        statistics.median(tails) if tails else None,
        {name: statistics.median(sample.details[name] for sample in samples) for name in samples[0].details},
    )


def _ratio(ratios: Sequence[float]) -> Ratio:
    return Ratio(_quantile(ratios, 0.5), _quantile(ratios, 0.25), _quantile(ratios, 0.75))


def _p50(sample: Sample | Failure) -> float:
    assert isinstance(sample, Sample)
    return statistics.median(sample.times)


def _quantile(values: Sequence[float], share: float) -> float:
    """Interpolated between neighbours, as `numpy.quantile` does.

    Examples
    --------
    >>> _quantile([1.0, 2.0, 4.0], 0.75)
    3.0
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
