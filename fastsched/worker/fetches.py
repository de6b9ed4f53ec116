"""Which inputs are to come from which other worker.

One concern: for each missing input the addresses where it may be, the one that was asked, and what is to be asked
next. Owned by `machine`. Imports only config and the records of its room.
"""

from __future__ import annotations

import random

from fastsched.config import MIB
from fastsched.wire.items import make
from fastsched.worker.jobs import Fetch

__all__ = ["NOBODY", "Fetches"]

FETCH_BYTES = 64 * MIB
"""Inputs are asked for in portions of about this size: the first can be used while the rest travels."""

NOBODY = 0
"""In the place of a row: nobody waits for the value any more, but an answer is under way."""


class _Fetching:
    """One missing input."""

    __slots__ = ("addresses", "asked", "nbytes", "row")

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.row = NOBODY
        self.addresses: list[str] = []  # not asked yet
        self.asked = ""  # who was asked and has not answered


class Fetches:
    """All missing inputs of one worker, by the scheduler's id.

    Parameters
    ----------
    seed : int
        Of the choice between several holders: not everybody's first choice shall be the same one.
    """

    def __init__(self, seed: int) -> None:
        self._fetching: dict[int, _Fetching] = {}
        self._asks: list[tuple[str, int, int]] = []  # (address, id, bytes)
        self._random = random.Random(seed)

    def __bool__(self) -> bool:
        """Whether `take` would give something."""
        return bool(self._asks)

    def add(self, id: int, row: int, nbytes: int, addresses: list[str]) -> None:
        """The row waits for this value; it may be at these addresses, too."""
        fetching = self._fetching.get(id)
        if fetching is None:
            fetching = self._fetching[id] = _Fetching(nbytes)
        elif fetching.row == NOBODY and addresses and fetching.asked not in addresses:
            fetching.asked = ""  # who was asked may be silent, and is not named any more: do not wait for that answer
        fetching.row = row
        fetching.addresses += [at for at in addresses if at != fetching.asked and at not in fetching.addresses]

    def ask(self, id: int) -> bool:
        """Ask the next address for it, if none is asked already. False: there is none, the value cannot be had."""
        fetching = self._fetching[id]
        if not fetching.asked:
            if not fetching.addresses:
                del self._fetching[id]
                return False
            fetching.asked = fetching.addresses.pop(int(self._random.random() * len(fetching.addresses)))
            self._asks.append((fetching.asked, id, fetching.nbytes))
        return True

    def drop(self, id: int) -> None:
        """Nobody waits for it any more."""
        fetching = self._fetching.get(id)
        if fetching is not None:
            if fetching.asked:
                fetching.row = NOBODY
            else:
                del self._fetching[id]

    def answered(self, id: int, address: str) -> int | None:
        """That address has answered. The row that waits for the value, or `NOBODY`; None if it was not asked."""
        fetching = self._fetching.get(id)
        if fetching is None or fetching.asked != address:
            return None
        fetching.asked = ""
        if fetching.row == NOBODY:
            del self._fetching[id]
            return NOBODY
        return fetching.row

    def row(self, id: int) -> int:
        """The row that waits for this value, or `NOBODY`."""
        if not self._fetching:
            return NOBODY
        fetching = self._fetching.get(id)
        return NOBODY if fetching is None else fetching.row

    def take(self) -> list[Fetch]:
        """What is to be asked now: one action per address, cut where an answer would become too large."""
        asks, self._asks = self._asks, []
        portions: dict[str, list[int]] = {}
        room: dict[str, int] = {}
        fetches: list[Fetch] = []
        for address, id, nbytes in asks:
            ids = portions.setdefault(address, [])
            if ids and nbytes > room[address]:
                fetches.append(make(Fetch, (address, tuple(ids))))
                ids.clear()
            if not ids:
                room[address] = FETCH_BYTES
            ids.append(id)
            room[address] -= nbytes
        return fetches + [make(Fetch, (address, tuple(ids))) for address, ids in portions.items()]

    def check(self, waiting: dict[int, int]) -> None:
        """AssertionError unless exactly these rows (by id) wait for a value, and each of them has been asked for."""
        ours = {id: fetching.row for id, fetching in self._fetching.items() if fetching.row != NOBODY}
        if ours != waiting:
            raise AssertionError(f"inputs being fetched: {ours}; inputs that wait: {waiting}")
        idle = [id for id, fetching in self._fetching.items() if not fetching.asked]
        if idle:
            raise AssertionError(f"nobody was asked for the inputs {idle}")
