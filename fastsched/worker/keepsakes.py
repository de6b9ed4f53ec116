"""What a worker keeps when its scheduler is gone: values, and attempts that run.

One concern: from the moment in which the connection ends to that in which a scheduler, perhaps another one, has said
what it wants of it. Task ids and attempts are the old scheduler's and mean nothing any more; everything is kept under
its key. An attempt that runs is an *orphan* meanwhile: its id is 0. Held by `machine`, under the worker's lock; may
import messages, and its own room's records.

Not kept are what has not begun, values that hold futures (nobody knows any more of which tasks), and copies of what
other workers have computed.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastsched.wire.items import make
from fastsched.wire.messages import Bring, FinishedItem
from fastsched.worker.jobs import Job
from fastsched.worker.news import News
from fastsched.worker.rows import Rows
from fastsched.worker.store import Value

__all__ = ["Keepsakes"]


class Keepsakes:
    """What is kept, by key.

    Parameters
    ----------
    rows : Rows
        Where it is from, and where it goes again.
    news : News
        Takes the outcomes of attempts that have been accepted.
    batch_items : int
        Keys in one message at the most.

    Attributes
    ----------
    values : dict of Value
        By key.
    orphans : dict of Job
        Those that run, by key.
    """

    __slots__ = ("_batch_items", "_news", "_rows", "orphans", "values")

    def __init__(self, rows: Rows, news: News, batch_items: int) -> None:
        self._rows = rows
        self._news = news
        self._batch_items = batch_items
        self.values: dict[str, Value] = {}
        self.orphans: dict[str, Job] = {}

    def part(self, jobs: Iterable[Job], going: set[Job]) -> list[Job]:
        """The scheduler is gone: keep what it had here, and make orphans of `jobs`, less those that cannot be kept.

        Those are given back: `going`, coroutines, and what has not begun.
        """
        rows = self._rows
        for row in rows.store.rows():
            entry = rows.entry(row)
            if entry.held:
                value: Value = rows.store[row]
                if value.type_name and not value.pins:
                    self.values[entry.key] = value
                rows.unmap(entry)
                rows.let_go(entry)
        for entry in rows.inputs.values():
            if entry.held:  # a copy that was asked for, and is not here yet
                rows.unmap(entry)
                rows.let_go(entry)
        ending: list[Job] = []
        for job in jobs:
            if not job.wanted:
                continue
            if job.started and not job.on_loop and job not in going:
                rows.unmap(job)
                job.id = job.attempt = 0
                self.orphans[job.key] = job
            else:
                ending.append(job)
        return ending

    def parted(self) -> None:
        """What is left of it means nothing any more: ids, and news of what it had ordered."""
        self._rows.ids.clear()
        self._news.forget()

    def finished(self, job: Job, value: Value, pins: tuple[str, ...]) -> None:
        """An orphan has its value, and nobody has asked for it yet."""
        if self.orphans.get(job.key) is job:
            del self.orphans[job.key]
            if not pins:
                self.values[job.key] = value

    def failed(self, job: Job) -> None:
        """An orphan has none. It can be tried again."""
        if self.orphans.get(job.key) is job:
            del self.orphans[job.key]

    def brought(self) -> list[Bring]:
        """What a scheduler is to hear of all this."""
        values = [(key, value.type_name, value.nbytes) for key, value in self.values.items()]
        running = tuple(self.orphans)
        most = self._batch_items
        parts = [tuple(values[at : at + most]) for at in range(0, len(values), most)] or [()]
        last = len(parts) - 1
        return [make(Bring, (part, () if at else running, at < last)) for at, part in enumerate(parts)]

    def accepted(self, items: Iterable[tuple[str, int, int]]) -> list[Job]:
        """A scheduler has said what it wants. Gives back the orphans that it does not."""
        rows, news = self._rows, self._news
        unwanted: list[Job] = []
        for key, id, attempt in items:
            value: Value | None = self.values.pop(key, None)
            job: Job | None = self.orphans.pop(key, None)
            if not id:
                if job is not None:
                    unwanted.append(job)
            elif value is not None:
                rows.house(key, id, value)
                if attempt:
                    item = (id, attempt, value.type_name, value.nbytes, 0, None, ())
                    news.finished.append(make(FinishedItem, item))
            elif job is not None:
                job.id, job.attempt = id, attempt
                rows.ids[id] = job.row
            elif attempt:  # it has failed meanwhile, or its value cannot be handed on
                news.returned.append((id, attempt))
        return unwanted
