"""From raw samples to figures: costs, ratios with their quartiles, what is met and what is missed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.comparing.rounds import Failure, Round
from benchmarks.workloads.catalogue import Workload
from benchmarks.workloads.measuring import Sample

__all__ = ["Cost", "Figures", "Ratio", "cost_of", "figures_of", "quantile"]

ENOUGH = 100  # times in a sample, for a 99th percentile


@dataclass(frozen=True)
class Cost:
    """What one operation costs a subject: medians over the samples.

    Attributes
    ----------
    typical : float
        The median of a sample's times; their mean where the workload says so.
    p99 : float, optional
        Their 99th percentile; none if a sample has few of them.
    details : dict
        What else the samples say, by name.
    """

    typical: float
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
    tails: dict[str, Ratio] = field(default_factory=dict)  # of the 99th percentiles, by yardstick
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
            figures.costs[subject] = cost_of([s for s in samples if isinstance(s, Sample)], workload.by_mean)
    ours = figures.costs.get(workload.ours)
    for subject, cost in figures.costs.items():
        if subject != workload.ours and ours is not None:
            pairs = [(_taken(r[workload.ours]), _taken(r[subject])) for r in rounds]
            typical = [_typical(mine, workload.by_mean) / _typical(its, workload.by_mean) for mine, its in pairs]
            figures.ratios[subject] = _ratio(typical)
            if ours.p99 is not None and cost.p99 is not None:
                figures.tails[subject] = _ratio([_tail(mine) / _tail(its) for mine, its in pairs])
    if workload.required is not None:
        figures.met = ours is not None and ours.typical <= workload.required
    return figures


def cost_of(samples: Sequence[Sample], by_mean: bool = False) -> Cost:
    """Medians over samples."""
    tails = [_tail(sample) for sample in samples if len(sample.times) >= ENOUGH]
    return Cost(
        statistics.median(_typical(sample, by_mean) for sample in samples),
        statistics.median(tails) if tails else None,
        {name: statistics.median(sample.details[name] for sample in samples) for name in samples[0].details},
    )


def _ratio(ratios: Sequence[float]) -> Ratio:
    return Ratio(quantile(ratios, 0.5), quantile(ratios, 0.25), quantile(ratios, 0.75))


def _taken(sample: Sample | Failure) -> Sample:
    assert isinstance(sample, Sample)
    return sample


def _typical(sample: Sample, by_mean: bool) -> float:
    return (statistics.mean if by_mean else statistics.median)(sample.times)


def _tail(sample: Sample) -> float:
    return quantile(sample.times, 0.99)


def quantile(values: Sequence[float], share: float) -> float:
    """Interpolated between neighbours, as `numpy.quantile` does.

    Examples
    --------
    >>> quantile([1.0, 2.0, 4.0], 0.75)
    3.0
    """
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
