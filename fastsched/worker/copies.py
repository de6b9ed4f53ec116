"""Values that come to a worker without a task that needs them.

One concern: to hold what the scheduler wants held here, whether it comes along (`Put`) or has to be fetched
(`Replicate`), and to announce it. Owned by `machine`. May import messages and its own room's records.
"""

from __future__ import annotations

from fastsched.wire.messages import InputItem, Put, PutItem, Replicate
from fastsched.worker.jobs import Entry
from fastsched.worker.news import News
from fastsched.worker.rows import Rows
from fastsched.worker.store import Value

__all__ = ["Copies"]


class Copies:
    """Of one worker.

    Parameters
    ----------
    rows : Rows
        Where they stand.
    news : News
        Where they are announced.
    """

    __slots__ = ("_news", "_rows")

    def __init__(self, rows: Rows, news: News) -> None:
        self._rows = rows
        self._news = news

    def put(self, message: Put) -> int:
        """Hold these values. How many are not wanted: a task of that id runs here, its own value will do."""
        stale = 0
        for item in message.items:
            stale += not self._put(item)
        return stale

    def replicate(self, message: Replicate) -> int:
        """Hold these values once they are here. How many will not come: they are computed here, or nobody has them."""
        stale = 0
        for item in message.items:
            stale += not self._replicate(item)
        return stale

    # -- inside -------------------------------------------------------------------------------------------------------

    def _put(self, item: PutItem) -> bool:
        id, key, type_name, frames = item
        rows = self._rows
        row = rows.ids.get(id)
        if row is None:
            row = rows.add_held(id, key)
        elif row in rows.jobs and row not in rows.store:
            return False
        else:
            rows.hold(rows.entry(row))
        value = rows.store.get(row)
        if value is None:
            value = Value(frames, type_name)
            rows.fetches.drop(id)
            rows.keep(row, value)
        self._news.replicas.append((id, value.nbytes))
        return True

    def _replicate(self, item: InputItem) -> bool:
        id = item[0]
        rows = self._rows
        row = rows.ids.get(id)
        if row is None:
            if not rows.obtainable(item):
                return False
        elif row in rows.jobs and row not in rows.store:
            return False
        row = rows.input_row(item)
        entry: Entry = rows.entry(row)
        rows.hold(entry)  # the core asks for it by FETCH, unless it comes along
        rows.fill(row, item)
        value = rows.store.get(row)
        if value is not None:
            self._news.replicas.append((id, value.nbytes))
        return True
