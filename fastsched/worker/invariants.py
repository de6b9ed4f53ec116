"""Every invariant of a worker's machine and of its nest, recomputed from scratch.

One concern: the checks. They are slow (linear in everything) and meant for tests, which call them after each turn. The
rules that the machine and the nest keep are written here, in one place, as code. Called by both; may import records.
"""

from __future__ import annotations

from fastsched._core import SchedulerCore, State
from fastsched.worker.children import Children
from fastsched.worker.jobs import Child, ChildStage, Job
from fastsched.worker.rows import Rows

__all__ = ["check_children", "check_orders", "check_rows", "check_slots"]

WAITING, READY, RUNNING, DONE, FAILED, AWAY, GONE = map(int, ChildStage)


def _expect(holds: object, what: str) -> None:
    if not holds:
        raise AssertionError(f"does not hold: {what}")


def check_rows(rows: Rows) -> None:
    """Of the machine: the core, the tables and the store say the same of each row."""
    core, store = rows.core, rows.store
    core.check()
    store.check()
    known = [*rows.jobs, *rows.inputs]
    _expect(sorted(core.tasks()) == sorted(known), "the core and the machine know the same rows")
    in_memory = {row for row in known if core.state(row) == State.MEMORY}
    _expect(in_memory == set(store.rows()), "the values of the store are those of the rows in memory")
    current = {row: id for id, row in rows.ids.items()}
    _expect(current.keys() <= set(known), "every id leads to a row")
    _expect(rows.answered.keys() <= rows.ids.keys(), "what a child has answered is here")
    for row, job in rows.jobs.items():
        _expect(current.get(row, job.id) == job.id, f"{job!r}: is found by its id")
        _check_job(core, job, row in current)
    waiting = {}
    for row, entry in rows.inputs.items():
        _expect(current.get(row, entry.id) == entry.id, f"{entry!r}: is found by its id")
        _expect(core.wants(row) == entry.held, f"{entry!r}: the core's reference is the scheduler's")
        if row not in in_memory and core.state(row) != State.RELEASED:
            waiting[entry.id] = row
        found = row in in_memory or (row in current) == (entry.id in waiting)
        _expect(found, f"{entry!r}: is current while it is waited for")
    rows.fetches.check(waiting)


def _check_job(core: SchedulerCore, job: Job, current: bool) -> None:
    state = core.state(job.row)
    _expect(core.wants(job.row) == job.held, f"{job!r}: the core's reference is the scheduler's")
    if state in (State.RELEASED, State.MEMORY):
        _expect(not job.seceded, f"{job!r}: has finished and lends nothing")
        _expect(state == State.MEMORY or not current, f"{job!r}: is not found once its value is gone")
        return
    _expect(job.started == (state == State.ASSIGNED), f"{job!r}: runs here and in the core")
    _expect(job.started or state in (State.WAITING, State.READY), f"{job!r}: waits here and in the core")
    _expect(job.started or job.wanted, f"{job!r}: is not in the queue once nobody wants it")
    _expect(job.wanted == current, f"{job!r}: is current as long as it is wanted")
    _expect(not job.started or len(job.values) == len(job.inputs), f"{job!r}: runs with all its inputs")


def check_slots(rows: Rows, joined: int, lent: int, overdrawn: int) -> None:
    """Of the machine: who holds a slot. Orders that a child's run will answer hold none."""
    core, me = rows.core, rows.me
    _expect(core.occupancy(me) <= core.slots(me) + overdrawn, "no more tasks hold a slot than there are")
    _expect(core.n_ready == 0 or core.free_slots(me) <= 0, "no slot is free while a task is ready")
    started = [job for job in rows.jobs.values() if job.started and core.state(job.row) == State.ASSIGNED]
    lends = sum(job.lends() for job in started) + joined
    _expect(lends == lent, f"{lent} slots are said to be lent, but {lends} are")


def check_orders(rows: Rows, orders: dict[str, Job]) -> None:
    """Of the machine: its queued and running jobs, by key."""
    for key, job in orders.items():
        _expect(job.key == key and rows.jobs.get(job.row) is job and job.wanted, f"{job!r}: is an order")


def check_children(children: Children, asked: dict[int, Child]) -> None:
    """Of the nest: its children, and which of them answer an order of the scheduler, by task id."""
    for fid, child in children.fids.items():
        _expect(fid in child.fids, f"{child!r}: has its fid {fid}")
        _expect(child.stage != GONE, f"{child!r}: is there while it has a future")
    for fid, child in children.publics.items():
        _expect(child.public == fid, f"{child!r}: is known to the scheduler as {fid}")
    for key, child in children.keys.items():
        _expect(child.key == key, f"{child!r}: is found by its key")
        _expect(bool(child.fids or child.needs), f"{child!r}: is wanted by somebody")
    for fid, child in children.unadopted.items():
        _expect(children.publics.get(fid) is child and child.needs > 0, f"{child!r}: stays until it is adopted")
    for id, child in asked.items():
        _expect(id in [asked for asked, _ in child.asked], f"{child!r}: answers {id}")
    for brood in children.broods:
        _expect(bool(brood.ready), "a brood that is listed has children")
        for child in brood.ready:
            _expect(child.stage == READY and child.brood is brood, f"{child!r}: waits to begin")
    everyone = {*children.fids.values(), *children.keys.values(), *children.publics.values()}
    for child in everyone:
        _expect((child.value is not None) == (child.stage == DONE), f"{child!r}: has a value if it is done")
        _expect((child.error is not None) == (child.stage == FAILED), f"{child!r}: has an error if it failed")
        _expect(child.stage != AWAY or child.public > 0, f"{child!r}: the scheduler knows of it")
        if child.stage == DONE:
            for source in child.lineage + child.pinned:
                told = source.public or source.started or source.item is not None
                _expect(told, f"{child!r}: can be published with {source!r}, from which it was made")
        if child.stage == WAITING:
            away = [source for source in child.lineage if source.stage == AWAY]
            _expect(not away, f"{child!r}: waits for {away}, which are elsewhere")
            unmet = sum([source.stage not in (DONE, FAILED, GONE) for source in child.lineage])
            _expect(child.unmet == unmet and unmet > 0, f"{child!r}: waits for {child.unmet}, not {unmet}")
        if child.stage == READY:
            _expect(child.brood is not None and child in child.brood.ready, f"{child!r}: is in its brood")
            _expect(all(source.value is not None for source in child.lineage), f"{child!r}: has its inputs")
