"""The rows of a worker's core: which task or value stands in which, and where the values are.

One concern: these tables, and the steps that keep them and the core in agreement. `machine` decides when which step is
due, and follows the core's effects; `joins` enters the values of children here. May import _core, messages, and its
own room's records.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastsched._core import SchedulerCore
from fastsched.wire.messages import Frames, InputItem
from fastsched.worker.fetches import Fetches
from fastsched.worker.jobs import Entry, Input, Job
from fastsched.worker.store import Store, Value

__all__ = ["Rows"]


class Rows:
    """The core of one worker, and what is known of each of its rows.

    Parameters
    ----------
    nthreads : int
        Slots.
    address : str
        Where this worker serves its data, so that it never asks itself.
    seed : int
        Of the choice between several holders of an input.

    Attributes
    ----------
    core : SchedulerCore
        With one worker, `me`.
    jobs, inputs : dict of Job, dict of Input
        By row: each row is in one of the two.
    ids : dict of int
        The scheduler's id -> its current row.
    store : Store
        The values that are here, by row.
    fetches : Fetches
        Of inputs that are elsewhere.
    """

    __slots__ = ("address", "core", "fetches", "ids", "inputs", "jobs", "me", "store")

    def __init__(self, nthreads: int, address: str, seed: int) -> None:
        self.address = address
        self.core = SchedulerCore()
        self.me = self.core.add_worker(nthreads)
        self.jobs: dict[int, Job] = {}
        self.inputs: dict[int, Input] = {}
        self.ids: dict[int, int] = {}
        self.store = Store()
        self.fetches = Fetches(seed)

    # -- what the scheduler knows to be here --------------------------------------------------------------------------

    def entry(self, row: int) -> Entry:
        """What stands in this row."""
        return self.jobs.get(row) or self.inputs[row]

    def add_held(self, id: int, key: str) -> int:
        """A row for a value that comes unasked; the scheduler knows it to be here."""
        row = self.core.add_external(1)
        self.ids[id] = row
        self.inputs[row] = Input(id, key, row, True)
        return row

    def hold(self, entry: Entry) -> None:
        """The scheduler knows it to be here."""
        if not entry.held:
            entry.held = True
            self.core.want(entry.row)

    def let_go(self, entry: Entry) -> None:
        """The scheduler counts on it no longer."""
        if entry.held:
            entry.held = False
            self.core.unwant(entry.row)

    def unmap(self, entry: Entry) -> None:
        """This row is not the current one of its id any more."""
        if self.ids.get(entry.id) == entry.row:
            del self.ids[entry.id]

    def forget(self, row: int) -> None:
        """The core has forgotten this row."""
        entry: Entry | None = self.jobs.pop(row, None)
        if entry is None:
            entry = self.inputs.pop(row)
        if self.fetches.row(entry.id) == row:
            self.fetches.drop(entry.id)
        self.unmap(entry)

    # -- inputs and values --------------------------------------------------------------------------------------------

    def obtainable(self, item: InputItem) -> bool:
        """Whether the value is here, or will be: by a task that is here, or from elsewhere."""
        id, _, _, frames, addresses = item
        if id in self.ids:
            return True
        return frames is not None or bool(self.elsewhere(addresses))

    def elsewhere(self, addresses: Iterable[str]) -> list[str]:
        """Those of other workers."""
        return [address for address in addresses if address != self.address]

    def input_row(self, item: InputItem) -> int:
        """The row of an input, made if it has none. A new one rests until the task needs it.

        It may be that of a task, which need not have run yet.
        """
        id, key, nbytes, frames, addresses = item
        row = self.ids.get(id)
        if row is None:
            row = self.core.add_external(0, nbytes)
            self.ids[id] = row
            self.inputs[row] = Input(id, key, row, False)
        if frames is None and row in self.inputs and row not in self.store:
            self.fetches.add(id, row, nbytes, self.elsewhere(addresses))
        return row

    def fill(self, row: int, item: InputItem) -> None:
        """Use the value that came with the task, if the row still waits for one."""
        frames = item[3]
        if frames is not None and row in self.inputs and row not in self.store:
            self.fetches.drop(item[0])
            self.keep(row, Value(frames))

    def keep(self, row: int, value: Value) -> bool:
        """Store the value of an input; False if nobody needs it."""
        if not self.core.replica(row, self.me, value.nbytes):
            return False
        self.store.put(row, value)
        return True

    def house(self, key: str, id: int, value: Value) -> None:
        """Hold a value that was made here under the scheduler's id."""
        row = self.ids.get(id)
        if row is None:
            row = self.add_held(id, key)
        else:
            self.hold(self.entry(row))
        if row not in self.store:
            self.fetches.drop(id)
            self.keep(row, value)

    def frames_of(self, id: int) -> Frames | None:
        """A value that is here."""
        row = self.ids.get(id)
        value = None if row is None else self.store.get(row)
        return None if value is None else value.frames
