"""The tasks of simulated clusters.

One concern: what tasks do. Each program is a generator over `language`, called with its plain arguments, the values of
its inputs and its pinned futures. Recursive ones decide by numbers in their arguments, so the same call is always the
same tree.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeAlias

from tests.sim.language import (
    Boom,
    Call,
    Cancel,
    Close,
    Die,
    Ended,
    Gather,
    Glance,
    Handle,
    Keep,
    Lock,
    Open,
    Outcomes,
    Put,
    Rejoin,
    Release,
    Secede,
    Sleep,
    Stumble,
    Submit,
    Unlock,
    Value,
    mix,
)

__all__ = ["Program", "Thoughts", "call_leaf", "program_of", "submit_all"]

Thoughts: TypeAlias = Generator[Any, Any, Value]
Program: TypeAlias = Callable[..., Thoughts]

_PROGRAMS: dict[str, Program] = {}


def program(function: Program) -> Program:
    """Make a generator function callable by tasks under its name."""
    _PROGRAMS[function.__name__] = function
    return function


def program_of(name: str) -> Program:
    """The program that a call names."""
    return _PROGRAMS[name.partition("#")[0]]


def call_leaf(rng: random.Random, inputs: tuple[Handle, ...] = (), **options: Any) -> Call:
    """Some call without children."""
    micros = rng.choice((0, 0, 10, 300, 2000, 20_000))
    size = rng.choice((0, 0, 0, 100, 5000))
    name = f"leaf#{rng.randrange(8)}"
    return Call(name, (rng.randrange(1000), micros, size), inputs, **options)


def submit_all(calls: Iterable[Call]) -> Generator[Submit, Handle, tuple[Handle, ...]]:
    """Submit one after the other."""
    handles: list[Handle] = []
    for call in calls:
        handle = yield Submit(call)
        handles.append(handle)
    return tuple(handles)


# -- without children --------------------------------------------------------------------------------------------------


@program
def leaf(inputs: list[Value], pins: list[Handle], salt: int, micros: int, size: int) -> Thoughts:
    """Take a while, return something that depends on all inputs."""
    yield Sleep(micros * 1e-6)
    return Value(mix(salt, *(value.n for value in inputs)), size)


@program
def boom(inputs: list[Value], pins: list[Handle], salt: int, micros: int) -> Thoughts:
    """Raise."""
    yield Sleep(micros * 1e-6)
    raise Boom(f"boom {salt}")


@program
def stumble(inputs: list[Value], pins: list[Handle], salt: int, times: int) -> Thoughts:
    """Raise some times, then work."""
    yield Sleep(50e-6)
    yield Stumble(times)
    return Value(mix(salt, *(value.n for value in inputs)))


@program
def die(inputs: list[Value], pins: list[Handle], salt: int, micros: int) -> Thoughts:
    """Kill the worker."""
    yield Sleep(micros * 1e-6)
    yield Die()
    return Value(0)


@program
def nap(inputs: list[Value], pins: list[Handle], salt: int, micros: int) -> Thoughts:
    """Lend the slot for a while."""
    yield Secede()
    yield Sleep(micros * 1e-6)
    yield Rejoin()
    yield Sleep(micros * 1e-7)
    return Value(mix(salt, *(value.n for value in inputs)))


@program
def stay_out(inputs: list[Value], pins: list[Handle], salt: int, micros: int) -> Thoughts:
    """Lend the slot and end without it."""
    yield Secede()
    yield Sleep(micros * 1e-6)
    return Value(mix(salt, *(value.n for value in inputs)))


# -- with children -----------------------------------------------------------------------------------------------------


@program
def fib(inputs: list[Value], pins: list[Handle], n: int) -> Thoughts:
    """The motivating recursion: pure, so each number is computed once while somebody holds it."""
    if n < 2:
        return Value(n)
    yield Open()
    children = yield from submit_all([Call("fib", (n - 1,)), Call("fib", (n - 2,))])
    one, two = yield Gather(children)
    yield Close()
    return Value(one.n + two.n)


@program
def fan(inputs: list[Value], pins: list[Handle], salt: int, width: int, micros: int, size: int) -> Thoughts:
    """Map children, gather them, return a number."""
    yield Open()
    calls = [Call("leaf", (mix(salt, index) % 50, micros, size), pure=index % 2 == 0) for index in range(width)]
    children = yield from submit_all(calls)
    values = yield Gather(children)
    yield Close()
    return Value(mix(salt, *(value.n for value in (*inputs, *values))))


@program
def tree(inputs: list[Value], pins: list[Handle], seed: int, depth: int, width: int) -> Thoughts:
    """A tree whose nodes are of all styles."""
    rng = random.Random(seed)
    if depth == 0:
        yield Sleep(rng.choice((0.0, 50e-6, 1e-3)))
        return Value(mix(seed, *(value.n for value in inputs)), rng.choice((0, 0, 400)))
    children: list[Handle] = []
    for index in range(rng.randint(1, width)):
        pure = rng.random() < 0.5
        seeds = rng.randrange(20) if pure else seed * 31 + index
        given = tuple(rng.sample(children, rng.randint(0, min(2, len(children))))) if rng.random() < 0.3 else ()
        call = Call("tree", (seeds, depth - 1, width), given, pure=pure, priority=rng.choice((0, 0, 1, -1)))
        children.append((yield Submit(call)))
    return (yield from _STYLES[rng.randrange(len(_STYLES))](seed, tuple(children)))


def _gather(seed: int, children: tuple[Handle, ...]) -> Thoughts:
    values = yield Gather(children)
    return Value(mix(seed, *(value.n for value in values)))


def _gather_seceded(seed: int, children: tuple[Handle, ...]) -> Thoughts:
    yield Secede()
    values = yield Gather(children)
    yield Rejoin()
    yield Sleep(30e-6)
    return Value(mix(seed, *(value.n for value in values)))


def _reduce(seed: int, children: tuple[Handle, ...]) -> Thoughts:
    last = yield Submit(Call("leaf#sum", (seed, 20, 0), children, pure=False))
    yield Release(children)
    (value,) = yield Gather((last,))
    return Value(value.n)


def _collect(seed: int, children: tuple[Handle, ...]) -> Thoughts:
    last = yield Submit(Call("collect", (seed,), (), children, pure=False))
    (value,) = yield Gather((last,))
    return Value(value.n)


def _tell_names(seed: int, children: tuple[Handle, ...]) -> Thoughts:
    """Others find the children by their keys; one that cannot do anything else, and one that can be anywhere."""
    askers: list[Handle] = []
    for index in range(1 + seed % 2):
        call = Call("collect", (seed + index,), names=children, pure=False, local=(seed + index) % 3 == 0)
        askers.append((yield Submit(call)))
        if seed % 5 == 0:
            yield Sleep(100e-6)
    values = yield Gather(tuple(askers))
    return Value(mix(seed, *(value.n for value in values)))


def _hand_up(seed: int, children: tuple[Handle, ...]) -> Thoughts:
    parent = yield Submit(Call("futures", (seed,), (), children, pure=False))
    last = yield Submit(Call("unwrap", (seed,), (parent,), pure=False))
    yield Release((parent,))
    (value,) = yield Gather((last,))
    return Value(value.n)


def _one_by_one(seed: int, children: tuple[Handle, ...]) -> Thoughts:
    total = seed
    for child in children:
        (value,) = yield Gather((child,))
        total = mix(total, value.n)
        yield Release((child,))
    return Value(total)


_STYLES = (_gather, _gather_seceded, _reduce, _collect, _tell_names, _hand_up, _one_by_one)


@program
def collect(inputs: list[Value], pins: list[Handle], salt: int) -> Thoughts:
    """Gather futures that came inside the arguments."""
    values = yield Gather(tuple(pins))
    return Value(mix(salt, *(value.n for value in values)))


@program
def futures(inputs: list[Value], pins: list[Handle], salt: int) -> Thoughts:
    """A value that holds futures: those that came in, and a new one."""
    mine = yield Submit(Call("leaf#mine", (salt, 100, 50), pure=False))
    return Value(salt, 0, (*pins, mine))


@program
def courier(inputs: list[Value], pins: list[Handle], salt: int, depth: int) -> Thoughts:
    """The value of each holds futures of its child, which waits for none of them."""
    yield Open()
    mine = yield Submit(Call("leaf#mine", (salt, 100 * depth, 50), pure=False))
    if not depth:
        return Value(salt, 0, (mine,))
    child = yield Submit(Call("courier", (salt, depth - 1), pure=False))
    (value,) = yield Gather((child,))
    yield Release((child,))
    inner = yield Gather(value.handles)
    return Value(mix(salt, *(one.n for one in inner)), 0, (mine, *value.handles))


@program
def unwrap(inputs: list[Value], pins: list[Handle], salt: int) -> Thoughts:
    """Gather the futures inside the inputs."""
    total = salt
    for value in inputs:
        inner = yield Gather(value.handles)
        total = mix(total, *(one.n for one in inner))
    return Value(total)


@program
def scatterer(inputs: list[Value], pins: list[Handle], salt: int, size: int) -> Thoughts:
    """Put values into the cluster and compute on them."""
    there = yield Put(tuple(Value(mix(salt, index), size) for index in range(2)))
    last = yield Submit(Call("leaf", (salt, 10, 0), tuple(there), pure=False))
    (value,) = yield Gather((last,))
    return Value(value.n)


@program
def launcher(inputs: list[Value], pins: list[Handle], salt: int, width: int) -> Thoughts:
    """Fire and forget."""
    children = yield from submit_all([Call("leaf", (salt + index, 500, 0), pure=False) for index in range(width)])
    yield Keep(children)
    return Value(salt)


@program
def abandoner(inputs: list[Value], pins: list[Handle], salt: int, width: int) -> Thoughts:
    """Submit children, cancel one, let the others go without waiting."""
    children: list[Handle] = []
    for index in range(width):
        children.append((yield Submit(Call("leaf", (salt + index, 2000, 0), tuple(children[-1:]), pure=False))))
    yield Sleep(300e-6)
    yield Cancel(tuple(children[:1]))
    return Value(salt)


@program
def tolerant(inputs: list[Value], pins: list[Handle], salt: int) -> Thoughts:
    """A child raises; the parent looks at how it ended and goes on."""
    bad = yield Submit(Call("boom", (salt, 100), pure=False))
    good = yield Submit(Call("leaf", (salt, 100, 0), pure=False))
    yield Outcomes((bad,))
    (value,) = yield Gather((good,))
    return Value(value.n)


@program
def fragile(inputs: list[Value], pins: list[Handle], salt: int) -> Thoughts:
    """A child raises, and so does the parent."""
    child = yield Submit(Call("boom", (salt, 100), pure=False))
    yield Gather((child,))
    return Value(0)


# -- in each other's way -----------------------------------------------------------------------------------------------


@program
def holder(inputs: list[Value], pins: list[Handle], salt: int, width: int, micros: int) -> Thoughts:
    """Hold a lock while waiting for children: on one slot, who has the slot meanwhile may wait for the lock."""
    yield Lock(salt % 2)
    if salt % 3:
        yield Open(salt % 5 > 0)
    calls = [Call("leaf#held", (salt + index, micros, 0), pure=False, local=salt % 7 > 0) for index in range(width)]
    children = yield from submit_all(calls)
    if salt % 11 > 5:  # one behind the other, and only the last is held
        for index in range(width):
            link = yield Submit(Call("leaf#link", (index, 10, 0), children[-1:], pure=False, local=salt % 7 > 0))
            yield Release(children[-1:])
            children = (*children[:-1], link)
    values = yield Gather(children)
    if salt % 3:
        yield Close()
    yield Unlock(salt % 2)
    return Value(mix(salt, *(value.n for value in values)))


@program
def wanter(inputs: list[Value], pins: list[Handle], salt: int, micros: int) -> Thoughts:
    """Take a lock for a while."""
    yield Lock(salt % 2)
    yield Sleep(micros * 1e-6)
    yield Unlock(salt % 2)
    return Value(salt)


@program
def household(inputs: list[Value], pins: list[Handle], seed: int, width: int) -> Thoughts:
    """Children that get into each other's way, that wait for each other, or that take long."""
    rng = random.Random(seed)
    yield Open()
    children: list[Handle] = []
    for index in range(width):
        salt, some = seed + index, tuple(rng.sample(children, rng.randint(0, min(2, len(children)))))
        micros = rng.choice((10, 3000, 150_000, 600_000))
        pure, local = rng.random() < 0.5, rng.random() < 0.7
        match rng.randrange(5):
            case 0:
                call = Call("holder", (salt, rng.randint(1, 3), micros), pure=pure, local=local)
            case 1:
                call = Call("wanter", (salt, micros), pure=pure, local=local)
            case 2:
                call = Call("collect", (salt,), (), some, pure=pure, local=local)
            case 3:
                call = Call("leaf#long", (salt, micros, 0), some, pure=pure, local=local)
            case _:
                call = Call("fan", (salt, rng.randint(1, 4), micros, 0), pure=pure, local=local)
        children.append((yield Submit(call)))
    if rng.random() < 0.3:
        yield Glance(tuple(children), rng.choice((0.0, 1e-3, 0.3)))
    left = tuple(children) if rng.random() < 0.5 else ()
    while left:
        left = yield Ended(left)
    values = yield Gather(tuple(children))
    yield Close()
    return Value(mix(seed, *(value.n for value in values)))


