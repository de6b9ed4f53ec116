"""Workers that leave as planned: first what only they hold goes to others, then they are told to end.

One concern: from the wish that a worker shall leave to the moment at which nobody will miss it. From the wish on it
gets no new tasks. Those that it has not begun are asked back, those that run may run to their end; meanwhile each value
that no lasting worker holds is brought to one: that worker is told to fetch it, a portion of the values at a time.
When nothing runs there any more and every value is safe, the worker is told to end.

Waiting has its bounds. Tasks that run for longer than `Config.retire_seconds` are given to others, who run them again.
Values are waited for as long as one of them becomes safe within that time, if no other worker is there only a moment.
What is lost in the end is computed again, as if the worker had died. Nobody is blamed for how a retiring worker ends:
who told it to leave may lose patience.

What happens there meanwhile is looked at every LOOK_SECONDS, not at each message, and only the values that are under
way are: a worker may hold very many.

Called by `machine` and `calls`.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastsched.scheduler.books import Books
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.records import WorkerRecord
from fastsched.wire.items import make
from fastsched.wire.messages import InputItem, Replicate, Shutdown

__all__ = ["Retirement"]

_TELL_RETRACT, _TELL_DROP = int(Batch.RETRACT), int(Batch.DROP)

LOOK_SECONDS = 0.05
"""Between looks at what has become safe."""

COUNT_SECONDS = 5.0
"""Between counts of what it has come to hold meanwhile, while tasks run."""

PORTION_ITEMS = 1000
"""Values of one worker that are under way at a time."""

PORTION_BYTES = 64 << 20
"""And as many bytes of them; a larger one travels alone."""

AGAIN_SECONDS = 1.0
"""A value that has not arrived after so long, and the time for its bytes, is asked for again, by another worker."""

SLOWEST = 10e6
"""Bytes a second for which that is enough."""

ALONE_SECONDS = 3.0
"""If no other worker is there one may be about to come."""

END_SECONDS = 10.0
"""A worker that has been told to end, and has not after so long, is given up."""


class _Leaver:
    """A worker that retires."""

    __slots__ = ("asked", "counted", "ends", "moved", "since", "values", "worker")

    def __init__(self, worker: WorkerRecord) -> None:
        self.worker = worker
        self.since = -1.0  # when it began to
        self.moved = 0.0  # when a value last became safe
        self.counted = -1.0  # when it was last looked which values it holds
        self.ends = -1.0  # by when it must have ended, if it has been told to
        self.values: list[int] = []  # of that count, those not known to be safe; the next ones last
        self.asked: dict[int, tuple[WorkerRecord, float]] = {}  # who fetches which value; when to ask again


class Retirement:
    """The workers that retire.

    Parameters
    ----------
    books : Books
        The tables.
    """

    __slots__ = ("_books", "_due", "_leavers", "_patience", "_taken", "_takers")

    def __init__(self, books: Books) -> None:
        self._books = books
        self._patience = books.config.retire_seconds
        self._leavers: dict[WorkerRecord, _Leaver] = {}
        self._due: float | None = None  # when to look
        self._takers: list[WorkerRecord] = []  # who can take values over, in this look
        self._taken: dict[WorkerRecord, int] = {}  # bytes that each was asked to take, for as long as somebody retires

    def begin(self, worker: WorkerRecord) -> None:
        """This worker shall leave. Again: it does already."""
        if not worker.retiring:
            worker.retiring = True
            self._books.settle_open(worker)
            self._leavers[worker] = _Leaver(worker)
            self._due = 0.0

    def gone(self, worker: WorkerRecord) -> None:
        """A worker has left, or is lost; if it was about to take over values, others will."""
        self._taken.pop(worker, None)
        self._leavers.pop(worker, None)
        if not self._leavers:
            self._due = None
            self._taken.clear()

    def look(self, now: float) -> Sequence[WorkerRecord]:
        """Begin of the end of a turn: take the next steps; the workers that have begun to leave."""
        due = self.next_deadline()
        if due is None or now < due:
            return ()
        begun: list[WorkerRecord] = []
        lasting = [worker for worker in self._books.workers.values() if not (worker.retiring or worker.suspect)]
        able = [worker for worker in lasting if worker.address and not worker.client.silent]
        self._takers = [worker for worker in able if not worker.full] or able
        self._due = None
        for leaver in self._leavers.values():
            if leaver.since < 0.0:
                leaver.since = leaver.moved = now
                self._ask_back(leaver.worker)
                begun.append(leaver.worker)
            waits = leaver.ends < 0.0 and not (leaver.worker.suspect or leaver.worker.brings)
            if waits and self._is_through(leaver, now, bool(lasting)):
                leaver.worker.outbox.send(make(Shutdown, ("it retires",)))
                leaver.ends = now + END_SECONDS
            when = now + LOOK_SECONDS if leaver.ends < 0.0 else leaver.ends
            self._due = when if self._due is None else min(self._due, when)
        return begun

    def overdue(self, now: float) -> list[WorkerRecord]:
        """The workers that have been told to end, and have not in time."""
        late = []
        for leaver in self._leavers.values():
            if 0.0 <= leaver.ends <= now:
                if leaver.worker.suspect:  # it has; how is about to be known
                    leaver.ends = now + END_SECONDS
                else:
                    late.append(leaver.worker)
        return late

    def next_deadline(self) -> float | None:
        """When `look` has something to do, if only because time has passed."""
        return None if self._books.gathering else self._due  # what a worker has is not known before

    def check(self) -> None:
        """Exactly the retiring workers are known here, get no tasks, and are looked at again."""
        books = self._books
        retiring = {worker for worker in books.workers.values() if worker.retiring}
        if retiring != self._leavers.keys():
            raise AssertionError(f"these retire: {retiring}; known to retire: {list(self._leavers)}")
        for worker in retiring:
            if books.core.is_open(worker.handle):
                raise AssertionError(f"{worker} retires, and may get tasks")
        if self._leavers and self._due is None:
            raise AssertionError(f"nobody looks after those that retire: {list(self._leavers)}")
        if not self._taken.keys() <= set(books.workers.values()):
            raise AssertionError(f"some that are gone take values over: {self._taken}")

    # -- tasks --------------------------------------------------------------------------------------------------------

    def _ask_back(self, worker: WorkerRecord) -> None:
        """Ask for all its tasks; it keeps those that it has begun, and says nothing of them."""
        core = self._books.core
        for task_id in core.assigned_to(worker.handle):
            worker.outbox.add(_TELL_RETRACT, (task_id, core.run(task_id)))

    def _take_away(self, worker: WorkerRecord) -> None:
        """Others shall run its tasks again."""
        core = self._books.core
        for task_id in core.assigned_to(worker.handle):
            run = core.run(task_id)
            if core.give_back(task_id, run, worker.handle):
                worker.outbox.add(_TELL_DROP, (task_id, run))

    # -- values -------------------------------------------------------------------------------------------------------

    def _is_through(self, leaver: _Leaver, now: float, others: bool) -> bool:
        """Take the next steps for this worker; whether it may end."""
        worker = leaver.worker
        if now >= leaver.since + self._patience:
            self._take_away(worker)
        idle = not self._books.core.n_assigned(worker.handle)
        if not others:
            return idle and (now >= leaver.since + ALONE_SECONDS or not self._books.core.n_replicas(worker.handle))
        if not leaver.values and (idle or now >= leaver.counted + COUNT_SECONDS):
            leaver.values = self._books.core.replicas_of(worker.handle)
            leaver.counted = now
        if leaver.values:
            self._bring(leaver, now)
            return idle and (not leaver.values or now >= leaver.moved + self._patience)
        return idle

    def _bring(self, leaver: _Leaver, now: float) -> None:
        """Forget the values that are safe now, and have the next portion of the others fetched."""
        portion: list[int] = []
        room = PORTION_BYTES
        orders: dict[WorkerRecord, list[InputItem]] = {}
        while leaver.values and room > 0 and len(portion) < PORTION_ITEMS:
            task_id = leaver.values.pop()
            if self._is_safe(task_id, leaver.worker):
                leaver.asked.pop(task_id, None)
                leaver.moved = now
                continue
            portion.append(task_id)
            room -= self._books.record(task_id).nbytes
            if self._takers:
                self._order(leaver, task_id, now, orders)
        portion.reverse()
        leaver.values += portion
        for taker, order in orders.items():
            taker.outbox.send(make(Replicate, (tuple(order),)))

    def _is_safe(self, task_id: int, leaving: WorkerRecord) -> bool:
        """Whether a lasting worker has this value, or nobody needs it any more."""
        books = self._books
        if not books.core.known(task_id) or not books.core.holds(leaving.handle, task_id):
            return True
        for handle in books.core.holders(task_id):
            worker = books.worker(handle)
            if not (worker.retiring or worker.suspect or worker.client.silent):
                return True
        return False

    def _order(self, leaver: _Leaver, task_id: int, now: float, orders: dict[WorkerRecord, list[InputItem]]) -> None:
        """Have some worker take this value, unless one is about to: who has taken least, but not the same again."""
        books = self._books
        asked, until = leaver.asked.get(task_id, (leaver.worker, 0.0))
        if now < until and not (asked.retiring or asked.suspect) and asked.peer in books.workers:
            return
        record = books.record(task_id)
        taker, least = None, 0
        for worker in self._takers:
            taken = self._taken.get(worker, 0)
            if (taker is None or taken < least) and (worker is not asked or len(self._takers) == 1):
                taker, least = worker, taken
        if taker is None:
            raise AssertionError("nobody takes a value")
        self._taken[taker] = least + record.nbytes + 1
        leaver.asked[task_id] = (taker, now + AGAIN_SECONDS + record.nbytes / SLOWEST)
        addresses = () if record.frames is not None else books.addresses(record)
        item = make(InputItem, (task_id, record.key, record.nbytes, record.frames, addresses))
        orders.setdefault(taker, []).append(item)
