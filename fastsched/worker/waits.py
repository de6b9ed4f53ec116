"""Threads that have waited for long: the scheduler shall know, since they may wait for each other.

One concern: what is told of them, and to whom its answer goes. A report names the tasks of the thread by the ids under
which the scheduler knows them, and what they wait for by public fids; children that it does not know are published for
that. The report is withdrawn when the wait is over. Called by `server` under the worker's lock, some time after a wait
began; may import messages, and its own room's records.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from fastsched.wire.items import make
from fastsched.wire.messages import Circle, Waiting
from fastsched.worker.children import Children
from fastsched.worker.context import CurrentTask
from fastsched.worker.desk import Desk
from fastsched.worker.drops import chain_of
from fastsched.worker.jobs import Child, ChildStage

__all__ = ["Waits"]

# Plain ints: to look up a member of an enum runs Python code.
WAITING, READY, RUNNING, AWAY = map(int, (ChildStage.WAITING, ChildStage.READY, ChildStage.RUNNING, ChildStage.AWAY))

MOST_TOLD = 1000
"""So many futures one report names. Of a wait for all of more these will do; one for the first of more is not told."""


class Told:
    """What the scheduler knows of one wait.

    Attributes
    ----------
    desk : Desk
        Whose.
    attempts : tuple of (int, int)
        The tasks of the thread: id and attempt.
    fids : set of int
        What it waits for.
    """

    __slots__ = ("attempts", "desk", "fids")

    def __init__(self, desk: Desk, attempts: tuple[tuple[int, int], ...], fids: set[int]) -> None:
        self.desk = desk
        self.attempts = attempts
        self.fids = fids


class Waits:
    """The waits of this worker's threads that were reported.

    Parameters
    ----------
    children : Children
        What tasks wait for.
    """

    __slots__ = ("_children", "_numbers", "told")

    def __init__(self, children: Children) -> None:
        self._children = children
        self._numbers = itertools.count(1)
        self.told: dict[int, Told] = {}  # by the number of the wait

    def tell(self, task: CurrentTask, fids: Sequence[int], first: bool) -> bool:
        """A thread waits for all of these futures, or for the `first` of them. True: there is more to tell soon."""
        desk: Desk = task.thread
        awaited = self._awaited(fids, first)
        if not awaited:
            return False
        attempts, due = self._attempts(task)
        known = self.told.get(desk.wait)
        if attempts and (known is None or known.attempts != attempts or not known.fids.issuperset(awaited)):
            if known is None:
                desk.wait = next(self._numbers)
            self.told[desk.wait] = Told(desk, attempts, set(awaited))
            self._children.post.add(Waiting, make(Waiting, (desk.wait, attempts, tuple(awaited), first)))
        return due

    def over(self, desk: Desk) -> str:
        """A wait that was reported is over. Gives back what is wrong with it, if it was in a circle."""
        number, desk.wait = desk.wait, 0
        circle, desk.circle = desk.circle, ""
        if self.told.pop(number, None) is not None:
            self._children.post.add(Waiting, make(Waiting, (number, (), (), False)))
        return circle

    def found(self, message: Circle) -> None:
        """The scheduler has found a circle: the wait of this number shall fail, if it still goes on."""
        number, keys = message
        told = self.told.pop(number, None)
        if told is None:
            return
        desk = told.desk
        if desk.blocked is not None and not desk.blocked.over:
            desk.circle = " -> ".join(keys)
            desk.blocked.open()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _attempts(self, task: CurrentTask) -> tuple[tuple[tuple[int, int], ...], bool]:
        """The tasks of a thread, as far as the scheduler has ids for them. True: more of them are on the way."""
        children = self._children
        attempts: list[tuple[int, int]] = []
        due = False
        for job in chain_of(task):
            if not isinstance(job, Child):
                if job.wanted:
                    attempts.append((job.id, job.attempt))
                continue
            if job.stage == RUNNING and not job.asked and not job.public:
                children.share(job)
            due = due or job.public in children.unadopted
            attempts += job.asked
        return tuple(attempts), due

    def _awaited(self, fids: Sequence[int], first: bool) -> list[int]:
        """These futures as the scheduler knows them, less those that have ended. Empty: this cannot be told."""
        found: list[int] = []
        if first and len(fids) > MOST_TOLD:
            return found
        for fid in fids:
            child = self._children.fids.get(fid)
            open = child is not None and (
                child.stage in (WAITING, READY, RUNNING) or (child.stage == AWAY and child.nbytes < 0)
            )
            if child is not None and open:
                public = self._children.share(child)
                if public:
                    found.append(public)
                    if len(found) == MOST_TOLD:
                        break
            elif first:  # it has ended, or is no task
                return []
        return found
