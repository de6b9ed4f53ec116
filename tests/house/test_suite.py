"""The tests keep rules of their own: no sleeps outside tests/cluster, every folder a known room, files one can read."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import rules

ROOT = Path(__file__).parents[2]
PYTEST = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
ROOMS = {Path(path).name for path in PYTEST["testpaths"]}


def sleeps(path: Path) -> Iterator[int]:
    """Lines on which something called sleep is called."""
    for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", 1)[-1] == "sleep":
            yield node.lineno


def test_nobody_sleeps_outside_cluster() -> None:
    paths = [path for path in (ROOT / "tests").rglob("*.py") if "cluster" not in path.parts]
    assert [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in sleeps(path)] == []


@pytest.mark.parametrize("call", ["time.sleep {}", "sleep {}", "asyncio.run(asyncio.sleep {})"])
def test_a_sleep_is_seen(tmp_path: Path, call: str) -> None:
    path = tmp_path / "test_bad.py"
    path.write_text("x = 1\n" + call.format("(0.1)"))
    assert list(sleeps(path)) == [2]


def test_every_test_stands_in_a_room_that_says_what_it_is() -> None:
    folders = {path.parent for path in (ROOT / "tests").rglob("test_*.py")}
    assert {folder.relative_to(ROOT / "tests").parts[0] for folder in folders} == ROOMS
    assert [folder for folder in folders if not (folder / "__init__.py").read_text().startswith('"""')] == []


@pytest.mark.parametrize("folder", ["tests", "benchmarks", "examples", "ci", "docs"])
def test_files_are_in_proportion(folder: str) -> None:
    long = {
        str(path.relative_to(ROOT)): path.read_text().count("\n")
        for path in (ROOT / folder).rglob("*.py")
        if path.read_text().count("\n") > rules.LINES_PER_FILE
    }
    assert long == {}
