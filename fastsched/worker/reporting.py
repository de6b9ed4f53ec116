"""What the machine is told when a task has been run.

One concern: the step from an `Outcome` to the machine's verbs, for threads and coroutines alike. Called by `executor`
and `coroutines` under the worker's lock. May import the machine, the runner and the records of jobs.
"""

from __future__ import annotations

from fastsched.worker.context import Host
from fastsched.worker.jobs import Child, ChildStage, Job
from fastsched.worker.machine import WorkerMachine
from fastsched.worker.runner import Outcome
from fastsched.worker.store import Value

__all__ = ["report", "report_child"]

_FAILED = int(ChildStage.FAILED)  # a plain int: to look up a member of an enum runs Python code


def report(machine: WorkerMachine, job: Job, outcome: Outcome) -> None:
    """A job of the scheduler's has ended."""
    end = outcome.end
    if isinstance(end, Value):
        if outcome.pins:
            machine.nest.share_keys(outcome.pins)
        machine.finished(job, end, outcome.micros, outcome.pins)
    elif end is not None:
        machine.failed(job, end)


def report_child(machine: WorkerMachine, host: Host, child: Child, outcome: Outcome) -> bool:
    """A child that was claimed here has ended; the client inside hears of it. True: in vain, for good."""
    end = outcome.end
    if isinstance(end, Value):
        machine.child_finished(child, end, outcome.micros, outcome.pins)
    elif end is not None:
        machine.child_failed(child, end)
    host.tell_client()
    return child.stage == _FAILED
