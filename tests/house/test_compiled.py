"""The list of compiled Python modules is what is built and what runs."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path

import pytest

from fastsched import _compiled

ROOT = Path(__file__).parents[2]


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
