"""Scheduler and workers in processes of their own, as one starts them by hand; or zero workers instead."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.descriptors import allow_many_descriptors

__all__ = ["ROOT", "scheduler", "workers", "zero_workers"]

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0  # for processes to come and go


@contextmanager
def scheduler() -> Iterator[tuple[str, int]]:
    """``fastsched-scheduler``; the path of its access file, and its process id."""
    allow_many_descriptors()
    with tempfile.TemporaryDirectory() as folder:
        access_file = str(Path(folder, "access.json"))
        module = ["-m", "fastsched.cli.scheduler", "--access-file", access_file]
        with _running([sys.executable, *module], until="access file") as pid:
            yield access_file, pid


@contextmanager
def workers(access_file: str, count: int, threads: int = 1) -> Iterator[int]:
    """``fastsched-worker`` with processes of so many threads each; the id of their parent. They join a moment later."""
    module = ["-m", "fastsched.cli.worker", access_file, "--nworkers", str(count), "--nthreads", str(threads)]
    with _running([sys.executable, *module], until=None) as pid:
        yield pid


@contextmanager
def zero_workers(access_file: str, count: int) -> Iterator[int]:
    """Workers that answer at once, all in one process; its id. They have joined."""
    script = [str(ROOT / "benchmarks" / "zero.py"), "--scheduler", access_file, "--workers", str(count)]
    with _running([sys.executable, *script], until="ready") as pid:
        yield pid


@contextmanager
def _running(command: list[str], until: str | None) -> Iterator[int]:
    """A process, from the line of its output that begins so until the end of the block."""
    output = subprocess.DEVNULL if until is None else subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=output, text=True)
    try:
        if process.stdout is not None and until is not None:
            for line in process.stdout:
                if line.startswith(until):
                    break
            else:
                raise ChildProcessError(f"{command[1:]} ended with {process.wait(START_SECONDS)} at its start")
        yield process.pid
    finally:
        process.terminate()
        process.wait(START_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
