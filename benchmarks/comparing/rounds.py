"""Fresh processes, in turn: the raw samples.

A round of a workload takes one sample of each subject, one after the other; the next round goes backwards. So our
sample and a yardstick's are neighbours in time, and neither is always first.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.workloads.catalogue import PEERS, SUBJECTS, Workload, lacking
from benchmarks.workloads.measuring import Sample

__all__ = ["Failure", "Round", "Runner", "Take", "subjects_of", "take_rounds"]

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120.0  # for one sample


@dataclass(frozen=True)
class Failure:
    """A sample that did not come about."""

    reason: str


Round = dict[str, Sample | Failure]  # by subject
Take = Callable[[Workload, str, bool], Sample | Failure]  # takes a sample: of what, on what, whether pinned


@dataclass(frozen=True)
class Runner:
    """Starts the processes that take samples.

    Attributes
    ----------
    python : str
        The interpreter that has fastsched.
    peer_python : str
        The one that has the peers.
    smoke : bool
        Take everything as small as can be.
    """

    python: str
    peer_python: str
    smoke: bool = False

    def has(self, package: str) -> bool:
        """Whether the peers' interpreter can import this."""
        command = [self.peer_python, "-c", f"import {package}"]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def take(self, workload: Workload, subject: str, pinned: bool) -> Sample | Failure:
        """One sample. Whatever goes wrong in it is its own; Ctrl-C is everybody's."""
        python = self.peer_python if SUBJECTS[subject].package else self.python
        options = [*(["--pinned"] if pinned else []), *(["--smoke"] if self.smoke else [])]
        command = [python, "-m", "benchmarks.sample", workload.name, subject, *options]
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            output, errors = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return Failure(f"no result in {SECONDS:g} s")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # its session: the process and what it forked
                process.communicate()
        if process.returncode != 0:
            last = errors.strip().splitlines()[-1:] or ["without a word"]
            return Failure(f"ended with {process.returncode}: {last[0]}")
        return Sample(**json.loads(output.splitlines()[-1]))


def subjects_of(workload: Workload, peers: Sequence[str]) -> list[str]:
    """Ours and the yardsticks of this workload; with some peers, all of them that can run it."""
    yardsticks = [yardstick.subject for yardstick in workload.yardsticks]
    chosen = [workload.ours, *(name for name in yardsticks if not SUBJECTS[name].package or name in peers)]
    if not workload.alone:
        chosen += [name for name in PEERS if name in peers and name not in chosen and not lacking(workload, name)]
    return chosen


def take_rounds(
    take: Take, workload: Workload, subjects: Sequence[str], pinned: bool, count: int, say: Callable[[str], Any]
) -> Iterator[Round]:
    """`count` rounds. A subject that failed is left out of the following ones."""
    failed: dict[str, Sample | Failure] = {}
    for number in range(count):
        say(f"{workload.name}, {'pinned' if pinned else 'free'}: round {number + 1} of {count}")
        order = subjects if number % 2 == 0 else subjects[::-1]
        taken = {name: failed.get(name) or take(workload, name, pinned) for name in order}
        failed |= {name: sample for name, sample in taken.items() if isinstance(sample, Failure)}
        yield taken
