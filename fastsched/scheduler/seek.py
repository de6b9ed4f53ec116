"""Keys that somebody wants and nobody has told of: workers are asked whether a child of theirs has one.

One concern: the time between the want of an unknown key and its task, or the end of the want. Called by `machine`
(answers, workers that go), `futures`, `publish` and `scatter` (wants, and what turns up) and `effects` (the core).

Theory of operation
-------------------
A key can travel as text, and arrive before its task: a child stays with the worker of its parent, which tells nobody.
So an unknown key that is wanted becomes a row of the core, as a value that comes from elsewhere; its futures can be
held, located, cancelled, depended on and pinned as all others. It is *sought*. Once the core says that it is needed
(FETCH), every worker is asked (`Seek`). One that has the child hands it over or publishes it, and only then answers, on
the same connection (`Sought`). The row then becomes that of the task, with all that hangs on it (`found`). When all
have answered, or are gone or not heard any more, nobody has it: the row ends, as cancelled.

A worker that alone holds futures of the key is not asked: it looks among its children before it wants one here, and
submits at once what is launched under such a key later. A want that comes while the question is out may be of a child
that is younger than some answers: all are asked once more, at most `MOST_ROUNDS` times in a row.

A key that is cancelled while it is sought is *condemned*: the question stays out, and the task is cancelled when it is
found; unless it comes from who has cancelled, for whom it is a new one.

While a successor gathers its peers (see `heritage`) nobody is asked: children ended with the scheduler that they were
of, and what such a key stands for may be submitted again, or brought by a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastsched._core import State
from fastsched.errors import ProtocolError
from fastsched.scheduler.books import Books
from fastsched.scheduler.outbox import Batch
from fastsched.scheduler.records import ClientRecord, WorkerRecord
from fastsched.scheduler.task import TaskRecord
from fastsched.wire.items import quoted
from fastsched.wire.messages import ErrorKind

__all__ = ["Search", "Seeking"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_WAITING = int(State.WAITING)
_SEEK = int(Batch.SEEK)
_CANCELLED, _DATA_LOST = int(ErrorKind.CANCELLED), int(ErrorKind.DATA_LOST)

MOST_ROUNDS = 8
"""Who wants an unknown key again and again, without end, shall not keep all others from hearing that it is unknown."""


class Search:
    """A question that is out.

    Attributes
    ----------
    task_id : int
        The row of the key.
    number : int
        Under which workers know the question; each round has a new one.
    waiting : dict of WorkerRecord
        Who has not answered; the values mean nothing.
    again : bool
        Somebody has wanted the key since.
    rounds : int
        How often it was asked.
    """

    __slots__ = ("again", "number", "rounds", "task_id", "waiting")

    def __init__(self, task_id: int) -> None:
        self.task_id = task_id
        self.number = 0
        self.waiting: dict[WorkerRecord, None] = {}
        self.again = False
        self.rounds = 0


class Seeking:
    """The keys that are sought.

    Parameters
    ----------
    books : Books
        The tables.
    """

    def __init__(self, books: Books) -> None:
        self._books = books
        self._last = 0  # number of a question
        self.sought: dict[int, Search | None] = {}  # by task id; None: nobody is asked now
        self.open: dict[int, Search] = {}  # by number
        self.condemned: dict[int, tuple[ClientRecord, str]] = {}  # by task id: who has cancelled it, and the error

    # -- what is wanted, and what turns up ----------------------------------------------------------------------------

    def enter(self, client: ClientRecord, fid: int, key: str) -> None:
        """A client's future is of a key that nobody has told of."""
        books = self._books
        record = TaskRecord(key, None, (), (), ())
        books.enter(record, books.core.add_external())
        books.attach(client, fid, record)
        self.sought[record.id] = None

    def is_sought(self, record: TaskRecord) -> bool:
        """Whether nobody has told of this key."""
        return record.function is None and record.id in self.sought

    def wanted_again(self, record: TaskRecord) -> None:
        """One more future of it: whoever has answered may have the child now."""
        search = self.sought.get(record.id)
        if search is not None:
            search.again = True

    def condemn(self, client: ClientRecord, record: TaskRecord, text: str) -> bool:
        """A client cancels it: so will be its task, if there is one. False: it is known, or has ended."""
        core = self._books.core
        if record.id not in self.sought or core.state(record.id) != _WAITING:
            return False
        if record.id not in self.condemned:
            self.condemned[record.id] = (client, text)
        if not record.kept:  # also if no future of it is left by then
            record.kept = True
            core.want(record.id)
        return True

    def may_be(self, record: TaskRecord, client: ClientRecord, sources: Sequence[TaskRecord]) -> bool:
        """Whether a key that is sought can be that of this client's task, which is made from these, and pins these.

        If one of them waits for that very key they would wait for each other. What is sought ends then.
        """
        text = ""
        if record.id in self.condemned:
            canceller, reason = self.condemned[record.id]
            text = reason if canceller is client else ""
        if not text and (record in sources or (self._is_used(record) and self._is_among(record, sources))):
            text = f"{quoted(record.key)} would be made from its own value"
        if text:
            self._books.unkey(record)
            self._books.fail(record, _CANCELLED, text)
        return not text

    def found(self, record: TaskRecord) -> bool:
        """The row is that of the task from here on. True: workers had been asked."""
        search = self.sought.pop(record.id)
        self.condemned.pop(record.id, None)
        if search is None:
            return False
        self._close(search)
        return True

    # -- what the core says -------------------------------------------------------------------------------------------

    def ask(self, record: TaskRecord) -> None:
        """Its value is needed."""
        if self._books.gathering:  # its task may be submitted again, or a worker bring it; see `heritage`
            return
        search = self.sought[record.id]
        if search is not None:
            search.again = True
        elif record.keyed:
            self._ask(Search(record.id), record)
        else:  # it has ended before, and its key is free for others
            self._give_up(record)

    def ended(self, record: TaskRecord) -> None:
        """It was given up, or is another task than what turned up."""
        self.condemned.pop(record.id, None)
        search = self.sought.get(record.id)
        if search is not None:
            self.sought[record.id] = None
            self._close(search)

    def forget(self, record: TaskRecord) -> None:
        """Nobody wants it any more."""
        self.condemned.pop(record.id, None)
        search = self.sought.pop(record.id, None)
        if search is not None:
            self._close(search)

    def unfounded(self, record: TaskRecord) -> None:
        """Whoever could know it has come back, and nobody does."""
        if record.id in self.condemned:
            self._give_up(record)
        else:
            text = f"no worker has brought back {quoted(record.key)}, and there is nothing to compute it from"
            self._books.fail(record, _DATA_LOST, text)

    # -- what workers say, or do not say ------------------------------------------------------------------------------

    def answered(self, worker: WorkerRecord, numbers: Iterable[int]) -> None:
        """What this worker had of these keys it has told of."""
        for number in numbers:
            if number > self._last:
                raise ProtocolError(f"there is no question {number}")
            search = self.open.get(number)
            if search is not None:
                self._go_on_without(search, worker)

    def gone(self, worker: WorkerRecord) -> None:
        """It left, and will not answer."""
        if worker.owes:
            for search in list(self.open.values()):
                self._go_on_without(search, worker)

    def look(self) -> None:
        """Some workers may have fallen silent: nobody waits for their answers."""
        if self.open:
            for worker in list(self._books.workers.values()):
                if worker.client.silent:
                    self.gone(worker)

    def check(self) -> None:
        """Every key that is needed and not known is asked for, of workers that are there and are heard."""
        books, core = self._books, self._books.core
        asked = {search.number: search for search in self.sought.values() if search is not None}
        if asked != self.open:
            raise AssertionError(f"questions are out: {asked}, and are counted: {self.open}")
        for task_id, search in self.sought.items():
            record = books.record(task_id)
            if not core.known(task_id) or record.function is not None or record.frames is not None:
                raise AssertionError(f"{record} is sought, and is known")
            if search is not None and (search.task_id != task_id or not search.waiting):
                raise AssertionError(f"{record} is sought, and nobody has to answer")
        for record in books.keys.values():
            is_open = record.function is None and record.frames is None and core.state(record.id) == _WAITING
            if is_open and self.sought.get(record.id) is None and not books.gathering:
                raise AssertionError(f"{record} is waited for, and nobody was asked")
        for task_id in self.condemned:
            if task_id not in self.sought or core.state(task_id) != _WAITING or not books.record(task_id).kept:
                raise AssertionError(f"{books.record(task_id)} is condemned, and is not sought")
        owed: dict[WorkerRecord, int] = {}
        for search in self.open.values():
            for worker in search.waiting:
                owed[worker] = owed.get(worker, 0) + 1
        for worker in books.workers.values():
            if worker.owes != owed.pop(worker, 0):
                raise AssertionError(f"{worker} owes {worker.owes} answers, by another count {owed}")
            if worker.owes and (worker.suspect or worker.client.silent):
                raise AssertionError(f"{worker} is not heard, and its answers are waited for")
        if owed:
            raise AssertionError(f"answers are waited for of workers that are gone: {owed}")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _ask(self, search: Search, record: TaskRecord) -> None:
        """Ask everybody who may have a child of this key."""
        askers = {pair[0] for pair in self._books.listeners(record)}
        self._last += 1
        search.number = self._last
        search.again = False
        search.rounds += 1
        item = (search.number, record.key)
        for worker in self._books.workers.values():
            client = worker.client
            if worker.suspect or client.silent or (len(askers) == 1 and client in askers):
                continue
            search.waiting[worker] = None
            worker.owes += 1
            worker.outbox.add(_SEEK, item, len(record.key))
        if search.waiting:
            self.sought[search.task_id] = self.open[search.number] = search
        else:
            self._give_up(record)

    def _go_on_without(self, search: Search, worker: WorkerRecord) -> None:
        """This worker does not have it, or cannot say so."""
        if worker not in search.waiting:
            return
        del search.waiting[worker]
        worker.owes -= 1
        if search.waiting:
            return
        core, task_id = self._books.core, search.task_id
        self._close(search)
        self.sought[task_id] = None
        if not core.known(task_id) or core.state(task_id) != _WAITING:  # if it is needed again the core says so
            return
        record = self._books.record(task_id)
        if search.again and search.rounds < MOST_ROUNDS:
            self._ask(search, record)
        else:
            self._give_up(record)

    def _close(self, search: Search) -> None:
        del self.open[search.number]
        for worker in search.waiting:
            worker.owes -= 1
        search.waiting.clear()

    def _give_up(self, record: TaskRecord) -> None:
        if record.id in self.condemned:
            text = self.condemned[record.id][1]
        else:
            text = f"unknown key {quoted(record.key)}: the task was forgotten or never submitted"
        self._books.unkey(record)
        self._books.fail(record, _CANCELLED, text)

    def _is_used(self, record: TaskRecord) -> bool:
        """Whether something else than futures and a fire-and-forget depends on it."""
        books = self._books
        wants = len(books.listeners(record)) + record.kept
        return books.core.wants(record.id) > wants or len(books.core.dependents(record.id)) > 0

    def _is_among(self, record: TaskRecord, sources: Sequence[TaskRecord]) -> bool:
        """Whether it is one of these, or of those that they were made from or pin."""
        seen = {source.id for source in sources}
        todo = list(sources)
        while todo:
            source = todo.pop()
            if source is record:
                return True
            further = list(source.dependencies)
            if source.extras is not None:
                further += source.extras.pins
                further += source.extras.held
            for other in further:
                if other.id not in seen:
                    seen.add(other.id)
                    todo.append(other)
        return False
