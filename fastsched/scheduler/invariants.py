"""Every invariant of the scheduler's books, recomputed from scratch.

One concern: `check`. It is slow (linear in everything) and meant for tests, which call it after each turn. The rules
that the machine keeps are written here, in one place, as code.
"""

from __future__ import annotations

from collections import Counter

from fastsched._core import SECEDED, State
from fastsched.scheduler.books import Books, row_of, weigh
from fastsched.scheduler.records import ClientRecord
from fastsched.scheduler.task import TaskRecord

__all__ = ["check"]

_NAMES = {int(state): state.name for state in State}
_RELEASED, _WAITING, _MEMORY, _ERRED = map(int, (State.RELEASED, State.WAITING, State.MEMORY, State.ERRED))


def check(books: Books) -> None:
    """Raise AssertionError if the books do not agree with themselves or with the core. To be called after a drain."""
    books.core.check()
    live = [record for record in books.records if record is not None]
    _check_rows(books, live)
    _check_wants(books, live)
    _check_values(books, live)
    _check_functions(books, live)
    _check_peers(books)


def _require(holds: object, what: str, *about: object) -> None:
    """`what` is a format of `about`: the text is made only if it is needed."""
    if not holds:
        raise AssertionError(what.format(*about))


def _check_rows(books: Books, live: list[TaskRecord]) -> None:
    """One record for each row of the core, and the keys table names those that are keyed."""
    core = books.core
    _require(core.n_effects == 0, "check() in the middle of a turn")
    _require([record.id for record in live] == core.tasks(), "records and rows of the core differ")
    for record in live:
        _require(books.records[row_of(record.id)] is record, "{} is filed under another row", record)
        inputs = list(dict.fromkeys(dependency.id for dependency in record.dependencies))
        _require(
            sorted(inputs) == sorted(core.dependencies(record.id)), "{} and the core differ about its inputs", record
        )
        state = core.state(record.id)
        if state == _ERRED:
            _require(record.error is not None, "{} erred without an error", record)
        if state in (_MEMORY, _ERRED):
            _require(record.told == state, "{} is {}, and whoever comes is not told", record, _NAMES[state])
        elif state != _RELEASED and books.listeners(record):
            _require(not record.told, "{} is being computed, and its futures were told an outcome", record)
    keyed = {record.key: record for record in live if record.keyed}
    _require(keyed == books.keys, "the table of keys is not that of the records")
    _require(len(keyed) == sum(record.keyed for record in live), "two records have the same key")


def _check_wants(books: Books, live: list[TaskRecord]) -> None:
    """Every want of the core is a future, a pin, or a fire-and-forget."""
    wants: Counter[int] = Counter()
    for client in (*books.clients.values(), *books.leaving):
        _require(books.clients.get(client.peer) is client or client.outbox.closed, "{} is told things", client)
        pairs = [(fid, books.at(row)) for fid, row in client.futures.items()]
        _require(
            len(pairs) == len(client.futures),
            "{} has {} futures and counts {}",
            client,
            len(pairs),
            len(client.futures),
        )
        for fid, record in pairs:
            wants[record.id] += 1
            found = sum(pair == (client, fid) for pair in _futures_of(record))
            _require(found == 1, "future {} of {} is {} times among those of {}", fid, client, found, record)
        _require(
            all(fid in client.futures for fid in client.inlined),
            "{}: values are counted whose futures are released",
            client,
        )
        first = sum(record.inlined for fid, record in pairs if (record.client, record.fid) == (client, fid))
        _require(client.inlined_bytes == first + sum(client.inlined.values()), "{}: wrong sum of values sent", client)
        _require(client.inlined_bytes <= books.config.inline_budget, "{}: over its budget", client)
    for record in live:
        for pin in () if record.extras is None else (*record.extras.pins, *record.extras.value_pins):
            wants[pin.id] += 1
        wants[record.id] += record.kept
        listeners = books.listeners(record)
        _require(
            record.client is None or record.client.futures.row(record.fid) == row_of(record.id),
            "the first future of {} is released",
            record,
        )
        _require(
            all(books.clients.get(pair[0].peer) is pair[0] or pair[0] in books.leaving for pair in listeners),
            "{} has futures of a lost client",
            record,
        )
    for record in live:
        _require(
            wants[record.id] == books.core.wants(record.id),
            "{}: the core counts {} wants, the books {}",
            record,
            books.core.wants(record.id),
            wants[record.id],
        )


def _futures_of(record: TaskRecord) -> list[tuple[ClientRecord | None, int]]:
    """The futures under which a record is filed, also those that were released."""
    others = None if record.extras is None else record.extras.others
    return [(record.client, record.fid), *(others or ())]


def _check_values(books: Books, live: list[TaskRecord]) -> None:
    """Values at hand belong to rows in memory (or are scattered and under way), and are counted."""
    retained = 0
    for record in live:
        state = books.core.state(record.id)
        if record.frames is not None:
            retained += weigh(record.frames)
            scattered = record.function is None and state in (_WAITING, _RELEASED, _ERRED)
            _require(state == _MEMORY or scattered, "{} is {} and its value is at hand", record, _NAMES[state])
    _require(retained == books.retained, "{} bytes are retained, {} are counted", retained, books.retained)
    _require(not books.passing, "values that were to pass are still here")


def _check_functions(books: Books, live: list[TaskRecord]) -> None:
    """A function is known exactly as long as a task or a connection has it; tables of connections are bounded."""
    used = Counter(record.function.fn for record in live if record.function is not None)
    for client in books.clients.values():
        used.update(client.functions.keys())
        _require(len(client.functions) <= books.config.functions, "{} has too many functions", client)
    counted = {fn: function.users for fn, function in books.functions.items()}
    _require(counted == used, "functions are used {}, and count as used {}", used, counted)
    for worker in books.workers.values():
        _require(len(worker.functions) <= books.config.functions, "{} has too many functions", worker)


def _check_peers(books: Books) -> None:
    """The tables of workers agree, also with the core; nothing is unsent."""
    workers = list(books.workers.values())
    _require(books.workers.keys() <= books.clients.keys(), "a worker is no client")
    _require({worker.name: worker for worker in workers} == books.names, "the names of workers are wrong")
    _require({worker.handle: worker for worker in workers} == books.handles, "the handles of workers are wrong")
    _require(sorted(books.handles) == sorted(books.core.workers()), "the core has other workers")
    for worker in workers:
        _require(books.core.limit(worker.handle) == worker.limit, "{}: another limit than in the core", worker)
        published = [i for i in books.core.assigned_to(worker.handle) if books.core.flags(i) & SECEDED]
        _require(
            books.core.lent(worker.handle) == worker.lent + len(published),
            "{}: another number of lent slots than in the core",
            worker,
        )
    _require(not books.dirty, "messages are unsent")
