"""docs/configuration.md shows `Config` as it is: every field, its default, its variable, and what it is for."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from fastsched.config import Config

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "make_config.py"

spec = importlib.util.spec_from_file_location("make_config", SCRIPT)
assert spec is not None
assert spec.loader is not None
make_config = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_config)

FIELDS = make_config.fields_of((ROOT / "fastsched" / "config.py").read_text())


def test_the_page_is_current() -> None:
    run = subprocess.run([sys.executable, str(SCRIPT), "--check"], cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False)
    assert run.returncode == 0, "write it again: python docs/make_config.py"


def test_every_field_is_listed_with_its_default_and_a_meaning() -> None:
    assert {field.name: field.default for field in FIELDS} == Config().as_dict()
    assert [field.name for field in FIELDS if not field.meaning] == []


def test_the_variables_that_the_page_names_set_the_fields() -> None:
    environ = {field.variable: str(field.default + 1) for field in FIELDS}
    config = Config.from_environment(environ)
    assert [field.name for field in FIELDS if getattr(config, field.name) != field.default + 1] == []


def test_a_changed_default_makes_the_page_stale() -> None:
    page = make_config.PAGE.read_text()
    changed = [FIELDS[0]._replace(default=FIELDS[0].default * 2), *FIELDS[1:]]
    assert make_config.written(page, FIELDS) == page
    assert make_config.written(page, changed) != page


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1 << 26, "bytes", "64 MiB"),
        (1536, "bytes", "1.5 KiB"),
        (100, "bytes", "100"),
        (10_000, "", "10,000"),
        (0.1, "seconds", "0.1 s"),
    ],
)
def test_defaults_are_written_as_people_write_them(value: float, unit: str, text: str) -> None:
    assert make_config.shown(value, unit) == text