# -- anything at all ---------------------------------------------------------------------------------------------------


@program
def rambler(inputs: list[Value], pins: list[Handle], seed: int, depth: int, rough: int) -> Thoughts:
    """Submit children on what is at hand, wait for some of them or for none, let go of some, return some.

    Its own value says nothing of theirs, so that it may also (`rough`) cancel them.
    """
    rng = random.Random(seed)
    held: list[Handle] = [*pins, *(handle for value in inputs for handle in value.handles)]
    within = rng.random() < 0.5
    if within:
        yield Open(rng.random() < 0.8)
    for _ in range(rng.randint(1, 9)):
        places = rng.sample(range(len(held)), rng.randint(0, min(3, len(held))))
        chosen = tuple(held[place] for place in places)
        step = rng.choice(
            ("child", "child", "child", "child", "gather", "look", "look", "wait", "drop", "keep", "compute", "end")
        )
        if step == "child":
            held.append((yield Submit(_any_child(rng, chosen, depth, rough))))
        elif step == "gather":
            values = yield Gather(chosen)
            held += [handle for value in values for handle in value.handles]
        elif step == "look":
            yield Outcomes(chosen)
        elif step == "wait":
            yield from _wait_otherwise(rng, chosen)
        elif step == "drop":
            held = [handle for place, handle in enumerate(held) if place not in places]
            if rough and rng.random() < 0.5:
                yield Cancel(chosen)
            yield Release(chosen)
        elif step == "keep":
            yield Keep(chosen)
        elif step == "compute":
            yield Sleep(rng.choice((10e-6, 500e-6, 3e-3)))
    if within:
        yield Close()
    taken = rng.sample(held, rng.randint(0, min(3, len(held)))) if rng.random() < 0.4 else ()
    return Value(mix(seed, depth), rng.choice((0, 0, 300, 5000)), tuple(taken))


