"""A worker's machine on the bench: orders in by short names, actions out by kind, `check()` after each step.

Each verb is watched: none may enter a Python frame.
"""

from __future__ import annotations

from fastsched.config import Config
from fastsched.wire.messages import (
    Done,
    Drop,
    ErrorItem,
    ErrorKind,
    Free,
    FunctionItem,
    InputItem,
    Put,
    PutItem,
    Replicate,
    Retract,
    Run,
    RunItem,
)
from fastsched.worker.jobs import Fetch, Job, Resume, Send, Start
from fastsched.worker.machine import SCHEDULER, WorkerMachine
from fastsched.worker.store import Value
from tests.machines.helpers.frames import without_frames

FN = b"function"
FUNCTION = FunctionItem(FN, (b"pickle of a function",))
BOOM = ErrorItem(ErrorKind.TASK, (b"exception",), "key", "w", 1, "boom")
HERE = "unix:///here"


def task_id(n: int) -> int:
    """As the scheduler makes them: row n, first generation."""
    return 1 << 32 | n


def inline(n: int, value: bytes = b"inline") -> InputItem:
    """An input that travels with the task."""
    return InputItem(task_id(n), f"key-{n}", len(value), (value,), ())


def remote(n: int, *addresses: str, nbytes: int = 10) -> InputItem:
    """An input that is to be fetched."""
    return InputItem(task_id(n), f"key-{n}", nbytes, None, addresses)


class Bench:
    """A machine, and what it wants done, sorted. `check()` of the machine runs after each verb."""

    def __init__(self, nthreads: int = 1, **limits: int) -> None:
        self.machine = WorkerMachine(Config(**limits), nthreads, "w", HERE)
        self.started: list[Job] = []
        self.resumed: list[Job] = []
        self.fetches: list[Fetch] = []
        self.done: list[Done] = []
        self.sent: list[Send] = []  # to others than the scheduler

    # -- orders --------------------------------------------------------------------------------------------------------

    def receive(self, message, peer: int = SCHEDULER) -> None:
        without_frames(self.machine.receive, peer, message, 0.0)
        self.step()

    def run(self, n: int, *inputs: InputItem, attempt: int = 1, priority: int = 0, order: int = 0) -> None:
        self.run_all((n, inputs, attempt, priority, order))

    def run_all(self, *tasks: tuple) -> None:
        items = tuple(
            RunItem(task_id(n), attempt, f"key-{n}", FN, (b"args",), tuple(inputs), priority, order)
            for n, inputs, attempt, priority, order in tasks
        )
        self.receive(Run((FUNCTION,), items))

    def free(self, *ns: int) -> None:
        self.receive(Free(tuple(map(task_id, ns))))

    def retract(self, n: int, attempt: int = 1) -> None:
        self.receive(Retract(((task_id(n), attempt),)))

    def drop(self, n: int, attempt: int = 1) -> None:
        self.receive(Drop(((task_id(n), attempt),)))

    def put(self, n: int, value: bytes = b"put") -> None:
        self.receive(Put((PutItem(task_id(n), f"key-{n}", "str", (value,)),)))

    def replicate(self, *items: InputItem) -> None:
        self.receive(Replicate(items))

    # -- news ----------------------------------------------------------------------------------------------------------

    def finish(self, job: Job, value: bytes = b"value", pins: tuple[str, ...] = ()) -> None:
        without_frames(self.machine.finished, job, Value((value,), "bytes"), 7, pins)
        self.step()

    def fail(self, job: Job) -> None:
        without_frames(self.machine.failed, job, BOOM)
        self.step()

    def fetched(self, address: str, *items: tuple[int, bytes | None]) -> None:
        answer = [(task_id(n), None if value is None else (value,)) for n, value in items]
        without_frames(self.machine.fetched, address, answer, 0.0)
        self.step()

    def unreachable(self, address: str, *ns: int) -> None:
        without_frames(self.machine.fetched, address, [(task_id(n), None) for n in ns], 0.0)
        self.step()

    def secede(self, job: Job) -> bool:
        seceded = without_frames(self.machine.secede, job)
        self.step()
        return seceded

    def rejoin(self, job: Job) -> bool:
        here = without_frames(self.machine.rejoin, job)
        self.step()
        return here

    def step(self) -> None:
        """Collect what is to be done, and see that all invariants hold."""
        for action in without_frames(self.machine.drain):
            match action:
                case Start(job):
                    self.started.append(job)
                case Resume(job):
                    self.resumed.append(job)
                case Fetch():
                    self.fetches.append(action)
                case Send(peer, message) if peer == SCHEDULER:
                    self.done.append(message)
                case Send():
                    self.sent.append(action)
        self.machine.check()

    # -- what came out -------------------------------------------------------------------------------------------------

    def take_started(self) -> list[str]:
        """Keys of the jobs that started since the last time."""
        keys = [job.key for job in self.started]
        self.started.clear()
        return keys

    def take_job(self) -> Job:
        """The one job that started since the last time."""
        (job,) = self.started
        self.started.clear()
        return job

    def take_done(self) -> Done:
        """All news since the last time, in one message."""
        parts = [sum((done[field] for done in self.done), ()) for field in range(5)]
        lent = self.done[-1].lent if self.done else 0
        self.done.clear()
        return Done(*parts, lent)

    def has(self, n: int) -> bool:
        """Whether the worker would hand on this value."""
        return self.machine.frames_of(task_id(n)) is not None

    def is_silent(self) -> bool:
        """Nothing more is to be done."""
        self.step()
        return not (self.started or self.resumed or self.fetches or self.done or self.sent)

    def is_empty(self) -> bool:
        """The worker remembers nothing of any task or value."""
        return self.is_silent() and self.machine.n_rows == 0 and self.machine.nbytes == 0
