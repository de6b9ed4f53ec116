"""The frame around the package: the two commands, CI that calls them, the changelog, the build's flavours."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import fastsched

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
CI = (ROOT / ".ci/run").read_text()
SCRIPTS = sorted((ROOT / "ci").glob("*.sh"))
FIRST_SCREEN = 30  # lines


def test_the_readme_shows_both_commands_in_its_first_screen() -> None:
    screen = (ROOT / "README.md").read_text().splitlines()[:FIRST_SCREEN]
    shown = [line.split("#")[0].strip() for line in screen]
    assert "make demo" in shown
    assert "make test" in shown


def test_ci_calls_the_test_command_first() -> None:
    steps = re.findall(r"^step (.*?)(?: *>.*)?$", CI, re.MULTILINE)
    assert steps[0] == "make test"
    assert {step.split()[1] for step in steps} >= {"test", "lint", "debug", "bench", "docs"}


def test_each_step_of_ci_is_a_target_that_calls_its_script() -> None:
    for target in re.findall(r"^step make (\w+)", CI, re.MULTILINE):
        recipe = re.search(rf"^{target}:[^\n]*\n((?:\t[^\n]*\n)+)", MAKEFILE, re.MULTILINE)
        assert recipe is not None, target
        assert f"ci/{target}.sh" in recipe[1]


def test_hosted_ci_only_calls_our_scripts() -> None:
    workflows = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert workflows
    runs = [run for path in workflows for run in re.findall(r"^\s*-?\s*run:\s*(.*)$", path.read_text(), re.MULTILINE)]
    assert runs
    assert [run for run in runs if not re.fullmatch(r"(bash \.ci/run|make \w+( \w+=.*)?)", run)] == []


CI_WITH_STUBS = """\
make() {{ echo "make $*"; [ "$1" != {failing} ] || return 7; [ "$1" != test ] || echo "== 3 passed in 0.10s =="; }}
export -f make
bash .ci/run
"""


@pytest.mark.parametrize(("failing", "code"), [("nothing", 0), ("lint", 7), ("test", 7)])
def test_ci_ends_with_the_runners_lines_and_the_first_failures_code(tmp_path: Path, failing: str, code: int) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/run", tmp_path / ".ci/run")
    command = ["bash", "-c", CI_WITH_STUBS.format(failing=failing)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = run.stdout.splitlines()
    assert run.returncode == code
    assert "make docs" in said
    if failing != "test":
        assert said[-1] == "== 3 passed in 0.10s =="


@pytest.mark.parametrize("script", [ROOT / ".ci/run", *SCRIPTS], ids=lambda path: path.name)
def test_scripts_are_executable_bash_that_parses(script: Path) -> None:
    assert script.read_text().startswith("#!/usr/bin/env bash\n# ")
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)


def check_tools(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / "ci/check-tools.sh")]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_missing_tools_are_named(tmp_path: Path) -> None:
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.1"\nexit 1\n')
    old.chmod(0o755)
    assert "there is no 'no-such-python'" in check_tools(PYTHON="no-such-python").stderr
    assert "is Python 3.9.1" in check_tools(PYTHON=str(old)).stderr
    assert "there is no 'no-such-cc'" in check_tools(PYTHON=sys.executable, CC="no-such-cc").stderr
    assert check_tools(PYTHON=sys.executable).returncode == 0


def test_the_changelog_is_kept() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert "https://keepachangelog.com" in text
    sections = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", section) for section in sections[1:])
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_version_is_said_once() -> None:
    attribute = PROJECT["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert attribute == "fastsched._version.__version__"
    assert re.fullmatch(r"\d+\.\d+\.\d+", fastsched.__version__)


def test_dependencies_are_ranges_and_peers_are_pinned() -> None:
    project = PROJECT["project"]
    ranges = [requirement.split(";")[0] for requirement in project["dependencies"]]
    assert [text for text in ranges if not re.fullmatch(r"[\w-]+>=[\d.]+,<[\d.]+", text)] == []
    assert [text for text in project["optional-dependencies"]["peers"] if "==" not in text] == []


def test_the_oldest_versions_are_the_lower_ends_of_the_ranges() -> None:
    command = [sys.executable, str(ROOT / "ci/requirements.py"), "--lowest"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    oldest = run.stdout.splitlines()
    assert len(oldest) == len(PROJECT["project"]["dependencies"])
    assert all(re.fullmatch(r"[\w-]+==[\d.]+(;.*)?", line) for line in oldest)


def test_the_package_ships_its_types() -> None:
    assert (ROOT / "fastsched/py.typed").exists()
    assert (ROOT / "fastsched/_core.pyi").exists()
