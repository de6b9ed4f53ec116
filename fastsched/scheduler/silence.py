"""Workers that have not been heard for a while: their work moves, they stay.

One concern: from what a worker says, and when, to where its tasks may go. A worker of which something is expected (it
has tasks or values, or was told something) lets itself be heard every `Config.pulse_seconds`, whatever its tasks do
with the interpreter lock, if it has a pulse at all. One that is not heard for `Config.silence_seconds` was stopped,
swapped out or cut off. That is no death, and nobody is blamed:

- it gets no new tasks;
- tasks that wait there for a slot are given to others;
- tasks that run there, and values there that others need and nobody else has, are computed a second time, tasks only
  where slots are idle.

When it is heard again, what it reports of such an attempt counts if no other attempt was faster; what is left of them a
moment later is dropped, and it gets tasks again. It is lost only with its connection, its process, or after
`Config.worker_ttl` of silence. If no worker is heard, nothing moves: the fault is probably on this side.

The scheduler may itself have been stopped, and then it was deaf. So whoever calls `tick` first reads all that has come,
and the time by which the call comes too late is nobody's silence.

Called by `machine`, and by `reports` for attempts that were moved.
"""

from __future__ import annotations

from fastsched._core import EARLY, SECEDED, State
from fastsched.scheduler.books import Books
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.records import ClientRecord, WorkerRecord

