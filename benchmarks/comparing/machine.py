"""On what a run was made: the machine, how busy it was, the versions. A figure without this says nothing."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastsched
from benchmarks.comparing.rounds import ROOT
from benchmarks.comparing.run import Conditions
from fastsched import _core
from fastsched._compiled import interpreted, stale

__all__ = ["Watch", "WrongBuildError", "about", "describe", "now", "refuse_what_is_not_built"]

PACKAGES = ("numpy", "uvloop", "msgpack", "cloudpickle", "cython")
QUIET = 0.05  # share of the cores that others may take where we call a machine quiet
PEERS = ("distributed", "frisky", "loky", "ray")


class WrongBuildError(Exception):
    """The compiled core is not the one whose speed is worth knowing."""


def refuse_what_is_not_built() -> None:
    """Raises WrongBuildError if what runs is not what users run.

    That is: the core was built with bounds checks and assertions, or modules that are compiled run as Python, or their
    builds are older than their sources.
    """
    build = "Build a release: .venv/bin/python setup.py build_ext --inplace"
    if _core.build()["debug"]:
        raise WrongBuildError(
            f"the compiled core {_core.__file__} is a debug build: it checks every access, so its figures say nothing. "
            f"{build} --force"
        )
    for names, what in ((interpreted(), "run as Python"), (stale(), "are older than their sources")):
        if names:
            raise WrongBuildError(f"these modules {what}: {', '.join(names)}. {build}")


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


def about(machine: dict[str, Any], conditions: Conditions, repeated: str) -> list[str]:
    """Lines that say on what a run was made, and how; `repeated` says how often."""
    packages = ", ".join(f"{name} {version}" for name, version in {**machine["packages"], **machine["peers"]}.items())
    smoke = ["a smoke run: tiny workloads, the figures say nothing"] if conditions.smoke else []
    return [
        *smoke,
        f"fastsched {machine['fastsched']} ({machine['commit']}), Python {machine['python']}, {packages}",
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}",
        f"{conditions.begun} to {conditions.ended}, {repeated}",
        _quietness(conditions, machine["cores"]),
    ]


def _quietness(conditions: Conditions, cores: int) -> str:
    load = f"load average {conditions.load_before[0]:g} before, {conditions.load_after[0]:g} after"
    if conditions.others is None:
        return f"{load} (the benchmarks' own work included); what others did meanwhile is not known here"
    quiet = "quiet" if conditions.others <= QUIET * cores else "NOT quiet: other work ran on it"
    return f"{load}; meanwhile other programs took {conditions.others:.2f} of {cores} cores: {quiet}"


class Watch:
    """How busy the machine is with other programs, from the making of this to a look at it."""

    def __init__(self) -> None:
        self.began = now()
        self.load_before = load()
        self._foreign = _foreign_work()
        self._start = time.perf_counter()

    def close(self, conditions: Conditions) -> None:
        """Note when it was, and how busy."""
        conditions.begun, conditions.ended = self.began, now()
        conditions.load_before, conditions.load_after = self.load_before, load()
        foreign = _foreign_work()
        if foreign is not None and self._foreign is not None:
            conditions.others = round((foreign - self._foreign) / (time.perf_counter() - self._start), 3)


def _foreign_work() -> float | None:
    """Seconds that all cores have spent on others so far: not on us, nor on our children that have ended.

    What other virtual machines took from us is theirs, too. Of a child's children only those count as ours that it
    waited for; so this is rather too high.
    """
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    except OSError:
        return None
    user, nice, system, _, _, interrupts, soft_interrupts, stolen = map(int, fields[1:9])
    busy = (user + nice + system + interrupts + soft_interrupts + stolen) / os.sysconf("SC_CLK_TCK")
    return busy - sum(os.times()[:4])


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
