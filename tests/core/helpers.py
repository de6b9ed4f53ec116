"""Short ways to say what tests of the core say often."""

from __future__ import annotations

from fastsched._core import Effect, SchedulerCore, State


def core_with(*slots: int, ahead: int = 0, locality_bytes: int = 1 << 20) -> SchedulerCore:
    """A core with one open worker for each number of slots; worker i has row i."""
    core = SchedulerCore(locality_bytes)
    for n in slots:
        core.add_worker(n, n + ahead)
    return core


def drained(core: SchedulerCore) -> list[tuple[Effect, int, int, int]]:
    """The effects of the turn with their kinds by name; the core is sound before and after."""
    core.check()
    effects = [(Effect(kind), id, a, b) for kind, id, a, b in core.drain()]
    core.check()
    return effects


def placed(core: SchedulerCore) -> list[tuple[int, int]]:
    """(id, worker) of what was assigned in this turn, in order."""
    return [(id, worker) for kind, id, worker, _ in drained(core) if kind == Effect.ASSIGN]


def kinds(core: SchedulerCore, id: int) -> list[Effect]:
    """The effects of the turn on one id."""
    return [kind for kind, other, _, _ in drained(core) if other == id]


def finish(core: SchedulerCore, id: int, nbytes: int = 8) -> None:
    """Finish a task where it is assigned."""
    assert core.finish(id, core.run(id), core.worker(id), nbytes)


def in_memory(core: SchedulerCore, worker: int, nbytes: int = 8, wants: int = 1) -> int:
    """A computed value on that worker."""
    id = core.add_task(wants=wants)
    assert core.claim(id, worker)
    finish(core, id, nbytes)
    return id


def states(core: SchedulerCore, *ids: int) -> list[State]:
    return [State(core.state(id)) for id in ids]
