"""How everything that a client holds can be had again, from a scheduler that knows nothing of it.

One concern: keep what was said when a future was made, for as long as somebody may have to hear it again: while the
future is held, and while the recipe of one that is held names it. Made only for clients that outlive their scheduler
(``reconnect=True``). Owned by `machine`, under the session's lock; imports messages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastsched.wire.items import make
from fastsched.wire.messages import Frames, Scatter, TaskItem, WantItem

__all__ = ["Recipes"]


class Recipe:
    """Of one future.

    Attributes
    ----------
    kind, item
        What to send: a `TaskItem`, a `WantItem`, or a `Scatter` of this one value.
    held : bool
        The user holds the future.
    users : int
        So many other recipes name it.
    """

    __slots__ = ("held", "item", "kind", "users")

    def __init__(self, kind: type, item: Any) -> None:
        self.kind = kind
        self.item = item
        self.held = True
        self.users = 0


class Function:
    """What recipes need to be carried out, and how many of them do."""

    __slots__ = ("frames", "users")

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.users = 0


class Recipes:
    """Of all futures, by fid, in the order in which they were made: inputs come first."""

    __slots__ = ("_functions", "_recipes")

    def __init__(self) -> None:
        self._recipes: dict[int, Recipe] = {}
        self._functions: dict[bytes, Function] = {}

    def __len__(self) -> int:
        return len(self._recipes)

    def add_task(self, item: TaskItem, frames: Frames) -> None:
        """A task was submitted, with this function."""
        fid, fn = item[0], item[2]
        function = self._functions.get(fn)
        if function is None:
            function = self._functions[fn] = Function(frames)
        function.users += 1
        self.add(fid, TaskItem, item)

    def add(self, fid: int, kind: type, item: Any) -> None:
        """Something else was said about a new future."""
        self._recipes[fid] = Recipe(kind, item)
        for other in _named(kind, item):
            recipe = self._recipes.get(other)
            if recipe is not None:
                recipe.users += 1

    def settled(self, fid: int) -> None:
        """A worker has its value. Scattered bytes are not kept twice, unless only we know which futures are inside."""
        recipe = self._recipes.get(fid)
        if recipe is not None and recipe.kind is Scatter:
            (value,) = recipe.item.items
            if not value.pins:
                recipe.kind, recipe.item = WantItem, make(WantItem, (fid, value.key))

    def release(self, fid: int) -> None:
        """The user holds this future no longer."""
        recipe = self._recipes.get(fid)
        if recipe is None:
            return
        recipe.held = False
        todo = [fid]
        while todo:
            fid = todo.pop()
            recipe = self._recipes.get(fid)
            if recipe is None or recipe.held or recipe.users:
                continue
            del self._recipes[fid]
            if recipe.kind is TaskItem:
                self._disuse(recipe.item[2])
            for other in _named(recipe.kind, recipe.item):
                recipe = self._recipes.get(other)
                if recipe is not None:
                    recipe.users -= 1
                    todo.append(other)

    def _disuse(self, fn: bytes) -> None:
        function = self._functions[fn]
        function.users -= 1
        if not function.users:
            del self._functions[fn]

    def function(self, fn: bytes) -> Frames:
        """The pickle of a function that some recipe needs."""
        function = self._functions[fn]
        return function.frames

    def entries(self) -> list[tuple[int, type, Any]]:
        """All of them, inputs first."""
        return [(fid, recipe.kind, recipe.item) for fid, recipe in self._recipes.items()]

    def check(self) -> None:
        """Recompute every count; AssertionError names what is wrong."""
        users = dict.fromkeys(self._recipes, 0)
        functions: dict[bytes, int] = {}
        for recipe in self._recipes.values():
            if recipe.kind is TaskItem:
                functions[recipe.item[2]] = functions.get(recipe.item[2], 0) + 1
            for other in _named(recipe.kind, recipe.item):
                if other in users:
                    users[other] += 1
        for fid, recipe in self._recipes.items():
            assert recipe.users == users[fid], f"recipe {fid} is named by {users[fid]}, not {recipe.users}"
            assert recipe.held or recipe.users, f"recipe {fid} is of no use"
        known = {fn: function.users for fn, function in self._functions.items()}
        assert known == functions, f"functions are used {functions}, not {known}"


def _named(kind: type, item: Any) -> Sequence[int]:
    """The futures that a task or a scattered value names, each as often as it does."""
    named: Sequence[int] = ()
    if kind is TaskItem:
        named = item[4] + item[5]
    elif kind is Scatter:
        named = item.items[0].pins
    return named
