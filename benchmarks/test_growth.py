"""How growth is saved and shown; and one look whether it can be measured."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.comparing.run import Conditions
from benchmarks.growing.plot import as_svg
from benchmarks.growing.saved import Growth, Point
from benchmarks.growing.series import SERIES, series_of
from benchmarks.growing.shown import MARK, as_markdown, as_text
from fastsched import _core

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
FIGURES = [*series_of("clients").figures]


def of_clients(*costs: list[float]) -> Growth:
    """One, ten, a hundred clients, with the costs of each round."""
    about = {"fastsched": "1.0", "commit": "abc", "python": "3.11", "packages": {}, "peers": {}}
    machine = {**about, "processor": "Z80", "cores": 2, "system": "CP/M"}
    conditions = Conditions(2, load_before=[0.1, 0, 0], load_after=[0.1, 0, 0])
    sizes = (10**power for power in range(len(costs)))
    rounds = [[dict.fromkeys(FIGURES, cost) for cost in its] for its in costs]
    return Growth(conditions, machine, [Point("clients", *point) for point in zip(sizes, rounds, strict=True)])


def test_it_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    run = of_clients([1e-6, 2e-6], [3e-6])
    run.save(tmp_path / "folder" / "growth.json")
    assert Growth.read(tmp_path / "folder" / "growth.json") == run


def test_what_another_script_saved_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1}\n{"workload": "sync"}\n')
    with pytest.raises(ValueError, match="not saved by growth"):
        Growth.read(tmp_path / "run.json")


def test_a_table_has_the_medians_and_how_they_have_grown() -> None:
    run = of_clients([1e-6, 2e-6, 9e-6], [3e-6])
    rows = [line.split() for line in as_text(run).splitlines()[-2:]]
    assert rows == [["1", "2", "µs", "2", "µs", "1"], ["10", "3", "µs", "3", "µs", "1.5"]]


def test_only_what_was_measured_is_shown() -> None:
    shown = as_markdown(of_clients([1e-6]), "growth.svg")
    assert "**Clients**" in shown and "**Workers**" not in shown and "](growth.svg)" in shown


def test_the_plot_has_a_point_for_each_size_and_higher_means_more() -> None:
    circles = [
        e for e in ElementTree.fromstring(as_svg(of_clients([1e-6], [2e-6], [4e-6]))) if e.tag.endswith("circle")
    ]
    heights = [float(circle.attrib["cy"]) for circle in circles]
    assert heights == sorted(heights, reverse=True) and len(set(heights)) == 3


def test_the_page_has_a_place_for_the_tables() -> None:
    assert f"<!-- {MARK}: begin -->" in PAGE.read_text()


@pytest.mark.skipif(_core.build()["debug"], reason="a debug build is refused")
@pytest.mark.parametrize("name", [series.name for series in SERIES])
def test_it_can_be_measured(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = tmp_path / "growth.json"
    growth.main(["--smoke", "--rounds", "1", "--only", name, "--json", os.fspath(saved)])
    assert series_of(name).title in capsys.readouterr().out
    figures = [figures for point in Growth.read(saved).points for figures in point.rounds]
    assert [name for each in figures for name, value in each.items() if value < 0 and "bytes" not in name] == []
