"""On what a run was made: the machine, how busy it was, the versions. A figure without this says nothing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import fastsched
from benchmarks.comparing.rounds import ROOT
from fastsched import _core

__all__ = ["WrongBuildError", "describe", "load", "now", "refuse_a_debug_build"]

PACKAGES = ("numpy", "uvloop", "msgpack", "cloudpickle", "cython")
PEERS = ("distributed", "frisky", "loky", "ray")


class WrongBuildError(Exception):
    """The compiled core is not the one whose speed is worth knowing."""


def refuse_a_debug_build() -> None:
    """Raises WrongBuildError if the core was built with bounds checks and assertions."""
    if _core.build()["debug"]:
        raise WrongBuildError(
            f"the compiled core {_core.__file__} is a debug build: it checks every access, so its figures say nothing. "
            "Build a release: .venv/bin/python setup.py build_ext --inplace --force"
        )


def describe(peer_python: str) -> dict[str, object]:
    """Machine and versions."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "processor": _processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "fastsched": fastsched.__version__,
        "commit": _commit(),
        "core": {"path": _core.__file__, **_core.build()},
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES if _installed(name)},
        "peers": _peer_versions(peer_python),
    }


def load() -> list[float]:
    """How many processes wanted to run, on average of the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def now() -> str:
    """Date and time, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """Of the source tree, with a + if it differs from that."""
    git = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=10"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _peer_versions(python: str) -> dict[str, str]:
    """What of the peers this interpreter has."""
    program = (
        "import importlib.metadata as m, json\n"
        f"there = {{d.metadata['Name']: d.version for d in m.distributions() if d.metadata['Name'] in {PEERS}}}\n"
        "print(json.dumps(there))"
    )
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, check=True)
    versions: dict[str, str] = json.loads(done.stdout)
    return versions
