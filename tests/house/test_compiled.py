"""The list of compiled Python modules is what is built and what runs."""

from __future__ import annotations

import ast
import importlib
import os
import shutil
from pathlib import Path

import pytest

from fastsched import _compiled

ROOT = Path(__file__).parents[2]

LOCKED = (
    "client/machine",
    "client/record",
    "net/inproc",
    "scheduler/",
    "worker/children",
    "worker/fetches",
    "worker/joins",
    "worker/lineage",
    "worker/machine",
    "worker/nest",
    "worker/news",
    "worker/post",
    "worker/rows",
    "worker/store",
)
"""Modules of which next to everything runs under a lock, also in threads in which signal handlers run."""


def test_every_module_of_the_list_is_there() -> None:
    assert [name for name in _compiled.MODULES if not (ROOT / "fastsched" / f"{name}.py").exists()] == []
    assert list(_compiled.MODULES) == sorted(set(_compiled.MODULES))


def test_what_runs_is_the_build() -> None:
    assert _compiled.interpreted() == []
    for name in _compiled.MODULES:
        module = importlib.import_module(f"fastsched.{name.replace('/', '.')}")
        assert module.__file__ is not None
        assert not module.__file__.endswith(".py"), name


@pytest.mark.parametrize(("age", "found"), [(10, ["client/machine"]), (-10, [])])
def test_a_build_that_is_older_than_its_source_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: int, found: list[str]
) -> None:
    package = tmp_path / "fastsched"
    (package / "client").mkdir(parents=True)
    source = shutil.copy(ROOT / "fastsched" / "client" / "machine.py", package / "client")
    build = package / "client" / f"machine{_compiled.EXTENSION_SUFFIXES[0]}"
    build.touch()
    written = build.stat().st_mtime
    os.utime(source, (written + age, written + age))
    monkeypatch.setattr(_compiled, "ROOT", package)
    assert _compiled.stale() == [], "an installed package"
    (tmp_path / "setup.py").touch()
    assert _compiled.stale() == found
    assert "client/machine" not in _compiled.interpreted()
    assert "client/record" in _compiled.interpreted()


def looks_for_signals(tree: ast.AST) -> list[int]:
    """Lines that call `repr`, or have it called, but to raise: the C code of `repr` lets signal handlers run."""
    raising = {id(node) for part in ast.walk(tree) if isinstance(part, ast.Raise) for node in ast.walk(part)}
    return [
        node.lineno
        for node in ast.walk(tree)
        if id(node) not in raising
        and (
            (isinstance(node, ast.FormattedValue) and node.conversion == ord("r"))
            or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "repr")
        )
    ]


def test_no_text_is_made_under_a_lock_where_a_signal_handler_may_strike() -> None:
    assert looks_for_signals(ast.parse("f'{a!r}'; repr(b)")) == [1, 1]
    found = {}
    for name in _compiled.MODULES:
        if name.startswith(LOCKED):
            lines = looks_for_signals(ast.parse((ROOT / "fastsched" / f"{name}.py").read_text()))
            if lines:
                found[name] = lines
    assert found == {}
