"""Which modules are compiled though they are written in Python, and whether they are.

One concern: this list. The modules that a task passes through stay readable Python, but what runs is machine code made
from them by Cython. That is for speed, and for safety: compiled code is not interrupted between two of its steps by a
signal handler that raises, so the state that a user's thread changes in passing is never left half changed (see
docs/decisions/0003-user-threads-act-themselves.md). A module that is added here must therefore call nothing on its way
that is not compiled.

Read by ``setup.py`` (without importing the package), by the tests and by the benchmarks. Imports nothing of fastsched.
"""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

__all__ = ["MODULES", "interpreted", "stale"]

MODULES = (
    "client/binding",
    "client/calls",
    "client/handle",
    "client/machine",
    "client/recipes",
    "client/record",
    "client/results",
    "client/session",
    "nested",
    "net/inproc",
    "net/stream",
    "page",
    "scheduler/books",
    "scheduler/calls",
    "scheduler/circles",
    "scheduler/claims",
    "scheduler/demand",
    "scheduler/effects",
    "scheduler/futures",
    "scheduler/heritage",
    "scheduler/machine",
    "scheduler/outbox",
    "scheduler/prefill",
    "scheduler/publish",
    "scheduler/records",
    "scheduler/reports",
    "scheduler/retire",
    "scheduler/scatter",
    "scheduler/seek",
    "scheduler/silence",
    "scheduler/turns",
    "wire/buffer",
    "wire/framing",
    "wire/keys",
    "wire/payload/calls",
    "wire/payload/captures",
    "wire/payload/futures",
    "wire/payload/pickling",
    "wire/payload/table",
    "wire/runs",
    "wire/tokens",
    "worker/channel",
    "worker/children",
    "worker/context",
    "worker/copies",
    "worker/desk",
    "worker/drops",
    "worker/executor",
    "worker/fetches",
    "worker/jobs",
    "worker/joins",
    "worker/keepsakes",
    "worker/limits",
    "worker/lineage",
    "worker/machine",
    "worker/nest",
    "worker/news",
    "worker/post",
    "worker/relays",
    "worker/reporting",
    "worker/rows",
    "worker/runner",
    "worker/server",
    "worker/store",
    "worker/translate",
    "worker/waits",
)
"""Paths without suffix, relative to the package."""

ROOT = Path(__file__).parent


def interpreted() -> list[str]:
    """Those that would run as Python here, because there is no build of them."""
    return [name for name in MODULES if _build_of(name) is None]


def stale() -> list[str]:
    """Those whose build is older than their source: what runs is not what one reads.

    None in an installed package, where the times of files say only in which order they were unpacked.
    """
    if not (ROOT.parent / "setup.py").exists():
        return []
    found = []
    for name in MODULES:
        build, source = _build_of(name), ROOT / f"{name}.py"
        if build is not None and source.exists() and source.stat().st_mtime > build.stat().st_mtime:
            found.append(name)
    return found


def _build_of(name: str) -> Path | None:
    paths = (ROOT / f"{name}{suffix}" for suffix in EXTENSION_SUFFIXES)
    return next((path for path in paths if path.exists()), None)
