"""A run as a table, for a terminal or for the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.comparing.figures import Cost, Figures, figures_of
from benchmarks.comparing.machine import about
from benchmarks.comparing.run import Run
from benchmarks.workloads.catalogue import OURS, SUBJECTS, Unit, Workload, workload

__all__ = [
    "Row",
    "aligned",
    "as_markdown",
    "as_text",
    "conditions",
    "costs_of",
    "duration",
    "markdown_rows",
    "number",
    "replace_between_marks",
]

HEAD = ("workload", "processes", OURS, "p99", "required", "goal", "yardstick", "its cost", "ratio", "goal")
MARK = "table"  # of the place in a page for this table

Row = Sequence[str]


def as_text(run: Run) -> str:
    """For a terminal."""
    return "\n".join([*_about(run), "", *aligned([HEAD, *_rows(run, plain=True)]), "", *_notes(run)])


def as_markdown(run: Run) -> str:
    """For the documentation."""
    table = markdown_rows([HEAD, *_rows(run, plain=False)])
    return "\n".join([conditions(run), "", *table, "", *(f"- {note}" for note in _notes(run))])


def conditions(run: Run) -> str:
    """For the documentation: on what it was measured, and how, a line each."""
    return "\\\n".join(_about(run))


def _about(run: Run) -> list[str]:
    return about(run.machine, run.conditions, f"{run.conditions.pairs} pairs of fresh processes each")


def aligned(rows: Sequence[Row]) -> list[str]:
    """Lines with columns of equal width; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def markdown_rows(rows: Sequence[Row]) -> list[str]:
    """Lines of a table; the first row is the head."""
    return ["| " + " | ".join(row) + " |" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:])]


def replace_between_marks(path: Path, mark: str, text: str) -> None:
    """Put the text where the file has the marks of this name; ValueError if it has none."""
    begin_mark, end_mark = f"<!-- {mark}: begin -->", f"<!-- {mark}: end -->"
    content = path.read_text()
    before, begin, rest = content.partition(begin_mark)
    _, end, after = rest.partition(end_mark)
    if not begin or not end:
        raise ValueError(f"{path} has no lines {begin_mark!r} and {end_mark!r} to put it between")
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}")


# -- rows -------------------------------------------------------------------------------------------------------------


def _figures(run: Run) -> Iterator[tuple[Workload, bool, Figures]]:
    for result in run.results:
        entry = workload(result.workload)
        yield entry, result.pinned, figures_of(entry, result.rounds)


def _rows(run: Run, plain: bool) -> Iterator[Row]:
    """A row per yardstick; what is ours stands in the first of them."""
    name_of: Callable[[Workload], str] = (lambda w: w.name) if plain else (lambda w: f"[{w.name}](#{w.name})")
    for entry, pinned, figures in _figures(run):
        ours = [name_of(entry), "pinned" if pinned else "free", *_our_cells(entry, figures, pinned)]
        theirs = list(_their_cells(entry, figures)) or [["none", "", "", ""]]
        for index, cells in enumerate(theirs):
            yield [*(ours if index == 0 else [""] * len(ours)), *cells]


def _our_cells(entry: Workload, figures: Figures, pinned: bool) -> Row:
    typical, p99 = costs_of(entry, figures)
    if entry.ours not in figures.costs:
        return [typical, p99, "MISSED" if figures.met is False else "", ""]
    if entry.tail is not None and not pinned:
        p99 += f" (≤ {_quantity(entry, entry.tail)})"
    return [typical, p99, *(["", ""] if pinned else [_verdict(entry, figures), _limit(entry, entry.goal)])]


def costs_of(entry: Workload, figures: Figures) -> Row:
    """What one operation costs us, and the 99th percentile if there is one."""
    cost = figures.costs.get(entry.ours)
    if cost is None:
        return ["failed", ""]
    return [_cost(entry, cost), "" if cost.p99 is None else _quantity(entry, cost.p99)]


def _their_cells(entry: Workload, figures: Figures) -> Iterator[Row]:
    for yardstick in entry.yardsticks:
        title, goal = SUBJECTS[yardstick.subject].title, "" if yardstick.goal is None else f"≤ {yardstick.goal:.3g}"
        if yardstick.subject in figures.ratios:
            ratio = figures.ratios[yardstick.subject]
            cost = _cost(entry, figures.costs[yardstick.subject])
            spread = f"{number(ratio.median)} ({number(ratio.low)} to {number(ratio.high)})"
            yield [title, cost, spread, goal]
        elif yardstick.subject in figures.failures:
            yield [title, "failed", "", goal]
        elif yardstick.subject in figures.costs:
            yield [title, _cost(entry, figures.costs[yardstick.subject]), "", goal]


def _verdict(entry: Workload, figures: Figures) -> str:
    if entry.required is None:
        return ""
    return f"{_limit(entry, entry.required)}: {'met' if figures.met else 'MISSED'}"


def _limit(entry: Workload, cost: float | None) -> str:
    if cost is None:
        return ""
    return f"≥ {_rate(1 / cost)}" if entry.rate else f"≤ {_quantity(entry, cost)}"


def _notes(run: Run) -> list[str]:
    """What does not fit into a row: side figures and failures."""
    notes = ["ratio: our cost divided by the yardstick's, median of the pairs (quartiles); below 1 fastsched is faster"]
    for entry, pinned, figures in _figures(run):
        where = f"{entry.name}, {'pinned' if pinned else 'free'}"
        for subject, cost in figures.costs.items():
            notes += [
                f"{where}: {name}, {SUBJECTS[subject].title}: {duration(c)}{_goal_of(entry, subject, name)}"
                for name, c in cost.details.items()
            ]
        notes += [f"{where}: {SUBJECTS[name].title} failed: {why}" for name, why in figures.failures.items()]
    return notes


def _goal_of(entry: Workload, subject: str, name: str) -> str:
    goal = entry.side_goals.get(name) if subject == entry.ours else None
    return "" if goal is None else f" (goal ≤ {duration(goal)})"


# -- numbers ----------------------------------------------------------------------------------------------------------


def _cost(entry: Workload, cost: Cost) -> str:
    rate = f" ({_rate(1 / cost.typical)})" if entry.rate else ""
    return _quantity(entry, cost.typical) + rate


def _quantity(entry: Workload, value: float) -> str:
    return duration(value) if entry.unit is Unit.SECONDS else f"{value:,.0f} B"


def duration(seconds: float) -> str:
    """With three digits and a fitting unit.

    Examples
    --------
    >>> duration(0.000482), duration(1.5e-7), duration(2.5)
    ('482 µs', '0.15 µs', '2.5 s')
    """
    for limit, factor, unit in ((1e-3, 1e6, "µs"), (1.0, 1e3, "ms")):
        if seconds < limit:
            return f"{number(seconds * factor)} {unit}"
    return f"{number(seconds)} s"


def _rate(per_second: float) -> str:
    for limit, factor, unit in ((1e6, 1e6, "M/s"), (1e3, 1e3, "k/s")):
        if per_second >= limit:
            return f"{number(per_second / factor)} {unit}"
    return f"{number(per_second)} /s"


def number(value: float) -> str:
    """Three digits, never in scientific notation."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
