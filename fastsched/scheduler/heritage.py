"""What workers bring along from a scheduler that is gone.

One concern: match it with what clients have submitted again. The successor of a scheduler that died *gathers* for a
moment: its peers come back one by one, and until all of them can be there, and those that are have said all, nothing is
placed. Then what is wanted and was brought is in memory, or runs there already; the workers hear under which ids
(`Accept`), and attempts that nobody wants may go. Values that nobody wants yet are kept for some time, since a client
may have been held up. A worker that comes later brings what nobody has begun.

Ids and runs of the old scheduler mean nothing here: what all sides know a task by is its key (see
docs/decisions/0011-what-survives-a-scheduler.md). A worker whose connection broke, though this scheduler lives, is a
new one here, too. Called by `machine`.
"""

from __future__ import annotations

from collections.abc import Iterable
from sys import intern

from fastsched._core import State
from fastsched.errors import ProtocolError
from fastsched.scheduler.books import Books
from fastsched.scheduler.records import WorkerRecord
from fastsched.scheduler.seek import Seeking
from fastsched.scheduler.task import TaskRecord
from fastsched.wire.items import make
from fastsched.wire.messages import Accept, Bring

__all__ = ["Heritage"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_WAITING, _READY, _IN_MEMORY = int(State.WAITING), int(State.READY), int(State.MEMORY)


MOST_GATHERING = 5
"""So many times `Config.gather_seconds` those that have come are waited for, if they have not said all by then."""


class Heritage:
    """Values and attempts that are older than this scheduler.

    Parameters
    ----------
    books : Books
        The tables. `Books.gathering` is written here.
    seeking : Seeking
        Knows which keys nobody has told of.
    successor : bool
        Whether this scheduler takes the place of one that died.
    """

    def __init__(self, books: Books, seeking: Seeking, successor: bool) -> None:
        self._books = books
        self._seeking = seeking
        self._until: float | None = None  # when it has gathered for long enough, if somebody has come
        self._latest = 0.0  # when it begins whoever is still to say something
        self._end: float | None = None  # until when clients may come for values that nobody has wanted so far
        self._returning: set[int] = set()  # peers that have not said all
        self._brought: list[tuple[WorkerRecord, Bring]] = []  # not looked at yet
        self._spare: dict[WorkerRecord, dict[str, tuple[str, int]]] = {}  # what nobody has wanted so far
        books.gathering = successor

    def joined(self, peer: int, returning: bool, now: float) -> None:
        """A peer has come."""
        if returning:
            self._returning.add(peer)
        if self._books.gathering and self._end is None:
            config = self._books.config
            self._until = now + config.gather_seconds
            self._latest = now + MOST_GATHERING * config.gather_seconds
            self._end = now + max(config.reconnect_seconds, MOST_GATHERING * config.gather_seconds)

    def gone(self, peer: int, worker: WorkerRecord | None) -> None:
        """A peer has gone again."""
        self._returning.discard(peer)
        if worker is not None:
            self._brought = [entry for entry in self._brought if entry[0] is not worker]
            self._spare.pop(worker, None)

    def bring(self, peer: int, worker: WorkerRecord | None, message: Bring) -> None:
        """A peer has said what it wants; a worker has come back with this.

        Raises
        ------
        ProtocolError
            It says what it cannot know.
        """
        if worker is not None:
            self._brought.append((worker, message))
        elif message.values or message.running:
            raise ProtocolError("only workers bring something")
        if message.more:
            if worker is not None:
                worker.brings = True
            return
        self._returning.discard(peer)
        if worker is not None:
            worker.brings = False
        if not self._books.gathering:
            self._accept()
            self._look_again()
            if worker is not None:
                self._books.settle_open(worker)

    def tick(self, now: float) -> None:
        """Whoever wanted to come back has come, if its time is over."""
        books = self._books
        if self._until is not None and now >= self._due():
            self._until = None
            self._accept()
            books.gathering = False
            for record in list(books.unfinished()):
                if self._seeking.is_sought(record):
                    self._seeking.unfounded(record)
            for worker in books.workers.values():
                books.settle_open(worker)
        if self._end is not None and now >= self._end:
            self._end = None
            for worker, values in self._spare.items():
                worker.outbox.send(make(Accept, (tuple([(key, 0, 0) for key in values]),)))
            self._spare.clear()

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return self._end if self._until is None else self._due()

    def check(self) -> None:
        """What was brought waits only for something that will come, and is of workers that are there."""
        books = self._books
        for worker, _ in self._brought:
            if books.handles.get(worker.handle) is not worker:
                raise AssertionError(f"{worker} has brought something, and is gone")
            if not books.gathering and not worker.brings:
                raise AssertionError(f"what {worker} has brought waits for nothing")
        for worker in self._spare:
            if books.handles.get(worker.handle) is not worker:
                raise AssertionError(f"{worker} keeps something, and is gone")
        if self._spare and self._end is None:
            raise AssertionError(f"nobody will tell these to let go: {list(self._spare)}")
        if not self._returning <= books.clients.keys():
            raise AssertionError(f"these will never say what they bring: {self._returning - books.clients.keys()}")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _due(self) -> float:
        """When it will have gathered enough."""
        return self._latest if self._returning or self._until is None else self._until

    def _accept(self) -> None:
        """All values first: an attempt that runs must not have its inputs computed again."""
        brought = [entry for entry in self._brought if not entry[0].brings]
        self._brought = [entry for entry in self._brought if entry[0].brings]
        found = [self._values(worker, message.values) for worker, message in brought]
        for (worker, message), items in zip(brought, found, strict=True):
            items += [self._attempt(worker, key) for key in message.running]
            if items:
                worker.outbox.send(make(Accept, (tuple(items),)))

    def _values(self, worker: WorkerRecord, values: Iterable[tuple[str, str, int]]) -> list[tuple[str, int, int]]:
        """What becomes of these."""
        items: list[tuple[str, int, int]] = []
        for key, type_name, nbytes in values:
            if self._end is not None and self._books.task_of(key) is None:
                self._spare.setdefault(worker, {})[key] = (type_name, nbytes)
            else:
                items.append(self._value(worker, key, type_name, nbytes))
        return items

    def _look_again(self) -> None:
        """Somebody has come late: values that are wanted now."""
        for worker, values in list(self._spare.items()):
            wanted = [(key, *values.pop(key)) for key in list(values) if self._books.task_of(key) is not None]
            if wanted:
                worker.outbox.send(make(Accept, (tuple([self._value(worker, *item) for item in wanted]),)))
            if not values:
                del self._spare[worker]

    def _value(self, worker: WorkerRecord, key: str, type_name: str, nbytes: int) -> tuple[str, int, int]:
        """The worker has a value: the task has it, if it is wanted and nobody has begun with it."""
        books, core = self._books, self._books.core
        record = books.task_of(key)
        if record is None or record.id in self._seeking.condemned:
            return key, 0, 0
        state = core.state(record.id)
        if core.holds(worker.handle, record.id):  # it has computed it meanwhile
            return key, 0, 0
        if state == _IN_MEMORY or record.function is None:
            taken = core.replica(record.id, worker.handle, nbytes)
        else:
            taken = state in (_WAITING, _READY) and core.publish(record.id, worker.handle, nbytes, 1)
            if taken:
                core.unwant(record.id)
        if not taken:
            return key, 0, 0
        if self._seeking.is_sought(record):
            self._seeking.found(record)
        if state != _IN_MEMORY:
            record.type_name = intern(type_name)
            record.nbytes = nbytes
            record.told = 0
        return key, record.id, 0

    def _attempt(self, worker: WorkerRecord, key: str) -> tuple[str, int, int]:
        """The worker runs it: that is its attempt, if it is wanted and nobody else has begun with it."""
        books, core = self._books, self._books.core
        record: TaskRecord | None = books.task_of(key)
        if record is None or record.function is None or core.state(record.id) not in (_WAITING, _READY):
            return key, 0, 0
        run = core.claim(record.id, worker.handle)
        return key, record.id if run else 0, run
