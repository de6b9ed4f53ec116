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


def check(books: Books) -> None:
    """Raise AssertionError if the books do not agree with themselves or with the core. To be called after a drain."""
    books.core.check()
    live = [record for record in books.records if record is not None]
    _check_rows(books, live)
    _check_wants(books, live)
    _check_values(books, live)
    _check_functions(books, live)
    _check_peers(books)


def _require(condition: bool, text: str) -> None:
    if not condition:
        raise AssertionError(text)


def _check_rows(books: Books, live: list[TaskRecord]) -> None:
    """One record for each row of the core, and the keys table names those that are keyed."""
    core = books.core
    _require(core.n_effects == 0, "check() in the middle of a turn")
    _require([record.id for record in live] == core.tasks(), "records and rows of the core differ")
    for record in live:
        _require(books.records[row_of(record.id)] is record, f"{record} is filed under another row")
        inputs = list(dict.fromkeys(dependency.id for dependency in record.dependencies))
        _require(
            sorted(inputs) == sorted(core.dependencies(record.id)), f"{record} and the core differ about its inputs"
        )
        state = core.state(record.id)
        if state == State.ERRED:
            _require(record.error is not None, f"{record} erred without an error")
        if state in (State.MEMORY, State.ERRED):
            _require(record.told == state, f"{record} is {State(state).name}, and whoever comes is not told")
        elif state != State.RELEASED and books.listeners(record):
            _require(not record.told, f"{record} is being computed, and its futures were told an outcome")
    keyed = {record.key: record for record in live if record.keyed}
    _require(keyed == books.keys, "the table of keys is not that of the records")
    _require(len(keyed) == sum(record.keyed for record in live), "two records have the same key")


def _check_wants(books: Books, live: list[TaskRecord]) -> None:
    """Every want of the core is a future, a pin, or a fire-and-forget."""
    wants: Counter[int] = Counter()
    for client in books.clients.values():
        pairs = [(fid, books.at(row)) for fid, row in client.futures.items()]
        _require(
            len(pairs) == len(client.futures), f"{client} has {len(pairs)} futures and counts {len(client.futures)}"
        )
        for fid, record in pairs:
            wants[record.id] += 1
            found = sum(pair == (client, fid) for pair in _futures_of(record))
            _require(found == 1, f"future {fid} of {client} is {found} times among those of {record}")
        _require(
            all(fid in client.futures for fid in client.inlined),
            f"{client}: values are counted whose futures are released",
        )
        first = sum(record.inlined for fid, record in pairs if (record.client, record.fid) == (client, fid))
        _require(client.inlined_bytes == first + sum(client.inlined.values()), f"{client}: wrong sum of values sent")
        _require(client.inlined_bytes <= books.config.inline_budget, f"{client}: over its budget")
    for record in live:
        for pin in () if record.extras is None else (*record.extras.pins, *record.extras.value_pins):
            wants[pin.id] += 1
        wants[record.id] += record.kept
        listeners = books.listeners(record)
        _require(
            record.client is None or record.client.futures.row(record.fid) == row_of(record.id),
            f"the first future of {record} is released",
        )
        _require(
            all(books.clients.get(pair[0].peer) is pair[0] for pair in listeners),
            f"{record} has futures of a lost client",
        )
    for record in live:
        _require(
            wants[record.id] == books.core.wants(record.id),
            f"{record}: the core counts {books.core.wants(record.id)} wants, the books {wants[record.id]}",
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
            scattered = record.function is None and state in (State.WAITING, State.RELEASED, State.ERRED)
            _require(state == State.MEMORY or scattered, f"{record} is {State(state).name} and its value is at hand")
    _require(retained == books.retained, f"{retained} bytes are retained, {books.retained} are counted")
    _require(not books.passing, "values that were to pass are still here")


def _check_functions(books: Books, live: list[TaskRecord]) -> None:
    """A function is known exactly as long as a task or a connection has it; tables of connections are bounded."""
    used = Counter(record.function.fn for record in live if record.function is not None)
    for client in books.clients.values():
        used.update(client.functions.keys())
        _require(len(client.functions) <= books.config.functions, f"{client} has too many functions")
    counted = {fn: function.users for fn, function in books.functions.items()}
    _require(counted == used, f"functions are used {used}, and count as used {counted}")
    for worker in books.workers.values():
        _require(len(worker.functions) <= books.config.functions, f"{worker} has too many functions")


def _check_peers(books: Books) -> None:
    """The tables of workers agree, also with the core; nothing is unsent."""
    workers = list(books.workers.values())
    _require(books.workers.keys() <= books.clients.keys(), "a worker is no client")
    _require({worker.name: worker for worker in workers} == books.names, "the names of workers are wrong")
    _require({worker.handle: worker for worker in workers} == books.handles, "the handles of workers are wrong")
    _require(sorted(books.handles) == sorted(books.core.workers()), "the core has other workers")
    for worker in workers:
        _require(books.core.limit(worker.handle) == worker.limit, f"{worker}: another limit than in the core")
        published = [i for i in books.core.assigned_to(worker.handle) if books.core.flags(i) & SECEDED]
        _require(
            books.core.lent(worker.handle) == worker.lent + len(published),
            f"{worker}: another number of lent slots than in the core",
        )
    _require(not books.dirty, "messages are unsent")
