"""The table of workloads: what each is, what it is compared with, how large it is, what is required of it.

Data only, and light: the process that compares reads it, and so does each that measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["OURS", "SUBJECTS", "WORKLOADS", "Subject", "Unit", "Workload", "Yardstick", "workload"]


class Unit(Enum):
    """What the cost of one operation is counted in."""

    SECONDS = "s"
    BYTES = "B"


@dataclass(frozen=True)
class Subject:
    """Something that a workload can be run on.

    Attributes
    ----------
    title : str
        What a reader calls it.
    module : str
        Whose ``measure`` takes the samples.
    package : str
        What must be importable; empty if it is always there. Subjects with a package are peers: optional.
    slow : bool
        Whether it gets the small size of a workload.
    """

    title: str
    module: str
    package: str = ""
    slow: bool = False


CLUSTERS = "benchmarks.workloads.clusters"
POOLS = "benchmarks.workloads.pools"
FLOORS = "benchmarks.floors"
ALONE = "benchmarks.workloads.alone"
START = "benchmarks.workloads.start"

OURS = "fastsched"
SUBJECTS = {
    OURS: Subject("fastsched", CLUSTERS),
    "four-hops": Subject("fastsched, scheduler in a process of its own", CLUSTERS),
    "one-worker": Subject("fastsched with one worker", CLUSTERS),
    "echo": Subject("echo of two processes", FLOORS),
    "echo3": Subject("echo of three processes", FLOORS),
    "calls": Subject("pickle + blake2b + call", FLOORS),
    "handoff": Subject("hand-off to a thread and back", FLOORS),
    "plain-tree": Subject("the same tree as calls through pickle", FLOORS),
    "executor": Subject("ProcessPoolExecutor", POOLS),
    "pool": Subject("multiprocessing.Pool", POOLS),
    "loky": Subject("loky", POOLS, package="loky"),
    "dask": Subject("dask.distributed", CLUSTERS, package="distributed", slow=True),
}


@dataclass(frozen=True)
class Yardstick:
    """What to divide by, and what the quotient is to become.

    Attributes
    ----------
    subject : str
        A key of `SUBJECTS`.
    goal : float, optional
        The ratio of our cost to its cost that we want to reach.
    """

    subject: str
    goal: float | None = None


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    Attributes
    ----------
    name, text : str
        What it is called, and what it does.
    per : str
        Of what the cost is one.
    size, small, smoke : int
        How large it is; for subjects that are slow; and for a look whether it works.
    yardsticks : tuple of Yardstick
    required : float, optional
        The cost that must not be exceeded, whatever the yardstick says.
    goal : float, optional
        The cost that we want to reach on a quiet machine with two cores.
    ours : str
        The subject that is ours.
    module : str
        Whose ``measure`` runs it, if not the subject's.
    unit : Unit
    rate : bool
        Whether people think of it as operations per second.
    pinned : bool
        Whether to measure it with pinned processes, too.
    apart : bool
        Then: whether the client has a core for itself (see `placing`).
    """

    name: str
    text: str
    per: str
    size: int
    small: int
    smoke: int
    yardsticks: tuple[Yardstick, ...] = ()
    required: float | None = None
    goal: float | None = None
    ours: str = OURS
    module: str = ""
    unit: Unit = Unit.SECONDS
    rate: bool = False
    pinned: bool = True
    apart: bool = True

    def module_of(self, subject: str) -> str:
        """The module that measures this workload on that subject."""
        return self.module or SUBJECTS[subject].module

    def size_for(self, subject: str, smoke: bool) -> int:
        """How large it is on that subject."""
        return self.smoke if smoke else self.small if SUBJECTS[subject].slow else self.size


