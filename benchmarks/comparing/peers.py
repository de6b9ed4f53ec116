"""Other systems side by side: for each workload our cost divided by each of theirs, medians and tails."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.comparing.figures import Figures, figures_of
from benchmarks.comparing.run import Run
from benchmarks.comparing.tables import Row, aligned, conditions, costs_of, markdown_rows, number
from benchmarks.workloads.catalogue import OURS, PEERS, SUBJECTS, Workload, lacking, workload

__all__ = ["MARK", "as_markdown", "as_text", "compared"]

MARK = "peers"  # of the place in a page for this table
LEGEND = (
    "fastsched's cost divided by the peer's, median of the pairs: p50, then p99 where single tasks are timed (convoy: "
    "mean, then p99). 0.1 is ten times as fast. What a peer lacks stands in its cell."
)


def compared(run: Run) -> bool:
    """Whether optional peers took part in this run."""
    return any(SUBJECTS[name].package for result in run.results for name in result.rounds[0])


def as_text(run: Run) -> str:
    """For a terminal."""
    return "\n".join([LEGEND, "", *aligned([_head(), *_rows(run)])])


def as_markdown(run: Run) -> str:
    """For the documentation."""
    return "\n".join([conditions(run), "", *markdown_rows([_head(), *_rows(run)]), "", LEGEND])


def _head() -> Row:
    return ["workload", "processes", f"{OURS} p50", "p99", *(SUBJECTS[name].title for name in PEERS)]


def _rows(run: Run) -> Iterator[Row]:
    for result in run.results:
        entry = workload(result.workload)
        if not entry.alone:
            figures = figures_of(entry, result.rounds)
            cells = [_cell(entry, figures, name) for name in PEERS]
            yield [entry.name, "pinned" if result.pinned else "free", *costs_of(entry, figures), *cells]


def _cell(entry: Workload, figures: Figures, peer: str) -> str:
    if reason := lacking(entry, peer):
        return reason
    if peer in figures.failures:
        return "failed"
    if peer not in figures.ratios:
        return "not measured"
    tail = figures.tails.get(peer)
    ratios: Sequence[float] = [figures.ratios[peer].median, *([] if tail is None else [tail.median])]
    return ", ".join(map(number, ratios))
