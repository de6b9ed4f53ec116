"""Random programs of tasks that launch tasks, as plain data, each from its seed.

What a program does must not depend on what runs when: of two futures that one step waits for, one at the most fails;
what fails at its first attempts is launched by nobody else, and nobody looks at marks of what need not run at all.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

__all__ = ["Ending", "Launch", "Step", "Task", "program", "shared_task"]

GOOD = ("return", "return", "return", "hold", "future", "big", "array")
BAD = ("raise", "odd", "note", "cause", "context", "exit", "interrupt", "base", "group", "lock")
SHARED = 4  # tasks that several launch, in each program
MOST_TASKS = 40  # in a program


class Launch(NamedTuple):
    """One child."""

    task: Task | int  # an int: the seed of a task that others launch, too, under the same pure key
    kind: str  # which function: plain, sleepy, closure, async
    inputs: tuple[tuple[str, Any], ...] = ()  # how an argument is made: (way, name of a future or a value)
    key: bool = False
    pure: bool = True
    retries: int = 0
    priority: int = 0
    local: bool = True


class Step(NamedTuple):
    """One thing to do: `what`, with the futures of these names, made as `launches` say."""

    what: str
    names: tuple[str, ...] = ()
    launches: tuple[Launch, ...] = ()
    way: str = ""


class Ending(NamedTuple):
    """How a task ends: what it raises or returns beside what it has seen."""

    what: str
    names: tuple[str, ...] = ()


class Task(NamedTuple):
    """One task of a program."""

    name: str  # unique in all programs
    opening: str  # block, twice, get_client, late, elsewhere (no child runs in its thread)
    steps: tuple[Step, ...]
    ending: Ending
    fails_first: int = 0  # so many attempts fail
    leaves_mark: bool = False
    millis: float = 0.0


class _Author:
    """Writes one program."""

    def __init__(self, seed: int, label: str, budget: int, shares: tuple[int, ...] = ()) -> None:
        self.random = random.Random(f"{label}-{seed}")
        self.label = f"{label}{seed}"
        self.budget = budget
        self.shares = shares
        self.count = 0

    def task(self, depth: int, may_fail: bool = True, retried: bool = False, root: bool = False) -> Task:
        """A task with a subtree of this depth at the most."""
        return _Scene(self, depth, retried, root).task(may_fail)

    def name(self) -> str:
        """Unique in all programs."""
        self.count += 1
        return f"{self.label}.{self.count}"


class _Scene:
    """Writes one task. Of each future it knows whether it may fail."""

    def __init__(self, author: _Author, depth: int, retried: bool, root: bool) -> None:
        self.author = author
        self.random = author.random
        self.depth = depth
        self.retried = retried  # it may run more than once
        self.root = root
        self.name = author.name()
        self.steps: list[Step] = []
        self.fails: dict[str, bool] = {}  # futures that it holds
        self.raises = False

    def task(self, may_fail: bool) -> Task:
        rng = self.random
        self.author.budget -= 1
        if self.depth > 0:
            scenes = (self.batch, self.batch, self.batch, self.chain, self.chain, self.mapped, self.cancelled)
            scenes += (self.dropped, self.shared, self.scattered, self.twice, self.slot, self.slept, self.threaded)
            for _ in range(rng.randint(1, 4)):
                if self.author.budget > 0 and not self.raises:
                    rng.choice(scenes)()
            if self.root:
                self.forgotten()
        ending = self.ending(may_fail)
        millis = rng.choice((0.0, 0.1, 0.5, 3.0))
        opening = rng.choice(("block", "block", "twice", "get_client", "late", "elsewhere"))
        return Task(self.name, opening, tuple(self.steps), ending, leaves_mark=False, millis=millis)

    def ending(self, may_fail: bool) -> Ending:
        rng = self.random
        if may_fail and rng.random() < 0.2:
            return Ending(rng.choice(BAD))
        what = rng.choice(GOOD)
        if what in ("hold", "future"):
            held = tuple(rng.sample(sorted(self.fails), min(len(self.fails), 3)))
            return Ending(what, held) if held else Ending("return")
        return Ending(what)

    def may_raise(self, task: Task) -> bool:
        return task.ending.what in BAD or any(step.way == "raises" or step.what == "result" for step in task.steps)

    # -- children -----------------------------------------------------------------------------------------------------

    def launch(self, may_fail: bool = True, inputs: tuple[tuple[str, Any], ...] = ()) -> tuple[str, Launch, bool]:
        """A child: its name here, and whether it may fail."""
        rng = self.random
        name = f"f{len(self.fails)}-{self.author.count}"
        flaky = rng.random() < 0.1
        retries = rng.choice((0, 0, 0, 1, 2))
        task = self.author.task(
            0 if flaky else self.depth - 1, may_fail and not flaky, self.retried or (retries > 0 and not flaky)
        )
        fails = self.may_raise(task)
        if flaky:
            most = retries if self.retried or not may_fail else retries + 1
            task = task._replace(fails_first=rng.randint(0, most))
            fails = task.fails_first > retries
        kind = rng.choice(("plain", "plain", "plain", "sleepy", "async"))
        if any(way == "closure" for way, _ in inputs):
            kind = "closure"
        if not inputs:
            inputs = self.values()
        key, pure = rng.random() < 0.2, rng.random() < 0.6
        priority, local = rng.choice((0, 0, 0, 1, -1)), rng.random() < 0.9
        return name, Launch(task, kind, inputs, key, pure, retries, priority, local), fails

    def values(self) -> tuple[tuple[str, Any], ...]:
        rng = self.random
        choice = (("value", 1), ("value", [1, 2]), ("array", 4), ("array", 20_000), ("large", 100_000), ("value", "x"))
        return tuple(rng.sample(choice, rng.choice((0, 0, 1, 2))))

    def children(self, most: int, failing: int) -> tuple[str, ...]:
        """Launch some, of which so many may fail."""
        names = []
        for _ in range(self.random.randint(0, most)):
            if self.author.budget <= 0:
                break
            name, launch, fails = self.launch(failing > 0)
            failing -= fails
            self.enter(name, launch, fails)
            names.append(name)
        return tuple(names)

    def enter(self, name: str, launch: Launch, fails: bool) -> None:
        self.steps.append(Step("submit", (name,), (launch,)))
        self.fails[name] = fails

    # -- scenes -------------------------------------------------------------------------------------------------------

    def batch(self) -> None:
        way = self.random.choice(("result", "look", "gather", "skip", "as_completed", "wait"))
        names = self.children(6, 1 if way in ("result", "gather") else 6)
        if names:
            self.consume(way, names)

    def consume(self, way: str, names: tuple[str, ...]) -> None:
        rng = self.random
        detail = ""
        if way == "result":
            self.raises = any(self.fails[name] for name in names)
            detail = rng.choice(("", "", "timeout"))
        elif way == "look":
            detail = rng.choice(("", "exception"))
        elif way == "gather":
            detail = rng.choice(("list", "dict", "tuple"))
        elif way == "wait":
            detail = rng.choice(("ALL_COMPLETED", "FIRST_COMPLETED"))
        self.steps.append(Step(way, names, way=detail))

    def mapped(self) -> None:
        tasks = [
            self.author.task(self.depth - 1, index == 0, self.retried) for index in range(self.random.randint(0, 6))
        ]
        names = tuple([f"m{task.name}" for task in tasks])
        launches = tuple([Launch(task, "plain") for task in tasks])
        self.steps.append(Step("map", names, launches, self.random.choice(("pure", ""))))
        self.fails.update({name: self.may_raise(task) for name, task in zip(names, tasks, strict=True)})
        if names:
            way = "look" if sum([self.fails[name] for name in names]) > 1 else "gather"
            self.consume(way, names)

    def chain(self) -> None:
        """Each takes the one before it, in one of the ways in which a future may be in an argument."""
        name, launch, fails = self.launch()
        self.enter(name, launch, fails)
        names = [name]
        for _ in range(self.random.randint(1, 4)):
            way = self.random.choice(("future", "list", "dict", "box", "closure", "key"))
            if way == "key" and self.root:
                way = "future"
            inputs = ((way, names[-1]),)
            name, launch, fails = self.launch(not self.fails[names[-1]], inputs)
            if way in ("future", "list", "dict"):
                fails = fails or self.fails[names[-1]]
            if way == "key" and launch.kind == "async":
                launch = launch._replace(kind="plain")
            self.enter(name, launch, fails)
            names.append(name)
        if self.random.random() < 0.3:
            self.consume(self.random.choice(("look", "wait")), (names[-1],))
            self.steps.append(Step("drop", tuple(names[:-1])))
            for name in names[:-1]:
                del self.fails[name]
        else:
            self.consume("look", (names[-1], *names[:-1]))

    def cancelled(self) -> None:
        name, launch, _ = self.launch()
        if not isinstance(launch.task, int):
            launch = launch._replace(pure=False, key=False)
        self.steps.append(Step("submit", (name,), (launch,)))
        if self.random.random() < 0.5:
            self.slept()
        self.steps.append(Step("cancel", (name,)))

    def dropped(self) -> None:
        name, launch, _ = self.launch()
        self.steps.append(Step("submit", (name,), (launch,)))
        if self.random.random() < 0.5:
            self.slept()
        self.steps.append(Step("drop", (name,)))

    def shared(self) -> None:
        """Tasks that others launch, too."""
        if not self.author.shares:
            return
        names = []
        for seed in self.random.choices(self.author.shares, k=self.random.randint(1, 4)):
            name = f"s{seed}-{len(self.steps)}"
            self.enter(name, Launch(seed, "shared"), False)
            names.append(name)
        self.consume(self.random.choice(("result", "look", "gather", "as_completed")), tuple(dict.fromkeys(names)))

    def scattered(self) -> None:
        name = f"d{len(self.steps)}"
        self.steps.append(Step("scatter", (name,)))
        self.fails[name] = False
        other, launch, fails = self.launch(True, ((self.random.choice(("future", "list", "box", "closure")), name),))
        self.enter(other, launch, fails)
        self.consume("look", (other,))

    def twice(self) -> None:
        """The same call twice: one task."""
        before, self.retried = self.retried, True  # in plain Python it runs twice
        name, launch, fails = self.launch(False)
        self.retried = before
        launch = launch._replace(pure=True)
        again = f"{name}-again"
        self.enter(name, launch, fails)
        self.enter(again, launch, fails)
        self.consume(self.random.choice(("look", "gather", "wait")), (again, name))

    def threaded(self) -> None:
        """Threads of the task launch some, and wait for them."""
        tasks = [self.author.task(self.depth - 1, True, self.retried) for _ in range(self.random.randint(1, 3))]
        self.steps.append(Step("threads", launches=tuple([Launch(task, "plain") for task in tasks])))

    def slot(self) -> None:
        self.steps.append(Step(self.random.choice(("secede", "rejoin"))))

    def slept(self) -> None:
        self.steps.append(Step("sleep", way=self.random.choice(("0", "0.0005", "0.003"))))

    def forgotten(self) -> None:
        """Nobody holds it, and yet it is run."""
        for _ in range(self.random.randint(0, 2)):
            name, launch, _ = self.launch()
            assert isinstance(launch.task, Task)
            launch = launch._replace(task=launch.task._replace(leaves_mark=True))
            self.steps += [Step("submit", (name,), (launch,)), Step("forget", (name,))]


def program(seed: int) -> tuple[Task, ...]:
    """The tasks that the client launches, all at once."""
    shares = tuple([seed * SHARED + index for index in range(SHARED)])
    author = _Author(seed, "p", MOST_TASKS, shares)
    rng = author.random
    roots = []
    for _ in range(rng.randint(1, 3)):
        roots.append(author.task(rng.randint(1, 5), root=True))
        author.budget = max(author.budget, 5)
    return tuple(roots)


def shared_task(seed: int) -> Task:
    """One that several launch: nothing in it depends on how often it runs."""
    return _Author(seed, "s", 6).task(2, False, True)