WORKLOADS = (
    Workload(
        name="sync",
        text="`submit(inc, i).result()`, one after the other",
        per="task",
        size=1000,
        small=100,
        smoke=20,
        yardsticks=(Yardstick("echo", 2.0), Yardstick("executor", 0.4), Yardstick("loky"), Yardstick("dask")),
        required=1e-3,
    ),
    Workload(
        name="sync-4hop",
        text="the same with the scheduler in a process of its own, over TCP",
        per="task",
        size=1000,
        small=100,
        smoke=20,
        yardsticks=(Yardstick("echo3", 1.3),),
        ours="four-hops",
    ),
    Workload(
        name="map",
        text="`gather(map(inc, range(10_000)))`",
        per="task",
        size=10_000,
        small=1000,
        smoke=100,
        yardsticks=(Yardstick("pool", 1 / 3), Yardstick("loky"), Yardstick("dask")),
        required=1e-4,
        rate=True,
        apart=False,
        goal=1e-5,
    ),
    Workload(
        name="submit-loop",
        text="10,000 separate calls of `submit`, then `gather`",
        per="task",
        size=10_000,
        small=1000,
        smoke=100,
        yardsticks=(Yardstick("executor", 1 / 8), Yardstick("loky"), Yardstick("dask")),
        rate=True,
        apart=False,
    ),
    Workload(
        name="chain",
        text="1,000 tasks, each of which takes the result of the one before, submitted ahead",
        per="link",
        size=1000,
        small=100,
        smoke=20,
        yardsticks=(Yardstick("echo"), Yardstick("dask")),
        goal=15e-6,
    ),
    Workload(
        name="nested",
        text="inside a task: `client.submit(inc, i).result()`",
        per="child",
        size=1000,
        small=100,
        smoke=20,
        yardsticks=(Yardstick("calls", 4.0), Yardstick("dask")),
        goal=10e-6,
    ),
    Workload(
        name="open",
        text="inside a task: `with worker_client(): pass`",
        per="block",
        size=1000,
        small=200,
        smoke=20,
        yardsticks=(Yardstick("calls"), Yardstick("dask")),
        required=50e-6,
        goal=2e-6,
    ),
    Workload(
        name="fib",
        text="`fib(18)`, every call a task of its own with two children and a gather, one worker",
        per="task",
        size=18,
        small=10,
        smoke=6,
        yardsticks=(Yardstick("plain-tree"), Yardstick("dask")),
        goal=10e-6,
    ),
    Workload(
        name="fib100",
        text="`fib(100)`, equal calls are one task: 101 tasks, 100 deep",
        per="tree",
        size=100,
        small=100,
        smoke=20,
        yardsticks=(Yardstick("dask"),),
        required=0.3,
        goal=20e-3,
    ),
    Workload(
        name="tree-par",
        text="a binary tree of tasks with 200 µs of work in each of 1,024 leaves, two workers",
        per="leaf",
        size=10,
        small=7,
        smoke=4,
        yardsticks=(Yardstick("one-worker", 1 / 1.7), Yardstick("dask")),
        apart=False,
    ),
    Workload(
        name="fan",
        text="a task maps 2,000 children and gathers them (pools: without the task)",
        per="child",
        size=2000,
        small=500,
        smoke=100,
        yardsticks=(Yardstick("pool"), Yardstick("dask")),
        rate=True,
        apart=False,
        goal=1e-5,
    ),
    Workload(
        name="core",
        text="the compiled core alone: submit, assign, finish, release merge-10K in batches",
        per="task",
        size=10_000,
        small=10_000,
        smoke=1000,
        required=0.5e-6,
        module=ALONE,
        rate=True,
        goal=0.2e-6,
    ),
    Workload(
        name="memory",
        text="1,000,000 pending tasks in the scheduler, without their messages",
        per="task",
        size=1_000_000,
        small=1_000_000,
        smoke=10_000,
        module=ALONE,
        unit=Unit.BYTES,
        pinned=False,
        goal=500,
    ),
    Workload(
        name="start",
        text="a fresh interpreter, from the import to the first result of `Client()`",
        per="start",
        size=1,
        small=1,
        smoke=1,
        yardsticks=(Yardstick("executor"), Yardstick("loky"), Yardstick("dask")),
        required=0.5,
        module=START,
        pinned=False,
        goal=0.15,
    ),
)


def workload(name: str) -> Workload:
    """The workload of that name; ValueError names those that there are."""
    for found in WORKLOADS:
        if found.name == name:
            return found
    raise ValueError(f"no workload is called {name!r}; there are {', '.join(w.name for w in WORKLOADS)}")
