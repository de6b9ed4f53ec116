"""The plot of a run of `growth.py`: a panel for each thing that grows, written as SVG without a library.

Time of the scheduler on a core per task, over sizes on a logarithmic axis, from zero: a flat line is what we want. The
thin marks are the rounds, the line goes through their medians.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.sax.saxutils import escape

from benchmarks.growing.saved import Growth, Point
from benchmarks.growing.series import SERIES, Series

__all__ = ["as_svg"]

WIDTH, HEIGHT = 720, 250
PANEL_TOP, PANEL_BOTTOM = 44, 196
LEFT, GAP = 48, 26
PAD = 14  # between the frame of a panel and its first and last point

# Attributes on the elements, which every renderer understands; the style sheet only adds what is darker.
TEXT = 'font-family="system-ui, sans-serif" font-size="12" fill="#444"'
GRID = 'stroke="#ddd" stroke-width="1"'
LINE = 'stroke="#2a6fbb" stroke-width="2" fill="none"'
ROUND = 'stroke="#2a6fbb" stroke-width="1.5" stroke-opacity="0.45"'
MEDIAN = 'fill="#2a6fbb"'
DARK = """
@media (prefers-color-scheme: dark) {
  text { fill: #bbb } .grid { stroke: #444 } .line, .round { stroke: #6fb1f5 } .median { fill: #6fb1f5 }
}
"""


def as_svg(growth: Growth) -> str:
    """The whole picture."""
    panels = [(series, growth.of(series.name)) for series in SERIES if growth.of(series.name)]
    width = (WIDTH - LEFT - GAP * (len(panels) - 1) - 8) / max(1, len(panels))
    top = _round_up(max((1e6 * _cost(r) for _, points in panels for point in points for r in point.rounds), default=1))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<style>{DARK}</style>",
        _text(LEFT, 16, "scheduler on a core, µs per task (the last panel: per input)"),
        *(_text(LEFT - 8, _y(value, top) + 4, f"{value:g}", anchor="end") for value in _ticks(top)),
    ]
    for number, (series, points) in enumerate(panels):
        lines += _panel(series, points, LEFT + number * (width + GAP), width, top)
    return "\n".join([*lines, "</svg>"]) + "\n"


def _panel(series: Series, points: Sequence[Point], left: float, width: float, top: float) -> Iterator[str]:
    for value in _ticks(top):
        y = _y(value, top)
        yield f'<line class="grid" {GRID} x1="{left:.1f}" y1="{y:.1f}" x2="{left + width:.1f}" y2="{y:.1f}"/>'
    low, high = math.log10(points[0].size), math.log10(points[-1].size)
    places = []
    for point in points:
        share = (math.log10(point.size) - low) / (high - low) if high > low else 0.5
        x = left + PAD + share * (width - 2 * PAD)
        places.append((x, _y(1e6 * point.median(_figure()), top)))
        for figures in point.rounds:
            y = _y(1e6 * _cost(figures), top)
            yield f'<line class="round" {ROUND} x1="{x - 5:.1f}" y1="{y:.1f}" x2="{x + 5:.1f}" y2="{y:.1f}"/>'
        yield _text(x, PANEL_BOTTOM + 18, _short(point.size), anchor="middle")
    yield f'<polyline class="line" {LINE} points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'
    yield from (f'<circle class="median" {MEDIAN} cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in places)
    yield _text(left + width / 2, PANEL_BOTTOM + 38, series.title, anchor="middle")


def _figure() -> str:
    return "on a core"


def _cost(figures: dict[str, float]) -> float:
    return figures[_figure()]


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text {TEXT} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _y(value: float, top: float) -> float:
    return PANEL_BOTTOM - value / top * (PANEL_BOTTOM - PANEL_TOP)


def _round_up(value: float) -> float:
    """The next value that four steps divide into short numbers."""
    power: float = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10) if step * power >= value)


def _ticks(top: float) -> list[float]:
    return [top * quarter / 4 for quarter in range(5)]


def _short(size: int) -> str:
    for factor, name in ((1_000_000, "M"), (1000, "k")):
        if size >= factor:
            return f"{size / factor:g}{name}"
    return str(size)
