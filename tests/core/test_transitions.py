"""The transition table, driven: every line of it, and every (state, event) pair that it does not list."""

from __future__ import annotations

import contextlib
import runpy
from itertools import product
from pathlib import Path

import pytest

from fastsched._core import Event, State, Transition, transition_table
from tests.core.world import World

ROOT = Path(__file__).parents[2]
TABLE = transition_table()
LISTED = {(line.state, line.event) for line in TABLE}
UNLISTED = [pair for pair in product(State, Event) if pair not in LISTED]
KINDS = ["", "has dependents", "external", "handed over"]
# A row that is not computed here is never READY or ASSIGNED.
ROWS = [
    (state, kind)
    for state, kind in product(State, KINDS)
    if kind in KINDS[:2] or state not in (State.READY, State.ASSIGNED)
] + [(State.ASSIGNED, "early")]


def named(line: Transition) -> str:
    return f"{line.state.name}-{line.event.name}-{line.when or 'always'}".replace(" ", "_").replace(",", "")


@pytest.mark.parametrize("line", TABLE, ids=named)
def test_a_listed_event_does_what_the_table_says(line: Transition) -> None:
    world = World(line.state, line.when)
    assert world.state == line.state
    world.fire(line.event)
    effects = world.effects()
    assert (world.state, effects) == (line.next, line.effects)


@pytest.mark.parametrize(("state", "event"), UNLISTED, ids=lambda value: value.name)
def test_an_unlisted_event_changes_nothing(state: State, event: Event) -> None:
    world = World(state, "has dependents" if state != State.FREE else "")
    with contextlib.suppress(KeyError, ValueError):
        world.fire(event)
    assert (world.state, world.effects()) == (state, ())


@pytest.mark.parametrize("event", Event, ids=lambda event: event.name)
@pytest.mark.parametrize(("state", "kind"), ROWS, ids=lambda value: getattr(value, "name", value or "plain"))
def test_no_kind_of_row_does_what_the_table_does_not_list(state: State, kind: str, event: Event) -> None:
    world = World(state, kind)
    with contextlib.suppress(KeyError, ValueError):
        world.fire(event)
    effects = world.effects()
    outcomes = {(line.next, line.effects) for line in TABLE if (line.state, line.event) == (state, event)}
    assert (world.state, effects) in outcomes | {(state, ())}


def test_the_table_knows_every_state_and_event() -> None:
    assert {line.state for line in TABLE} == set(State) - {State.FREE}
    assert {line.event for line in TABLE} == set(Event)


def test_the_table_has_no_line_twice() -> None:
    keys = [(line.state, line.event, line.when) for line in TABLE]
    assert len(keys) == len(set(keys))


def test_the_page_about_states_is_current() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_states.py"))
    assert (ROOT / "docs" / "states.md").read_text() == script["render"](), "run: python docs/make_states.py"
