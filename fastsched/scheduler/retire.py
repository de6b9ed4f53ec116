"""Workers that leave as planned: first what only they hold goes to others, then they are told to end.

One concern: from the wish that a worker shall leave to the moment at which nobody will miss it. From the wish on it
gets no new tasks. Those that it has not begun are asked back, those that run may run to their end; meanwhile each value
that no lasting worker holds is brought to one: that worker is told to fetch it, a portion of the values at a time.
When nothing runs there any more and every value is safe, the worker is told to end.

Waiting has its bounds. Tasks that run longer than `Config.retire_seconds` are given up: the worker gives them back when
it ends, and others run them again. Values are waited for as long as one of them becomes safe within that time; and not
at all if there is no other worker. What is lost in the end is computed again, as if the worker had died. Nobody is
blamed for how a retiring worker ends: who told it to leave may lose patience.

What happens there meanwhile is looked at every LOOK_SECONDS, not at each message: a worker leaves once in its life.

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

_TELL_RETRACT = int(Batch.RETRACT)

LOOK_SECONDS = 0.05
"""Between looks at what has become safe."""

PORTION_ITEMS = 1000
"""Values of one worker that are under way at a time."""

PORTION_BYTES = 64 << 20
"""And as many bytes of them; a larger one travels alone."""

AGAIN_SECONDS = 1.0
"""A value that has not arrived after so long, and the time for its bytes, is asked for again."""

SLOWEST = 10e6
"""Bytes a second for which that is enough."""


class _Leaver:
    """A worker that retires."""

    __slots__ = ("asked", "ends", "moved", "since", "values", "worker")

    def __init__(self, worker: WorkerRecord) -> None:
        self.worker = worker
        self.since = -1.0  # when it began to
        self.moved = 0.0  # when a value last became safe
        self.ends = -1.0  # by when it must have ended, if it has been told to
        self.values: list[int] = []  # not known to be safe, of those that it held at the last count
        self.asked: dict[int, tuple[WorkerRecord, float]] = {}  # who fetches which value; when to ask again


class Retirement:
    """The workers that retire.

    Parameters
    ----------
    books : Books
        The tables.
    """

    __slots__ = ("_books", "_due", "_leavers", "_patience", "_to_end", "_turn")

    def __init__(self, books: Books) -> None:
        self._books = books
        self._patience = books.config.retire_seconds
        self._to_end = books.config.close_seconds
        self._leavers: dict[WorkerRecord, _Leaver] = {}
        self._due: float | None = None  # when to look
        self._turn = 0  # whose turn it is to take a value

    def begin(self, worker: WorkerRecord) -> None:
        """This worker shall leave. Again: it does already."""
        if not worker.retiring:
            worker.retiring = True
            self._books.settle_open(worker)
            self._leavers[worker] = _Leaver(worker)
            self._due = 0.0

    def gone(self, worker: WorkerRecord) -> None:
        """A worker has left, or is lost; if it was about to take over values, others will."""
        self._leavers.pop(worker, None)
        if not self._leavers:
            self._due = None

    def look(self, now: float) -> Sequence[WorkerRecord]:
        """End of the turn: take the next steps; the workers that have begun to leave."""
        if self._due is None or now < self._due:
            return ()
        begun: list[WorkerRecord] = []
        self._due = None
        for leaver in self._leavers.values():
            if leaver.since < 0.0:
                leaver.since = leaver.moved = now
                self._ask_back(leaver.worker)
                begun.append(leaver.worker)
            if leaver.ends < 0.0 and self._is_through(leaver, now):
                leaver.worker.outbox.send(make(Shutdown, ("it retires",)))
                leaver.ends = now + self._to_end
            when = now + LOOK_SECONDS if leaver.ends < 0.0 else leaver.ends
            self._due = when if self._due is None else min(self._due, when)
        return begun

    def overdue(self, now: float) -> list[WorkerRecord]:
        """The workers that have been told to end, and have not in time."""
        return [leaver.worker for leaver in self._leavers.values() if 0.0 <= leaver.ends <= now]

    def next_deadline(self) -> float | None:
        """When `look` has something to do, if only because time has passed."""
        return self._due

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

    # -- inside -------------------------------------------------------------------------------------------------------

    def _ask_back(self, worker: WorkerRecord) -> None:
        """Ask for all its tasks; it keeps those that it has begun, and says nothing of them."""
        core = self._books.core
        for task_id in core.assigned_to(worker.handle):
            worker.outbox.add(_TELL_RETRACT, (task_id, core.run(task_id)))

    def _is_through(self, leaver: _Leaver, now: float) -> bool:
        """Take the next steps for this worker; whether it may end."""
        if not self._are_safe(leaver, now) and now < leaver.moved + self._patience:
            return False
        return not self._books.core.n_assigned(leaver.worker.handle) or now >= leaver.since + self._patience

    def _are_safe(self, leaver: _Leaver, now: float) -> bool:
        """Whether others hold all that this worker holds, or there are none; else they are told to fetch."""
        books, leaving = self._books, leaver.worker
        lasting = [worker for worker in books.workers.values() if not (worker.retiring or worker.suspect)]
        if not lasting:
            return True
        takers = [worker for worker in lasting if worker.address and not worker.client.silent]
        while True:
            counted = not leaver.values
            if counted:
                leaver.values = books.core.replicas_of(leaving.handle)
                leaver.asked.clear()
            unsafe = [task_id for task_id in leaver.values if not self._is_safe(task_id, leaving)]
            if len(unsafe) < len(leaver.values):
                leaver.moved = now
            leaver.values = unsafe
            if unsafe:
                self._bring(leaver, takers, now)
                return False
            if counted:
                return True

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

    def _bring(self, leaver: _Leaver, takers: list[WorkerRecord], now: float) -> None:
        """Have the next portion of its values fetched."""
        books = self._books
        items, room = PORTION_ITEMS, PORTION_BYTES
        orders: dict[WorkerRecord, list[InputItem]] = {}
        for task_id in leaver.values if takers else ():
            if items <= 0 or room <= 0:
                break
            record = books.record(task_id)
            items -= 1
            room -= record.nbytes
            taker, until = leaver.asked.get(task_id, (leaver.worker, 0.0))
            if now < until and taker in takers:
                continue
            if taker not in takers:
                self._turn += 1
                taker = takers[self._turn % len(takers)]
            leaver.asked[task_id] = (taker, now + AGAIN_SECONDS + record.nbytes / SLOWEST)
            addresses = () if record.frames is not None else books.addresses(record)
            item = make(InputItem, (task_id, record.key, record.nbytes, record.frames, addresses))
            orders.setdefault(taker, []).append(item)
        for taker, order in orders.items():
            taker.outbox.send(make(Replicate, (tuple(order),)))
