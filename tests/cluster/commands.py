"""The two commands as processes of a test."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.spawned import SECONDS

ROOT = Path(__file__).parents[2]


class Command:
    """One of the commands in a process, in a directory of the test's."""

    def __init__(self, directory: Path, name: str, *arguments: str, **environ: str) -> None:
        self.errors = directory / f"{name}-{len(list(directory.iterdir()))}.err"
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"fastsched.cli.{name}", *arguments],
                cwd=directory,
                env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
                stdout=subprocess.PIPE,
                stderr=errors,
                bufsize=0,  # so that select knows of every line that is left
            )

    def line(self) -> str:
        """The next line that it prints."""
        assert select.select([self.process.stdout], [], [], SECONDS)[0], self.said()
        line = self.process.stdout.readline().decode()
        assert line, self.said()
        return line.rstrip("\n")

    def said(self) -> str:
        """What it has said on standard error so far."""
        return self.errors.read_text()

    def ends(self) -> int:
        """Its exit code."""
        return self.process.wait(SECONDS)

    def clean_up(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start commands; they are gone after the test."""
    commands = []

    def start(name, *arguments, **environ):
        commands.append(Command(tmp_path, name, *arguments, **environ))
        return commands[-1]

    yield start
    for command in commands:
        command.clean_up()


@pytest.fixture
def scheduler(run: Callable[..., Command]) -> Command:
    """A scheduler that listens; its access file is ``fastsched.json`` in the test's directory."""
    command = run("scheduler")
    command.line()
    command.line()
    return command
