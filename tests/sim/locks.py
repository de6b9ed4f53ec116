"""Locks of users, in one simulated process.

One concern: who has which, and who waits for it. As with those of `threading`, nobody has a right to be the next.
"""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Locks"]


class Locks:
    """The locks of one process.

    Parameters
    ----------
    rng : random.Random
        Decides who is next.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._waiting: dict[int, list[Callable[[], object]]] = {}  # by lock, of those that are held

    def take(self, number: int, later: Callable[[], object]) -> bool:
        """Take a lock. False: somebody has it, and `later` is called when it is ours."""
        if number in self._waiting:
            self._waiting[number].append(later)
            return False
        self._waiting[number] = []
        return True

    def give(self, number: int) -> None:
        """Give it back."""
        waiting = self._waiting[number]
        if waiting:
            waiting.pop(self._rng.randrange(len(waiting)))()
        else:
            del self._waiting[number]
