"""The table of workloads: what each is, what it is compared with, how large it is, what is required of it.

Data only, and light: the process that compares reads it, and so does each that measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, Flag, auto

__all__ = [
    "OURS",
    "PEERS",
    "SUBJECTS",
    "WORKLOADS",
    "Needs",
    "Subject",
    "Unit",
    "Workload",
    "Yardstick",
    "lacking",
    "workload",
]


class Unit(Enum):
    """What the cost of one operation is counted in."""

    SECONDS = "s"
    BYTES = "B"


class Needs(Flag):
    """What a workload asks of a system beyond calling a function with values. Not every peer has all of it."""

    NOTHING = 0
    LINKS = auto()
    NESTING = auto()
    SHARING = auto()
    OPENING = auto()


LACKING = {
    Needs.LINKS: "no futures as inputs",
    Needs.NESTING: "no nested tasks",
    Needs.SHARING: "equal calls are not shared",
    Needs.OPENING: "nothing to open",
}
"""What to say of a peer that does not have it."""

ALL = Needs.LINKS | Needs.NESTING | Needs.SHARING | Needs.OPENING


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
    has : Needs
        What it can do beyond calling functions with values.
    """

    title: str
    module: str
    package: str = ""
    slow: bool = False
    has: Needs = ALL


CLUSTERS = "benchmarks.workloads.clusters"
POOLS = "benchmarks.workloads.pools"
FLOORS = "benchmarks.floors"
ALONE = "benchmarks.workloads.alone"
START = "benchmarks.workloads.start"
ZERO = "benchmarks.workloads.zero"
CONVOY = "benchmarks.workloads.convoy"

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
    "bare": Subject("the same processes and imports without fastsched", START),
    "undisturbed": Subject("fastsched without that thread", CONVOY),
    "executor": Subject("ProcessPoolExecutor", POOLS, has=Needs.NOTHING),
    "pool": Subject("multiprocessing.Pool", POOLS, has=Needs.NOTHING),
    "loky": Subject("loky", POOLS, package="loky", has=Needs.NOTHING),
    "frisky": Subject("Frisky", CLUSTERS, package="frisky", has=Needs.LINKS),
    "ray": Subject("Ray", CLUSTERS, package="ray", slow=True, has=Needs.LINKS | Needs.NESTING),
    "dask": Subject("dask.distributed", CLUSTERS, package="distributed", slow=True),
}

