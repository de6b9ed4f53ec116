"""Bytes to messages, along a shape. What a shape means is written in `Op`; the reading is for `codec` alone."""

from collections.abc import Sequence
from enum import IntEnum

__all__ = ["Op", "Shape"]

class Op(IntEnum):
    """What kind of value stands in a place."""

    INTEGER = 0
    """An int from `low` to `high`."""
    TEXT = 1
    """A str; surrogates too."""
    RAW = 2
    """Bytes, of the length `high` unless that is 0."""
    TRUTH = 3
    """A bool."""
    FRAMES = 4
    """A pickled value: a tuple of at least one, each bytes or a `Buffer`."""
    PLAIN = 5
    """Plain data: scalars, texts, bytes; tuples of them and dicts by text, nested as deep as `Config.depth`."""
    FIXED = 6
    """A tuple with a shape for each element."""
    BATCH = 7
    """A tuple of any length; one shape for all its elements."""

class Shape:
    """What stands in one place of a message, compiled for the reader.

    Parameters
    ----------
    op : Op
        The kind of value.
    parts : sequence of Shape
        Of a FIXED: its elements; of a BATCH: one, of them all.
    low, high : int
        See `Op`.
    optional : bool
        None may stand here too.
    """

    parts: tuple[Shape, ...]
    def __init__(
        self, op: Op, parts: Sequence[Shape] = (), low: int = 0, high: int = 0, optional: bool = False
    ) -> None: ...
