"""What the executor knows of one thread in which tasks run.

One concern: this record. Written by `executor`, mostly in the thread itself; what others write is written under the
worker's lock. May import the records of jobs, the page's constants and the context.
"""

from __future__ import annotations

from typing import Any

from fastsched._wait import Waiter
from fastsched.page import NO_SEAT
from fastsched.worker.context import Place
from fastsched.worker.jobs import Brood, Job

__all__ = ["Desk"]


class Desk:
    """One thread, and where it can be told something.

    Attributes
    ----------
    waiter : Waiter
        Opened by others when a job is in `job`, or when the slot is back.
    job : Job or None
        What to run next.
    seat : int
        Of the page; `NO_SEAT` while nothing of this thread holds a slot.
    relay
        What to do for another thread (see `relays`), else None.
    root : Job
        What it runs, or has run last, by order of the scheduler.
    place : Place
        Where it is written which task the thread runs: that job, or a child inside it. There once the thread has begun.
    brood : Brood or None
        The children of its tasks that have not begun.
    blocked : Waiter or None
        What its task waits for at the moment.
    wait : int
        The number under which that was reported to the scheduler, 0 if it was not.
    circle : str
        That it is part of a circle, and of which.
    lendable : bool
        The task is in a `worker_client` block and runs no child. Changed by the thread; to False under the lock only.
    listed, deep : bool
        The backstop looks at it for a slot to lend; for a child that runs long.
    depth : int
        Children that run inside each other.
    away : float
        Seconds for which the running task has waited, or run children.
    since : float
        When its present wait began.
    moves, moved : int, float
        What the executor had moved when this thread last looked; when that had changed.
    steps, seen : int
        Grows with each block, wait and child; as the backstop has last seen it.
    still, still_at : int
        Ticks without a step while a child runs; the step after which.
    """

    __slots__ = (
        "away",
        "blocked",
        "brood",
        "circle",
        "deep",
        "depth",
        "job",
        "lendable",
        "listed",
        "moved",
        "moves",
        "place",
        "relay",
        "root",
        "seat",
        "seen",
        "since",
        "steps",
        "still",
        "still_at",
        "wait",
        "waiter",
    )

    def __init__(self, job: Job) -> None:
        self.job: Job | None = job
        self.seat = NO_SEAT
        self.waiter = Waiter()
        self.relay: Any = None
        self.root = job
        self.place: Place
        self.brood: Brood | None = None
        self.blocked: Waiter | None = None
        self.wait = 0
        self.circle = ""
        self.lendable = self.listed = self.deep = False
        self.depth = 0
        self.away = self.since = self.moved = 0.0
        self.steps = self.seen = self.moves = 0
        self.still = self.still_at = 0

    def passed_on(self) -> Desk:
        """A desk with the job and the seat of this one, which is empty then: the job goes on elsewhere."""
        other = Desk(self.root)
        other.seat, self.seat = self.seat, NO_SEAT
        return other

    def take_job(self) -> Job | None:
        """The job that was left here."""
        job, self.job = self.job, None
        return job
