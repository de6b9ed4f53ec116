"""Rows that came from elsewhere, and turn out to be tasks: of a key that was wanted before its task was known."""

from __future__ import annotations

import pytest

from fastsched._core import EXTERNAL, Effect, State
from tests.core.helpers import core_with, drained, finish, in_memory, placed, states

RELEASED, WAITING, READY, ASSIGNED = State.RELEASED, State.WAITING, State.READY, State.ASSIGNED
MEMORY, ERRED = State.MEMORY, State.ERRED


def test_a_specified_row_is_computed_from_its_inputs() -> None:
    core = core_with(2)
    a = core.add_task(wants=0)
    x = core.add_external()
    below = core.add_task([x])
    assert drained(core)[0][:2] == (Effect.FETCH, x)
    a = core.add_task()
    assert core.specify(x, [a], 3, 7)
    assert not core.flags(x) & EXTERNAL
    assert (core.priority(x), core.order(x)) == (3, 7)
    assert states(core, a, x, below) == [READY, WAITING, WAITING]
    assert placed(core) == [(a, 0)]
    finish(core, a)
    assert placed(core) == [(x, 0)]
    finish(core, x)
    assert placed(core) == [(below, 0)]


def test_inputs_that_only_a_specified_row_needs_are_computed_and_let_go_with_it() -> None:
    core = core_with(1)
    a = core.add_task(wants=0)
    x = core.add_external()
    assert core.specify(x, [a])
    assert states(core, a, x) == [READY, WAITING]
    core.unwant(x)
    drained(core)
    assert core.n_tasks == 0


def test_a_specified_row_whose_input_has_erred_errs() -> None:
    core = core_with(1)
    a = core.add_task()
    core.err(a)
    x = core.add_external()
    assert core.specify(x, [a])
    assert states(core, x) == [ERRED]
    assert core.cause(x) == a


def test_a_row_that_nobody_needs_rests_when_it_is_specified_and_is_computed_once_it_is_needed() -> None:
    core = core_with(1)
    x = core.add_external()
    below = core.add_task([x])
    core.hold(below)
    core.unwant(x)
    core.unwant(below)
    drained(core)
    assert states(core, x) == [RELEASED]
    assert core.specify(x)
    assert drained(core) == []
    core.want(below)
    assert placed(core) == [(x, 0)]


def test_a_value_that_is_there_is_taken_though_an_input_has_erred() -> None:
    core = core_with(1)
    a = core.add_task()
    core.err(a)
    x = core.add_external()
    below = core.add_task([x])
    drained(core)
    assert core.specify(x, [a], worker=0, nbytes=8)
    assert states(core, x, below) == [MEMORY, READY]
    assert (core.run(x), core.holders(x), core.nbytes(x)) == (1, [0], 8)


def test_a_value_that_is_there_and_lost_is_computed_again() -> None:
    core = core_with(1, 1)
    a = core.add_task(wants=0)
    x = core.add_external()
    assert core.specify(x, [a], worker=0, nbytes=8)
    drained(core)
    assert states(core, x) == [MEMORY]
    core.remove_worker(0)
    assert [effect[:2] for effect in core.drain()] == [(Effect.LOST, x), (Effect.ASSIGN, a)]


def test_what_can_be_computed_or_has_come_or_has_erred_is_not_specified() -> None:
    core = core_with(4)
    task, handed, there, erred = core.add_task(), core.add_task(), core.add_external(), core.add_external()
    core.hand_over(handed)
    core.replica(there, 0, 8)
    core.err(erred)
    a = in_memory(core, 0)
    for id in (task, handed, there, erred):
        before = core.state(id), core.dependencies(id), core.flags(id)
        assert not core.specify(id, [a])
        assert (core.state(id), core.dependencies(id), core.flags(id)) == before
    core.check()


def test_nothing_has_happened_if_an_input_or_the_worker_is_not_known() -> None:
    core = core_with(1)
    x = core.add_external()
    a = core.add_task()
    for deps, worker in (([a, 12345], -1), ([a], 7)):
        with pytest.raises(KeyError):
            core.specify(x, deps, worker=worker)
    with pytest.raises(KeyError):
        core.specify(12345)
    assert core.dependencies(x) == []
    assert core.flags(x) & EXTERNAL
    core.check()
