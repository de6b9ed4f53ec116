"""What a child was made from, and what must stay because of that.

One concern: the links between children (`lineage`, `pinned`, `holds`, `roots`) and the `needs` that count them. Plain
functions: what nobody wants any more because of a step they give back, and `children` retires it. May import the
records of jobs only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastsched.worker.jobs import Brood, Child, ChildStage

__all__ = [
    "awaited_by",
    "can_leave",
    "drop_held",
    "drop_roots",
    "first_to_run",
    "held_keys",
    "is_light",
    "keep_roots",
    "let_inputs_go",
    "made_from",
    "need_less",
    "origin_of",
]

LIGHT_BYTES = 65536
"""To send so many costs no more than the message does."""

BYTES_PER_MICRO = 1000.0
"""Of larger ones, so many for each microsecond that a child runs."""

# Plain ints: to look up a member of an enum runs Python code.
WAITING, READY, RUNNING, DONE, FAILED, AWAY, GONE = map(int, ChildStage)


def let_inputs_go(child: Child) -> list[Child]:
    """It has ended, or never begins here. Gives back what nobody wants because of that."""
    unwanted: list[Child] = []
    if child.ended:
        return unwanted
    child.ended = True
    for source in child.lineage + child.pinned:
        if need_less(source):
            unwanted.append(source)
        if child.unmet and child in source.dependents:
            source.dependents.remove(child)
    child.unmet = 0
    return unwanted


def held_keys(child: Child) -> tuple[str, ...]:
    """The keys of the futures inside its value."""
    return tuple([held.key for held in child.holds]) if child.holds else ()


def drop_held(child: Child) -> list[Child]:
    """Its value goes, and with it the futures inside. Gives back what nobody wants because of that."""
    unwanted = [held for held in child.holds if need_less(held)]
    child.holds = ()
    return unwanted


def keep_roots(child: Child) -> None:
    """It is done; the inputs may go. But it can be published only with a way to make them again."""
    roots: dict[Child, None] = {}
    for source in child.lineage + child.pinned:
        if source.started and (source.stage == DONE or source.stage == FAILED):
            for root in source.roots:
                roots[root] = None
        else:
            roots[source] = None
    for root in roots:
        root.needs += 1
    child.roots = tuple(roots)


def drop_roots(child: Child) -> list[Child]:
    """It will not be published any more. Gives back what nobody wants because of that."""
    unwanted = [root for root in child.roots if need_less(root)]
    child.roots = ()
    return unwanted


def need_less(child: Child) -> bool:
    """One reason to keep it is gone. True: that was the last."""
    child.needs -= 1
    return not child.needs and not child.fids and child.stage != GONE


def first_to_run(child: Child) -> Child | None:
    """What it is made from and what can begin; None: all that waits waits for what runs, or is elsewhere."""
    seen: set[Child] = set()
    todo = [child]
    while todo:
        child = todo.pop()
        for source in child.lineage:
            if source.stage == READY:
                return source
            if source.stage == WAITING and source not in seen:
                seen.add(source)
                todo.append(source)
    return None


def origin_of(child: Child) -> list[Any]:
    """What it waits for from now on, by name: see `Child`."""
    return [child.key, [source.origin or [source.key, []] for source in child.lineage if source.stage != DONE]]


def awaited_by(brood: Brood, children: Iterable[Child]) -> set[str]:
    """Keys of those of this brood that were handed over and have not ended, and of what they wait for."""
    names: set[str] = set()
    away = [child for child in children if child.brood is brood and child.stage == AWAY and child.nbytes < 0]
    todo: list[list[Any]] = [child.origin or [child.key, []] for child in away]
    while todo:
        key, inputs = todo.pop()
        if key not in names:
            names.add(key)
            todo += inputs
    return names


def made_from(child: Child) -> tuple[Child, ...]:
    """What must be known before it is published: nothing of one that has no value and never will."""
    return () if child.stage == FAILED else child.lineage + child.pinned


def is_light(child: Child) -> bool:
    """Whether it takes longer, as far as is known, than to send elsewhere what it is made from."""
    nbytes = sum([len(frame) for frame in child.args])
    nbytes += sum([source.value.nbytes for source in child.lineage if source.value is not None])
    return nbytes <= LIGHT_BYTES or nbytes <= BYTES_PER_MICRO * child.function.micros


def can_leave(child: Child) -> bool:
    """Whether it can still be handed over: it has not begun."""
    return child.stage == READY or child.stage == WAITING
