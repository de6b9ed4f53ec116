"""Tasks that wait for each other in a circle.

One concern: find them, and have one of them told. Workers report threads that have waited for long, and when such a
wait is over (`Waiting`). With each report this looks whether the thread will ever go on: whether what it waits for can
end, or waits itself for what can end, and so on. Only waits that were reported are walked along, and inputs of tasks
that have not begun. A wait that cannot end leads into a circle; the youngest wait there is told so and fails
(`Circle`). That is the report that has closed it, so no circle is left, and none has to be looked for
at any other time; but for one: when a worker is lost, what it ran needs its inputs again.

Theory of operation
-------------------
A task that has not ended can *go on* if it is ready, or runs and no wait of its present attempt is known; if it waits
for all of some tasks, or has not begun and needs their values, each of those must have ended or be able to go on; if
it waits for the first of some, one of them. Of all tasks that a wait leads to, those that can go on are found from
those backwards that wait for nobody; what is left waits for each other, in circles, or for who stands in one.

A report may be old: its wait may be over, with the news on the way. But a wait ends only when what it is for has ended,
or because its task is told or dropped; so whoever stands in a circle of old reports has waited in it. An attempt that
is not the present one counts for nothing.

Called by `machine`. May import the books.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from fastsched._core import EARLY, State
from fastsched.errors import ProtocolError
from fastsched.scheduler.books import Books
from fastsched.scheduler.records import ClientRecord, WorkerRecord
from fastsched.wire.items import make
from fastsched.wire.messages import Circle, Waiting

__all__ = ["Circles", "Wait"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_WAITING, _READY, _ASSIGNED = int(State.WAITING), int(State.READY), int(State.ASSIGNED)
_EARLY = int(EARLY)


class Wait:
    """A thread of a worker that waits.

    Attributes
    ----------
    worker : WorkerRecord
        Whose.
    number : int
        The worker's for this wait.
    attempts : tuple of (int, int)
        The tasks of the thread, of which each waits for the next one, and the last one for `targets`: id and run.
    targets : tuple of int
        Task ids.
    first : bool
        It goes on when the first of them has ended, not when all have.
    age : int
        Higher: reported later.
    """

    __slots__ = ("age", "attempts", "first", "number", "targets", "worker")

    def __init__(
        self,
        worker: WorkerRecord,
        number: int,
        attempts: tuple[tuple[int, int], ...],
        targets: tuple[int, ...],
        first: bool,
        age: int,
    ) -> None:
        self.worker = worker
        self.number = number
        self.attempts = attempts
        self.targets = targets
        self.first = first
        self.age = age


class Circles:
    """The waits that workers have reported.

    Parameters
    ----------
    books : Books
        The tables.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._ages = itertools.count()
        self.waits: dict[WorkerRecord, dict[int, Wait]] = {}  # by number
        self.waiting: dict[int, Wait] = {}  # by task id

    def report(self, client: ClientRecord, worker: WorkerRecord, message: Waiting) -> None:
        """A thread of this worker waits, or waits no longer."""
        number, attempts, fids, first = message
        waits = self.waits.get(worker)
        known = None if waits is None else waits.get(number)
        if known is not None:
            self._forget(known)
        if not attempts:
            return
        if not fids:
            raise ProtocolError("a wait for nothing")
        books = self._books
        targets = tuple(dict.fromkeys([books.future(client, fid).id for fid in fids]))
        wait = Wait(worker, number, attempts, targets, first, next(self._ages))
        self.waits.setdefault(worker, {})[number] = wait
        for task_id, _ in attempts:
            self.waiting[task_id] = wait
        self._look(wait)

    def gone(self, worker: WorkerRecord) -> None:
        """It left; what it ran waits for nothing any more."""
        for wait in list(self.waits.get(worker, {}).values()):
            self._forget(wait)

    def look_again(self) -> None:
        """Something that ran has gone back to the queue: now it needs its inputs again, which may wait for it."""
        for wait in sorted([wait for waits in self.waits.values() for wait in waits.values()], key=_age):
            if wait.number in self.waits.get(wait.worker, ()):
                self._look(wait)

    def check(self) -> None:
        """Both tables name the same waits, of workers that are there."""
        listed = [wait for waits in self.waits.values() for wait in waits.values()]
        if not all(self.waits.values()) or not self.waits.keys() <= set(self._books.workers.values()):
            raise AssertionError("waits of nobody are listed")
        if not set(map(id, self.waiting.values())) <= set(map(id, listed)):
            raise AssertionError("a task waits in a wait that is not listed")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _forget(self, wait: Wait) -> None:
        waits = self.waits[wait.worker]
        del waits[wait.number]
        if not waits:
            del self.waits[wait.worker]
        for task_id, _ in wait.attempts:
            if self.waiting.get(task_id) is wait:
                del self.waiting[task_id]

    def _look(self, wait: Wait) -> None:
        """Fail the youngest of each circle that keeps this wait from ending."""
        while circle := self._circle(wait):
            youngest: Wait | None = None
            for task_id in circle:
                found = self._wait_of(task_id)
                if found is not None and (youngest is None or found.age > youngest.age):
                    youngest = found
            if youngest is None:
                raise AssertionError(f"inputs of each other: {circle}")
            self._forget(youngest)
            keys = tuple([self._books.record(task_id).key for task_id in circle])
            youngest.worker.outbox.send(make(Circle, (youngest.number, keys)))

    def _wait_of(self, task_id: int) -> Wait | None:
        """In which this task is known to wait."""
        core = self._books.core
        wait = self.waiting.get(task_id)
        if wait is None or not core.known(task_id) or core.state(task_id) != _ASSIGNED:
            return None
        if core.worker(task_id) != wait.worker.handle or (task_id, core.run(task_id)) not in wait.attempts:
            return None  # another attempt
        return wait

    def _needs(self, task_id: int) -> tuple[Sequence[int], bool] | None:
        """What this task waits for, and whether the first of it will do; None: it can go on, or has ended."""
        core = self._books.core
        if not core.known(task_id):
            return None
        state = core.state(task_id)
        if state == _ASSIGNED and not core.flags(task_id) & _EARLY:
            wait = self._wait_of(task_id)
            return None if wait is None else (wait.targets, wait.first)
        if state != _WAITING and state != _ASSIGNED:
            return None
        inputs = [source for source in core.dependencies(task_id) if self._is_open(source)]
        return (inputs, False) if inputs else None

    def _is_open(self, task_id: int) -> bool:
        """Whether it has no outcome yet."""
        return self._books.core.state(task_id) in (_WAITING, _READY, _ASSIGNED)

    def _circle(self, wait: Wait) -> list[int]:
        """The tasks of a circle that this wait leads to and cannot end because of; none: it will end."""
        start = 0
        for task_id, _ in wait.attempts:
            if self._wait_of(task_id) is wait:
                start = task_id
                break
        if not start:  # nobody wants these attempts any more
            return []
        needs: dict[int, Sequence[int]] = {}  # by task, of all that is reached and cannot go on by itself
        missing: dict[int, int] = {}  # how many of them must go on so that it does
        waiters: dict[int, list[int]] = {}
        moving: list[int] = []
        todo = [start]
        while todo:
            task_id = todo.pop()
            if task_id in waiters:
                continue
            waiters[task_id] = []
            found = self._needs(task_id)
            if found is None:
                moving.append(task_id)
            else:
                sources, first = found
                needs[task_id] = sources
                missing[task_id] = 1 if first else len(sources)
                todo += sources
        for task_id, sources in needs.items():
            for source in sources:
                waiters[source].append(task_id)
        while moving:
            for waiter in waiters[moving.pop()]:
                missing[waiter] -= 1
                if not missing[waiter]:
                    moving.append(waiter)
        return self._way_round(start, needs, missing) if missing.get(start, 0) > 0 else []

    def _way_round(self, start: int, needs: dict[int, Sequence[int]], missing: dict[int, int]) -> list[int]:
        """The shortest way from this task to its own thread, by tasks that cannot go on either.

        If there is none (it waits for who stands in a circle), that circle.
        """
        home = self._wait_of(start)
        before: dict[int, int] = {}
        todo = [start]
        for task_id in todo:  # grows meanwhile
            for source in needs[task_id]:
                if self._wait_of(source) is home:
                    way = [source, task_id]
                    while task_id != start:
                        task_id = before[task_id]
                        way.append(task_id)
                    way.reverse()
                    return way
                if source not in before and missing.get(source, 0) > 0:
                    before[source] = task_id
                    todo.append(source)
        return self._way_into(start, needs, missing)

    def _way_into(self, start: int, needs: dict[int, Sequence[int]], missing: dict[int, int]) -> list[int]:
        """From this task on to what cannot go on either, until the way comes to where it has been."""
        way: list[int] = []
        places: dict[object, int] = {}  # of tasks, or of waits: all tasks of a thread are one place
        task_id = start
        while True:
            place = self._wait_of(task_id) or task_id
            if place in places:
                return [*way[places[place] :], task_id]
            places[place] = len(way)
            way.append(task_id)
            for source in needs[task_id]:
                if missing.get(source, 0) > 0:
                    task_id = source
                    break
            else:
                raise AssertionError(f"{task_id} cannot go on, but all that it needs can")


def _age(wait: Wait) -> int:
    return wait.age
