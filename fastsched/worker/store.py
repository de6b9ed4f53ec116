"""The values that a worker holds.

One concern: pickled values by row of the worker's core, and how many bytes they are. Values stay pickled: a task,
another worker and the client each get a copy of their own by unpickling, so that what one of them changes nobody else
sees. Owned by `machine`, under the worker's lock. Imports only messages.
"""

from __future__ import annotations

from fastsched.wire.messages import Frames

__all__ = ["Store", "Value"]

NOT_KNOWN = ""
"""The type name of a value that came from another worker: its bytes are not looked at to find out."""


class Value:
    """One pickled value."""

    __slots__ = ("frames", "nbytes", "pins", "type_name")

    def __init__(self, frames: Frames, type_name: str = NOT_KNOWN) -> None:
        self.frames = frames
        self.type_name = type_name
        self.pins = False  # whether it holds futures, if it was made here
        self.nbytes = len(frames[0]) if len(frames) == 1 else sum(map(len, frames))

    def __repr__(self) -> str:
        return f"Value({self.type_name or 'of unknown type'}, {self.nbytes} bytes)"


class Store:
    """Values by row."""

    __slots__ = ("_values", "nbytes")

    def __init__(self) -> None:
        self._values: dict[int, Value] = {}
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, row: int) -> bool:
        return row in self._values

    def __getitem__(self, row: int) -> Value:
        return self._values[row]

    def rows(self) -> list[int]:
        """The rows that have a value here."""
        return list(self._values)

    def put(self, row: int, value: Value) -> None:
        """Hold the value. A row has one value in its life; a second one is a bug of the caller."""
        if row in self._values:
            raise KeyError(f"row {row} has a value already")
        self._values[row] = value
        self.nbytes += value.nbytes

    def get(self, row: int) -> Value | None:
        """The value, or None."""
        return self._values.get(row)

    def pop(self, row: int) -> Value | None:
        """Let go of the value and return it; None if it was not here."""
        value = self._values.pop(row, None)
        if value is not None:
            self.nbytes -= value.nbytes
        return value

    def check(self) -> None:
        """Recompute the sum of bytes."""
        total = sum(value.nbytes for value in self._values.values())
        if total != self.nbytes:
            raise AssertionError(f"the store counts {self.nbytes} bytes but holds {total}")