def _wait_otherwise(rng: random.Random, chosen: tuple[Handle, ...]) -> Generator[Any, Any, None]:
    """With a time limit, for one after the other as they end, or without a slot."""
    how = rng.randrange(3)
    if how == 0:
        yield Glance(chosen, rng.choice((0.0, 1e-3, 0.05)))
    elif how == 1:
        left = chosen
        while left:
            left = yield Ended(left)
    else:
        yield Secede()
        yield Outcomes(chosen)
        if rng.random() < 0.7:
            yield Rejoin()


def _any_child(rng: random.Random, chosen: tuple[Handle, ...], depth: int, rough: int) -> Call:
    """Half of them are pure, of few different seeds: parents on several workers have the same ones."""
    pure = rng.random() < 0.5
    seed = rng.randrange(12) if pure else rng.randrange(10**9)
    kind = rng.random()
    if depth and kind < 0.35:
        split = rng.randint(0, len(chosen))
        local = rng.random() < 0.85
        return Call("rambler", (seed, depth - 1, rough), chosen[:split], chosen[split:], pure, local=local)
    if kind < 0.45:
        return Call("stumble", (seed, 2), chosen, (), False, 0, rng.choice((1, 2, 2, 3)))
    if kind < 0.5:
        return Call("boom", (seed, 100), chosen, (), pure)
    if kind < 0.6:
        return Call(rng.choice(("collect", "futures")), (seed,), (), chosen, pure)
    if kind < 0.65:
        return Call("unwrap", (seed,), chosen, (), pure)
    args = (seed, rng.choice((0, 10, 10, 300, 4000)), rng.choice((0, 0, 100, 5000, 30_000)))
    priority, local = rng.choice((0, 0, 0, 2, -2)), rng.random() < 0.9
    return Call(f"leaf#{rng.randrange(3)}", args, chosen, (), pure, priority, local=local)
