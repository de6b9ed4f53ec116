"""What users of simulated clusters do.

One concern: scripts. A user submits, waits, releases, cancels at random, by the habits that a scenario gives; which
tasks a user likes is a list of makers of calls.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple, TypeAlias

from tests.sim.language import (
    Call,
    Cancel,
    Failed,
    Handle,
    Keep,
    Outcomes,
    Put,
    Release,
    Sleep,
    Submit,
    Value,
)
from tests.sim.programs import call_leaf, submit_all

__all__ = [
    "CHILDREN",
    "Habits",
    "Maker",
    "braid",
    "chain",
    "household",
    "lasting",
    "leaf",
    "long_leaf",
    "merge",
    "pick",
    "rambler",
    "rival",
    "rough",
    "stumbler",
    "user",
]

Script: TypeAlias = Generator[Any, Any, None]
Maker: TypeAlias = Callable[[random.Random, Sequence[Handle]], Call]


class Habits(NamedTuple):
    """How often a user does what, as weights."""

    submit: float = 10.0
    burst: float = 1.0  # many submits in a row
    gather: float = 2.0
    release: float = 0.0
    cancel: float = 0.0
    keep: float = 0.0
    put: float = 0.0
    sleep: float = 3.0
    actions: int = 30
    crowd: int = 12  # submits in a burst, at most
    pause: float = 2e-3  # seconds, at most


def pick(rng: random.Random, held: Sequence[Handle], most: int) -> tuple[Handle, ...]:
    """Some of the futures at hand, rather new ones."""
    recent = list(held)[-12:]
    return tuple(rng.sample(recent, rng.randint(0, min(most, len(recent)))))


def user(rng: random.Random, habits: Habits, makers: Sequence[Maker]) -> Script:
    """A user of these habits."""
    held: list[Handle] = []
    names = [name for name, weight in habits._asdict().items() if name in _ACTIONS and weight]
    weights = [getattr(habits, name) for name in names]
    for _ in range(habits.actions):
        (name,) = rng.choices(names, weights)
        yield from _ACTIONS[name](rng, habits, makers, held)


def chain(length: int) -> Script:
    """Tasks one behind the other, submitted ahead."""
    last: tuple[Handle, ...] = ()
    for index in range(length):
        last = ((yield Submit(Call("leaf#link", (index, 10, 0), last))),)
    yield Outcomes(last)


def braid(rng: random.Random, length: int, trouble: float) -> Script:
    """Strands of links, each behind one or several of the last ones, submitted ahead.

    `trouble`: how many of them raise, stumble, are cancelled or let go of.
    """
    held: list[Handle] = []
    for _ in range(length):
        held.append((yield Submit(_link(rng, tuple(held[-rng.choice((1, 1, 1, 1, 2, 3)) :]), trouble))))
        if rng.random() < 0.05:
            yield Sleep(rng.random() * 3e-3)
        if len(held) > 4 and rng.random() < trouble:
            yield Release((held.pop(rng.randrange(len(held) - 3)),))
        if rng.random() < trouble / 2:
            yield Cancel((rng.choice(held[-8:]),))
            if rng.random() < 0.5:
                yield Outcomes(tuple(held[-3:]))
            held = []
    yield Outcomes(tuple(held[-3:]))


def _link(rng: random.Random, inputs: tuple[Handle, ...], trouble: float) -> Call:
    salt, priority = rng.randrange(10**9), rng.choice((0, 0, 0, 3, -3))
    if rng.random() < trouble:
        if rng.random() < 0.1:
            return Call("boom", (salt, 100), inputs)
        retries = rng.randint(1, 3)
        return Call("stumble", (salt, retries), inputs, pure=False, retries=retries)
    args = (salt, rng.choice((0, 10, 10, 100, 1500)), rng.choice((0, 0, 300, 5000)))
    return Call("leaf#link", args, inputs, priority=priority)


def merge(width: int) -> Script:
    """Many tasks, and one that needs them all."""
    parts = yield from submit_all([Call("leaf#part", (index, 100, 0)) for index in range(width)])
    last = yield Submit(Call("leaf#whole", (width, 0, 0), parts))
    yield Outcomes((last,))


def _submit(rng: random.Random, habits: Habits, makers: Sequence[Maker], held: list[Handle]) -> Script:
    held.append((yield Submit(rng.choice(makers)(rng, held))))


def _burst(rng: random.Random, habits: Habits, makers: Sequence[Maker], held: list[Handle]) -> Script:
    make = rng.choice(makers)
    before = list(held)
    held.extend((yield from submit_all([make(rng, before) for _ in range(rng.randint(3, habits.crowd))])))


def _gather(rng: random.Random, habits: Habits, makers: Sequence[Maker], held: list[Handle]) -> Script:
    ends = yield Outcomes(pick(rng, held, 4))
    for end in ends:
        if not isinstance(end, Failed):
            held.extend(end.handles)


def _release(rng: random.Random, habits: Habits, makers: Sequence[Maker], held: list[Handle]) -> Script:
    chosen = pick(rng, held, 6)
    for handle in chosen:
        held.remove(handle)
    yield Release(chosen)


def _cancel(rng: random.Random, habits: Habits, makers: Sequence[Maker], held: list[Handle]) -> Script:
    chosen = pick(rng, held, 2)
    if rng.random() < 0.5:
        for handle in chosen:
            held.remove(handle)
    yield Cancel(chosen)


def _keep(rng: random.Random, habits: Habits, makers: Sequence[Maker], held: list[Handle]) -> Script:
    chosen = pick(rng, held, 3)
    yield Keep(chosen)
    if rng.random() < 0.7:
        for handle in chosen:
            held.remove(handle)
        yield Release(chosen)


def _put(rng: random.Random, habits: Habits, makers: Sequence[Maker], held: list[Handle]) -> Script:
    values = [Value(rng.randrange(1 << 20), rng.choice((0, 300, 20_000))) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.2:
        values[0] = values[0]._replace(handles=pick(rng, held, 2))
    held.extend((yield Put(tuple(values), (), rng.random() < 0.3)))


def _sleep(rng: random.Random, habits: Habits, makers: Sequence[Maker], held: list[Handle]) -> Script:
    yield Sleep(rng.random() * habits.pause)


_ACTIONS: dict[str, Callable[..., Script]] = {
    "submit": _submit,
    "burst": _burst,
    "gather": _gather,
    "release": _release,
    "cancel": _cancel,
    "keep": _keep,
    "put": _put,
    "sleep": _sleep,
}


# -- calls that users like ---------------------------------------------------------------------------------------------


def leaf(rng: random.Random, held: Sequence[Handle]) -> Call:
    """Any task without children, on some of what is at hand."""
    inputs = pick(rng, held, 3) if rng.random() < 0.6 else ()
    return call_leaf(rng, inputs, pure=rng.random() < 0.7, priority=rng.choice((0, 0, 0, 5, -5)))


def long_leaf(rng: random.Random, held: Sequence[Handle]) -> Call:
    """One that takes its time."""
    args = (rng.randrange(1000), rng.choice((100_000, 1_000_000, 5_000_000)), rng.choice((0, 0, 5000)))
    return Call(f"leaf#{rng.randrange(8)}", args, pick(rng, held, 2), pure=rng.random() < 0.7)


def stumbler(rng: random.Random, held: Sequence[Handle]) -> Call:
    """One that needs several attempts, and may have as many."""
    retries = rng.randint(1, 3)
    return Call("stumble", (rng.randrange(10**9), retries), pick(rng, held, 2), pure=False, retries=retries)


def _tree(rng: random.Random, held: Sequence[Handle]) -> Call:
    return Call("tree", (rng.randrange(1000), rng.randint(1, 3), rng.randint(1, 3)), pure=rng.random() < 0.5)


def _fib(rng: random.Random, held: Sequence[Handle]) -> Call:
    return Call("fib", (rng.randint(2, 9),))


def _fan(rng: random.Random, held: Sequence[Handle]) -> Call:
    args = (rng.randrange(30), rng.randint(0, 20), rng.choice((0, 100, 2000)), rng.choice((0, 0, 3000)))
    return Call("fan", args, pick(rng, held, 1))


def _collect(rng: random.Random, held: Sequence[Handle]) -> Call:
    return Call("collect", (rng.randrange(30),), (), pick(rng, held, 3))


def _futures(rng: random.Random, held: Sequence[Handle]) -> Call:
    return Call("futures", (rng.randrange(30),), (), pick(rng, held, 2), pure=rng.random() < 0.5)


def _courier(rng: random.Random, held: Sequence[Handle]) -> Call:
    return Call("courier", (rng.randrange(1000), rng.randint(0, 4)), pure=False)


def _nap(rng: random.Random, held: Sequence[Handle]) -> Call:
    return Call(rng.choice(("nap", "stay_out")), (rng.randrange(30), rng.choice((50, 3000))), pick(rng, held, 1))


def _scatterer(rng: random.Random, held: Sequence[Handle]) -> Call:
    return Call("scatterer", (rng.randrange(1000), rng.choice((0, 500))), pure=False)


def _launcher(rng: random.Random, held: Sequence[Handle]) -> Call:
    return Call("launcher", (rng.randrange(1000), 3), pure=False)


def rambler(rng: random.Random, held: Sequence[Handle]) -> Call:
    """Any task with any children."""
    return _rambler(rng, held, 0)


def rough(rng: random.Random, held: Sequence[Handle]) -> Call:
    """One that cancels some of them."""
    return _rambler(rng, held, 1)


def _rambler(rng: random.Random, held: Sequence[Handle], cancels: int) -> Call:
    pure = rng.random() < 0.5
    seed = rng.randrange(40) if pure else rng.randrange(10**9)
    return Call("rambler", (seed, rng.choice((0, 1, 1, 2)), cancels), pick(rng, held, 1), pick(rng, held, 2), pure)


def household(rng: random.Random, held: Sequence[Handle]) -> Call:
    """One with children that get into each other's way."""
    return Call("household", (rng.randrange(10**6), rng.randint(1, 6)), pick(rng, held, 1))


def rival(rng: random.Random, held: Sequence[Handle]) -> Call:
    """One that wants a lock, or holds it while it waits."""
    salt, micros = rng.randrange(10**6), rng.choice((10, 3000, 150_000))
    if rng.random() < 0.5:
        return Call("wanter", (salt, micros))
    return Call("holder", (salt, rng.randint(0, 3), micros))


def lasting(rng: random.Random, held: Sequence[Handle]) -> Call:
    """One with children that take long, the same ones as others have."""
    args = (rng.randrange(6), rng.randint(1, 4), rng.choice((3000, 40_000, 400_000, 1_500_000)), rng.choice((0, 3000)))
    return Call("fan", args, pick(rng, held, 1), pure=False)


CHILDREN: tuple[Maker, ...] = (_tree, _fib, _fan, _collect, _futures, _courier, _nap, _scatterer, _launcher)
"""Tasks that launch tasks."""
