"""The effects of a turn are walked one by one as well as drained into a list."""

from __future__ import annotations

from fastsched._core import Effect, SchedulerCore


def walked(core: SchedulerCore) -> list[tuple[int, int, int, int]]:
    """The effects that are left of the turn that was ended last."""
    effects = []
    while kind := core.next_effect():
        effects.append((kind, core.effect_id, core.effect_a, core.effect_b))
    return effects


def test_a_walk_sees_what_a_drain_would_list() -> None:
    seen = []
    for drain in (SchedulerCore.drain, lambda core: (core.end_turn(), walked(core))[1]):
        core = SchedulerCore()
        worker = core.add_worker(2)
        first, second = core.add_task(), core.add_task()
        effects = drain(core)
        core.finish(first, 1, worker, 8)
        core.unwant(second)
        seen.append(effects + drain(core))
    assert seen[0] == seen[1]
    assert [kind for kind, *_ in seen[1]] == [Effect.ASSIGN, Effect.ASSIGN, Effect.MEMORY, Effect.DROP, Effect.FORGET]


def test_what_follows_from_an_effect_comes_with_the_next_turn() -> None:
    core = SchedulerCore()
    worker = core.add_worker(2)
    tasks = [core.add_task(), core.add_task()]
    assert core.end_turn() == 2
    assert core.next_effect() == Effect.ASSIGN
    core.finish(core.effect_id, 1, worker, 8)
    assert core.n_effects == 1
    assert [(kind, id) for kind, id, _, _ in walked(core)] == [(Effect.ASSIGN, tasks[1])]
    assert core.next_effect() == 0
    assert core.end_turn() == 1
    assert [(kind, id) for kind, id, _, _ in walked(core)] == [(Effect.MEMORY, tasks[0])]
    assert core.end_turn() == 0


def test_who_holds_a_value() -> None:
    core = SchedulerCore()
    first, second = core.add_worker(1), core.add_worker(1)
    id = core.add_external()
    assert core.n_holders(id) == 0
    core.replica(id, second, 8)
    assert (core.n_holders(id), core.holds(first, id), core.holds(second, id)) == (1, False, True)
    core.replica(id, first, 8)
    assert core.n_holders(id) == 2
    assert core.holds(first, id)