__all__ = ["Silence"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_WAITING, _READY, _ASSIGNED = int(State.WAITING), int(State.READY), int(State.ASSIGNED)
_TELL_DROP, _TELL_FREE = int(Batch.DROP), int(Batch.FREE)

LATE = 0.5  # seconds by which a look comes too late from which on everybody gets the time for one more beat
RETURN_SECONDS = 0.25  # from the first sign of life: what it has found out meanwhile may be on its way


class Silence:
    """Who is heard.

    Parameters
    ----------
    books : Books
        The tables.
    """

    def __init__(self, books: Books) -> None:
        config = books.config
        self._books = books
        self._beat = config.pulse_seconds
        self._limit = config.silence_seconds
        self._ttl = config.worker_ttl
        self._due: float | None = None  # when to look again
        self.n_silent = 0

    # -- what happens -------------------------------------------------------------------------------------------------

    def begins(self, worker: WorkerRecord, now: float) -> None:
        """It says that it has a pulse; it may have been told something before that arrived."""
        worker.client.beats = True
        if not worker.watched and not self._is_quiet(worker):
            self._watch(worker, now)

    def told(self, worker: WorkerRecord, now: float) -> None:
        """A message leaves for this worker: from now on something is expected of it."""
        worker.client.answered = False
        if not worker.watched and worker.client.beats:
            self._watch(worker, now)

    def returned(self, worker: WorkerRecord, now: float) -> None:
        """A silent worker is heard again."""
        worker.client.silent = False
        self.n_silent -= 1
        if worker.moved:
            worker.returns = now + RETURN_SECONDS
        else:
            self._books.settle_open(worker)
        if self._due is None or now < self._due:  # by which we are late stays known
            self._due = now  # it may take the work of others

    def gone(self, worker: WorkerRecord) -> None:
        """The worker left."""
        self.n_silent -= worker.client.silent

    def reclaim(self, worker: WorkerRecord, task_id: int, attempt: int) -> int:
        """A worker reports an attempt that is not the present one.

        If it was moved while the worker was silent, and has no outcome yet, the worker gets the task: the number of the
        attempt under which that is filed now. Else 0.
        """
        moved = worker.moved
        if not moved or moved.get(task_id, -1) != attempt:
            return 0
        del moved[task_id]
        core = self._books.core
        if not core.known(task_id):
            return 0
        if core.state(task_id) == _ASSIGNED:
            other, run = core.worker(task_id), core.run(task_id)
            core.give_back(task_id, run, other)
            self._books.worker(other).outbox.add(_TELL_DROP, (task_id, run))
        return core.claim(task_id, worker.handle)

    # -- time ---------------------------------------------------------------------------------------------------------

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return self._due

    def tick(self, now: float) -> list[WorkerRecord]:
        """Look who was heard; those that were not for so long that they are lost."""
        lost: list[WorkerRecord] = []
        due = self._due
        if due is None or now < due:
            return lost
        self._due = None
        late = now - due
        for worker in self._books.workers.values():
            if not worker.watched or worker.suspect:
                continue
            client = worker.client
            self._forgive(client, now, late)
            if client.silent:
                if self._ttl > 0.0 and now >= client.heard + self._ttl:
                    lost.append(worker)
                else:
                    self._wake(now + self._beat)
            elif self._is_quiet(worker):
                worker.watched = False
            else:
                self._judge(worker, now)
            if worker.returns > 0.0 and not client.silent:
                self._take_back(worker, now)
        if self.n_silent:
            self._move()
        return lost

    def check(self) -> None:
        """Silent workers are counted, get no tasks, and are looked at again."""
        silent = [worker for worker in self._books.workers.values() if worker.client.silent]
        if len(silent) != self.n_silent:
            raise AssertionError(f"{self.n_silent} workers count as silent, these are: {silent}")
        for worker in self._books.workers.values():
            if worker.client.silent or worker.returns > 0.0:
                if self._books.core.is_open(worker.handle):
                    raise AssertionError(f"{worker} is silent, and may get tasks")
            elif worker.moved:
                raise AssertionError(f"{worker} is not silent, and tasks of it were moved: {worker.moved}")
            if self._due is None and worker.watched and not worker.suspect:
                raise AssertionError(f"something is expected of {worker}, and nobody looks")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _watch(self, worker: WorkerRecord, now: float) -> None:
        worker.watched = True
        worker.client.heard = now
        if self._due is None:
            self._due = now + self._beat

    def _forgive(self, client: ClientRecord, now: float, late: float) -> None:
        """What we did not hear while we were late is not this peer's fault."""
        heard = client.heard + late
        if late > LATE and not client.silent and heard < now - self._limit + self._beat:
            heard = now - self._limit + self._beat
        client.heard = heard if heard < now else now

    def _is_quiet(self, worker: WorkerRecord) -> bool:
        """Whether nothing is expected of it: then it may rest, and so may we."""
        core, handle = self._books.core, worker.handle
        if not worker.client.answered or worker.owes or worker.returns > 0.0:
            return False
        return not core.n_assigned(handle) and not core.n_replicas(handle)

    def _judge(self, worker: WorkerRecord, now: float) -> None:
        """Has it been heard in time?"""
        client = worker.client
        if self._limit <= 0.0:
            self._wake(now + self._beat)
        elif now < client.heard + self._limit:
            when = client.heard + self._limit
            self._wake(when if when < now + self._beat else now + self._beat)
        else:
            client.silent = True
            self.n_silent += 1
            worker.returns = 0.0
            self._books.settle_open(worker)
            self._wake(now + self._beat)

    def _wake(self, when: float) -> None:
        if self._due is None or when < self._due:
            self._due = when

    def _take_back(self, worker: WorkerRecord, now: float) -> None:
        """It has had the time to report what it has found out: what was moved is others' from now on."""
        if now < worker.returns:
            self._wake(worker.returns)
            return
        worker.returns = 0.0
        for attempt in worker.moved.items():
            worker.outbox.add(_TELL_DROP, attempt)
        worker.moved.clear()
        self._books.settle_open(worker)

    def _move(self) -> None:
        """Give the work of silent workers to others, if there are others."""
        silent: list[WorkerRecord] = []
        others = False
        for worker in self._books.workers.values():
            if worker.suspect:
                continue
            if worker.client.silent:
                silent.append(worker)
            else:
                others = True
        if not others:
            return
        for worker in silent:
            self._move_tasks(worker)
        for worker in silent:
            self._move_values(worker)

    def _move_tasks(self, worker: WorkerRecord) -> None:
        """What waits for a slot there at once; what runs there as far as slots are idle elsewhere."""
        core, handle = self._books.core, worker.handle
        assigned = core.assigned_to(handle)
        if not assigned:
            return
        attempts = [(task_id, core.run(task_id)) for task_id in assigned]
        begun = worker.slots + max(0, worker.lent)  # the first that it was sent
        running: list[tuple[int, int]] = []
        for task_id, run in attempts:
            flags = core.flags(task_id)
            if flags & EARLY:  # goes with what it waits for
                continue
            if flags & SECEDED or begun > 0:
                running.append((task_id, run))
                begun -= not flags & SECEDED
            else:
                core.give_back(task_id, run, handle)
        idle = core.idle_slots - core.n_ready
        for task_id, run in running:
            if idle <= 0:
                break
            core.give_back(task_id, run, handle)
            idle -= 1
        for task_id, run in attempts:  # some went with others
            if core.known(task_id) and core.worker(task_id) != handle:
                worker.moved[task_id] = run

    def _move_values(self, worker: WorkerRecord) -> None:
        """Values that others need now and nobody else has are computed again; who waits for them is sent out again."""
        books, core, handle = self._books, self._books.core, worker.handle
        for task_id in core.replicas_of(handle):
            if not core.needed(task_id):
                continue
            record = books.record(task_id)
            if record.function is None or record.frames is not None or self._is_audible(task_id):
                continue
            blocked = False
            for dependent in core.dependents(task_id):
                state, other = core.state(dependent), core.worker(dependent)
                if state in (_WAITING, _READY):
                    blocked = True
                elif state == _ASSIGNED and other != handle:
                    blocked = True
                    run = core.run(dependent)
                    core.give_back(dependent, run, other)  # it cannot have begun
                    books.worker(other).outbox.add(_TELL_DROP, (dependent, run))
            if blocked:
                core.drop_replica(task_id, handle)
                worker.outbox.add(_TELL_FREE, task_id)

    def _is_audible(self, task_id: int) -> bool:
        """Whether somebody holds this value who is heard."""
        audible = 0
        for handle in self._books.core.holders(task_id):
            audible += not self._books.worker(handle).client.silent
        return audible > 0
