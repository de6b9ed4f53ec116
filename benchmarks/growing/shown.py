"""A run of `growth.py` as tables, for a terminal or for the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.comparing.machine import about
from benchmarks.comparing.tables import Row, aligned, duration, markdown_rows, number
from benchmarks.growing.saved import Growth, Point
from benchmarks.growing.series import SERIES, Series

__all__ = ["MARK", "as_markdown", "as_text"]

MARK = "growth"  # of the place in a page for these tables
GROWTH = "times the first"  # head of the column that says how the first cost has grown


def as_text(growth: Growth) -> str:
    """For a terminal."""
    lines = _about(growth)
    for series in _measured(growth):
        lines += ["", f"{series.title}: {series.text}", "", *aligned(_table(series, growth.of(series.name)))]
    return "\n".join(lines).replace("`", "")


def as_markdown(growth: Growth, plot: str) -> str:
    """For the documentation; `plot` is the path of the picture beside it."""
    conditions = _about(growth)
    lines = ["\\\n".join(conditions), "", f"![what a task costs the scheduler, as things grow]({plot})"]
    for series in _measured(growth):
        text = f"**{series.title.capitalize()}**: {series.text}."
        lines += ["", text, "", *markdown_rows(_table(series, growth.of(series.name)))]
    return "\n".join(lines)


def _about(growth: Growth) -> list[str]:
    return about(growth.machine, growth.conditions, f"medians of {growth.conditions.pairs} fresh schedulers for each")


def _measured(growth: Growth) -> Iterator[Series]:
    return (series for series in SERIES if growth.of(series.name))


def _table(series: Series, points: Sequence[Point]) -> list[Row]:
    head = [series.title, *series.figures.values(), GROWTH]
    return [head, *(_row(series, point, points[0]) for point in points)]


def _row(series: Series, point: Point, first: Point) -> Row:
    shown = [_quantity(name, point.median(name)) for name in series.figures]
    cost = next(iter(series.figures))
    return [f"{point.size:,}", *shown, number(point.median(cost) / first.median(cost))]


def _quantity(name: str, value: float) -> str:
    return f"{value:,.0f} B" if name.startswith("bytes") else duration(value)
