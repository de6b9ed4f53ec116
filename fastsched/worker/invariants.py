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
_WAITING, _READY, _ASSIGNED, _MEMORY, _RELEASED = map(
    int, (State.WAITING, State.READY, State.ASSIGNED, State.MEMORY, State.RELEASED)
)


def _expect(holds: object, what: str, *about: object) -> None:
    """`what` is a format of `about`: the text is made only if it is needed."""
    if not holds:
        raise AssertionError(f"does not hold: {what.format(*about)}")


def check_rows(rows: Rows) -> None:
    """Of the machine: the core, the tables and the store say the same of each row."""
    core, store = rows.core, rows.store
    core.check()
    store.check()
    known = [*rows.jobs, *rows.inputs]
    _expect(sorted(core.tasks()) == sorted(known), "the core and the machine know the same rows")
    in_memory = {row for row in known if core.state(row) == _MEMORY}
    _expect(in_memory == set(store.rows()), "the values of the store are those of the rows in memory")
    current = {row: id for id, row in rows.ids.items()}
    _expect(current.keys() <= set(known), "every id leads to a row")
    for row, job in rows.jobs.items():
        _expect(current.get(row, job.id) == job.id, "{!r}: is found by its id", job)
        _check_job(core, job, row in current)
    waiting = {}
    for row, entry in rows.inputs.items():
        _expect(current.get(row, entry.id) == entry.id, "{!r}: is found by its id", entry)
        _expect(core.wants(row) == entry.held, "{!r}: the core's reference is the scheduler's", entry)
        if row not in in_memory and core.state(row) != _RELEASED:
            waiting[entry.id] = row
        found = row in in_memory or (row in current) == (entry.id in waiting)
        _expect(found, "{!r}: is current while it is waited for", entry)
    rows.fetches.check(waiting)


def _check_job(core: SchedulerCore, job: Job, current: bool) -> None:
    state = core.state(job.row)
    _expect(core.wants(job.row) == job.held, "{!r}: the core's reference is the scheduler's", job)
    if state in (_RELEASED, _MEMORY):
        _expect(not job.seceded, "{!r}: has finished and lends nothing", job)
        _expect(state == _MEMORY or not current, "{!r}: is not found once its value is gone", job)
        return
    _expect(job.started == (state == _ASSIGNED), "{!r}: runs here and in the core", job)
    _expect(job.started or state in (_WAITING, _READY), "{!r}: waits here and in the core", job)
    _expect(job.started or job.wanted, "{!r}: is not in the queue once nobody wants it", job)
    _expect(job.wanted == current or not job.id, "{!r}: is current as long as it is wanted", job)
    _expect(not job.started or len(job.values) == len(job.inputs), "{!r}: runs with all its inputs", job)


def check_slots(rows: Rows, joined: int, lent: int, overdrawn: int) -> None:
    """Of the machine: who holds a slot. Orders that a child's run will answer hold none."""
    core, me = rows.core, rows.me
    _expect(core.occupancy(me) <= core.slots(me) + overdrawn, "no more tasks hold a slot than there are")
    _expect(core.n_ready == 0 or core.free_slots(me) <= 0, "no slot is free while a task is ready")
    started = [job for job in rows.jobs.values() if job.started and core.state(job.row) == _ASSIGNED]
    lends = sum(job.lends() for job in started) + joined
    _expect(lends == lent, "{} slots are said to be lent, but {} are", lent, lends)


def check_orders(rows: Rows, orders: dict[str, Job]) -> None:
    """Of the machine: its jobs, by key: those that are queued, that run, and whose value is here."""
    for key, job in orders.items():
        _expect(job.key == key and rows.jobs.get(job.row) is job and job.wanted, "{!r}: is an order", job)


def check_children(children: Children, asked: dict[int, Child]) -> None:
    """Of the nest: its children, and which of them answer an order of the scheduler, by task id."""
    for fid, child in children.fids.items():
        _expect(fid in child.fids, "{!r}: has its fid {}", child, fid)
        _expect(child.stage != GONE, "{!r}: is there while it has a future", child)
    for fid, child in children.publics.items():
        _expect(child.public == fid, "{!r}: is known to the scheduler as {}", child, fid)
    for key, child in children.keys.items():
        _expect(child.key == key, "{!r}: is found by its key", child)
        _expect(bool(child.fids or child.needs), "{!r}: is wanted by somebody", child)
    for fid, child in children.unadopted.items():
        _expect(children.publics.get(fid) is child and child.needs > 0, "{!r}: stays until it is adopted", child)
    for id, child in asked.items():
        _expect(id in [asked for asked, _ in child.asked], "{!r}: answers {}", child, id)
    for brood in children.broods:
        _expect(bool(brood.ready), "a brood that is listed has children")
        for child in brood.ready:
            _expect(child.stage == READY and child.brood is brood, "{!r}: waits to begin", child)
    everyone = {*children.fids.values(), *children.keys.values(), *children.publics.values()}
    for child in everyone:
        _expect((child.value is not None) == (child.stage == DONE), "{!r}: has a value if it is done", child)
        _expect((child.error is not None) == (child.stage == FAILED), "{!r}: has an error if it failed", child)
        _expect(child.stage != AWAY or child.public > 0, "{!r}: the scheduler knows of it", child)
        if child.stage == DONE:
            for source in child.lineage + child.pinned:
                told = source.public or source.started or source.item is not None
                _expect(told, "{!r}: can be published with {!r}, from which it was made", child, source)
        if child.stage == WAITING:
            away = [source for source in child.lineage if source.stage == AWAY]
            _expect(not away, "{!r}: waits for {}, which are elsewhere", child, away)
            unmet = sum([source.stage not in (DONE, FAILED, GONE) for source in child.lineage])
            _expect(child.unmet == unmet and unmet > 0, "{!r}: waits for {}, not {}", child, child.unmet, unmet)
        if child.stage == READY:
            _expect(child.brood is not None and child in child.brood.ready, "{!r}: is in its brood", child)
            _expect(all(source.value is not None for source in child.lineage), "{!r}: has its inputs", child)
