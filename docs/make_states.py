"""Write docs/states.md from the core's transition table: ``python docs/make_states.py``.

A test checks that the page is current.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from fastsched._core import Effect, Event, State, transition_table

PAGE = Path(__file__).with_name("states.md")

INTRODUCTION = """\
# The life of a task

<!-- Written by docs/make_states.py from fastsched._core.transition_table(). Do not edit. -->

The scheduler keeps one row for each task; a worker keeps one for each task and each input that concerns it. This page
says in which states a row can be, what can happen to it, and what the core then asks its machine to do (the *effects*).
The same table drives a test that brings a row into every state and fires every event at it.

A value is *needed* while somebody outside wants it (a future, a pin) or a dependent that is waiting, ready or assigned
needs it as an input.
"""

STATES = {
    State.FREE: "no task; the row waits to be used again",
    State.RELEASED: "known, but nobody needs its value: kept so that it can be computed again (lineage)",
    State.WAITING: "needed, but an input is not in memory; or, if it is computed elsewhere, its value has not come",
    State.READY: "in the ready queue",
    State.ASSIGNED: "placed on a worker",
    State.MEMORY: "at least one worker holds the value",
    State.ERRED: "it failed, or an input of it did",
}

EVENTS = {
    Event.NEEDED: "a first want, or a first dependent that must run",
    Event.UNNEEDED: "the last want and the last such dependent are gone",
    Event.INPUT_MEMORY: "the last missing input came to memory",
    Event.INPUT_LOST: "an input left memory",
    Event.INPUT_ERRED: "an input erred",
    Event.PLACE: "the drain at the end of a turn found a worker for it",
    Event.CLAIM: "a thread runs it right away, or does so already",
    Event.FINISH: "its worker has computed it",
    Event.FAIL: "it raised",
    Event.RETRY: "it raised, but may try again",
    Event.GIVE_BACK: "its worker returned it unstarted",
    Event.ERR: "the machine forces an error: cancelled, given up",
    Event.REPLICA: "a worker reports that it holds the value",
    Event.DROP_REPLICA: "the last holder does not hold it any more",
    Event.REMOVE_WORKER: "the worker that runs it, has its only replica, or alone may run it, is gone",
    Event.SECEDE: "it lends its slot",
    Event.REJOIN: "it wants a slot again",
    Event.HAND_OVER: "it will be computed elsewhere",
    Event.TAKE_BACK: "it was handed over, and is computed here after all",
    Event.DEPENDENT_GONE: "the last dependent's row was forgotten",
    Event.PLACE_EARLY: "the drain put it, before its inputs are there, on the worker that computes them",
    Event.SPECIFY: "what came from elsewhere can be computed after all: its inputs are known, or its value is there",
    Event.RECALL: "an input that it was placed early for left the worker without a value",
    Event.PUBLISH: "a worker that has computed it unasked reports the value",
}

EFFECTS = {
    Effect.ASSIGN: "send it to the worker; in a worker: start it in a slot",
    Effect.DROP: "tell the worker that nobody needs it any more",
    Effect.FREE: "tell the worker that it may forget the value",
    Effect.MEMORY: "the value is there: tell those who want it",
    Effect.ERRED: "it erred: tell those who want it; names the id at the root",
    Effect.LOST: "the last replica is gone",
    Effect.FORGET: "the id is gone for good",
    Effect.FETCH: "get the value from where it is",
    Effect.REJOIN: "a seceded task that waited has a slot again",
}


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table of Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def glossary(title: str, meanings: dict[State, str] | dict[Event, str] | dict[Effect, str]) -> str:
    """What each name means."""
    rows = [(f"`{name.name}`", text) for name, text in meanings.items()]
    return f"## {title}\n\n" + table((title[:-1].lower(), "meaning"), rows)


def diagram() -> str:
    """States, and the events that lead from one to another; those that lead back are left to the table."""
    arrows = sorted({(line.state, line.next, line.event) for line in transition_table() if line.state != line.next})
    lines = ["stateDiagram-v2"]
    for (state, following), group in groupby(arrows, key=lambda arrow: arrow[:2]):
        events = ", ".join(event.name.lower() for _, _, event in group)
        lines.append(f"    {state.name} --> {following.name}: {events}")
    return (
        "## Diagram\n\nA row starts as RELEASED; most are needed at once.\n\n```mermaid\n" + "\n".join(lines) + "\n```"
    )


def transitions() -> str:
    """The whole table."""
    rows = [
        (
            f"`{line.state.name}`",
            f"`{line.event.name}`",
            line.when,
            f"`{line.next.name}`",
            " ".join(f"`{effect.name}`" for effect in line.effects),
        )
        for line in transition_table()
    ]
    return "## Transitions\n\nAn event that is not listed for a state changes nothing there.\n\n" + table(
        ("state", "event", "when", "next", "effects"), rows
    )


def render() -> str:
    """The page."""
    parts = [
        INTRODUCTION.strip(),
        diagram(),
        glossary("States", STATES),
        glossary("Events", EVENTS),
        glossary("Effects", EFFECTS),
        transitions(),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render())