PEERS = ("executor", "pool", "loky", "frisky", "ray", "dask")
"""Other systems that run tasks, for a comparison side by side."""


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
    needs : Needs
        What it asks of a peer.
    alone : bool
        Whether it measures a part or a shape of ours alone, so that no peer has it.
    by_mean : bool
        Whether the cost is the mean of the times and not their median: where a few are very long.
    tail : float, optional
        The 99th percentile that we want to reach.
    side_goals : dict
        The costs beside it that we want to reach, by their names in `Sample.details`.
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
    needs: Needs = Needs.NOTHING
    alone: bool = False
    by_mean: bool = False
    tail: float | None = None
    side_goals: Mapping[str, float] = field(default_factory=dict)

    def module_of(self, subject: str) -> str:
        """The module that measures this workload on that subject."""
        own = SUBJECTS[subject].module
        return own if own == FLOORS else self.module or own

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
        yardsticks=(Yardstick("echo", 2.0), Yardstick("executor", 0.4)),
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
        alone=True,
    ),
    Workload(
        name="map",
        text="`gather(map(inc, range(10_000)))`",
        per="task",
        size=10_000,
        small=1000,
        smoke=100,
        yardsticks=(Yardstick("pool", 1 / 3), Yardstick("frisky", 1 / 8)),
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
        yardsticks=(Yardstick("executor", 1 / 8),),
        rate=True,
        apart=False,
        side_goals={"a call of submit": 8e-6},
    ),
    Workload(
        name="chain",
        text="1,000 tasks, each of which takes the result of the one before, submitted ahead",
        per="link",
        size=1000,
        small=100,
        smoke=20,
        needs=Needs.LINKS,
        yardsticks=(Yardstick("echo"),),
        goal=15e-6,
    ),
    Workload(
        name="nested",
        text="inside a task: `client.submit(inc, i).result()`",
        per="child",
        size=1000,
        small=100,
        smoke=20,
        needs=Needs.NESTING,
        yardsticks=(Yardstick("calls", 4.0),),
        goal=10e-6,
    ),
    Workload(
        name="open",
        text="inside a task: `with worker_client(): pass`",
        per="block",
        size=1000,
        small=200,
        smoke=20,
        needs=Needs.NESTING | Needs.OPENING,
        yardsticks=(Yardstick("calls"),),
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
        needs=Needs.NESTING,
        yardsticks=(Yardstick("plain-tree"),),
        goal=10e-6,
    ),
    Workload(
        name="fib100",
        text="`fib(100)`, equal calls are one task: 101 tasks, 100 deep",
        per="tree",
        size=100,
        small=100,
        smoke=20,
        needs=Needs.NESTING | Needs.SHARING,
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
        needs=Needs.NESTING,
        yardsticks=(Yardstick("one-worker", 1 / 1.7),),
        apart=False,
    ),
    Workload(
        name="fan",
        text="a task maps 2,000 children and gathers them (pools: without the task)",
        per="child",
        size=2000,
        small=500,
        smoke=100,
        needs=Needs.NESTING,
        yardsticks=(Yardstick("pool"),),
        rate=True,
        apart=False,
        goal=1e-5,
    ),
    Workload(
        name="zero",
        text="merge-10K (10,000 tasks and one sum) with workers that answer at once, scheduler in a process of its own",
        per="task",
        size=10_000,
        small=10_000,
        smoke=500,
        yardsticks=(Yardstick("calls"),),
        module=ZERO,
        apart=False,
        alone=True,
        goal=10e-6,
    ),
    Workload(
        name="zero-100k",
        text="the same with merge-100K",
        per="task",
        size=100_000,
        small=100_000,
        smoke=1000,
        yardsticks=(Yardstick("calls"),),
        module=ZERO,
        pinned=False,
        alone=True,
        goal=10e-6,
    ),
    Workload(
        name="zero-tree",
        text="the same with tree-15 (32,768 numbers added pairwise, level by level)",
        per="task",
        size=15,
        small=15,
        smoke=8,
        yardsticks=(Yardstick("calls"),),
        module=ZERO,
        pinned=False,
        alone=True,
        goal=10e-6,
    ),
    Workload(
        name="convoy-worker",
        text="`sync` on one worker, beside a thread in it that burns CPU in pure Python",
        per="task",
        size=1000,
        small=200,
        smoke=20,
        yardsticks=(Yardstick("undisturbed"), Yardstick("executor")),
        module=CONVOY,
        by_mean=True,
        goal=0.5e-3,
        tail=1e-3,
    ),
    Workload(
        name="convoy-client",
        text="the same with the thread in the client",
        per="task",
        size=1000,
        small=200,
        smoke=20,
        yardsticks=(Yardstick("undisturbed"), Yardstick("executor")),
        module=CONVOY,
        by_mean=True,
        goal=0.5e-3,
        tail=1e-3,
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
        alone=True,
        rate=True,
        goal=0.2e-6,
        side_goals={"ten times as many tasks": 0.2e-6, "one at a time": 0.5e-6},
    ),
    Workload(
        name="memory",
        text="1,000,000 pending tasks in the scheduler, without their messages",
        per="task",
        size=1_000_000,
        small=1_000_000,
        smoke=10_000,
        module=ALONE,
        alone=True,
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
        yardsticks=(Yardstick("executor"), Yardstick("bare")),
        required=0.5,
        module=START,
        pinned=False,
        goal=0.15,
        side_goals={"close": 0.05},
    ),
)


def lacking(entry: Workload, subject: str) -> str:
    """Why a peer cannot run this; empty if it can."""
    missing = entry.needs & ~SUBJECTS[subject].has
    return next((text for need, text in LACKING.items() if need in missing), "")


def workload(name: str) -> Workload:
    """The workload of that name; ValueError names those that there are."""
    for found in WORKLOADS:
        if found.name == name:
            return found
    raise ValueError(f"no workload is called {name!r}; there are {', '.join(w.name for w in WORKLOADS)}")
