"""A client's futures, by number, for readers and mypy; the code is in fids.pyx.

One concern: one table, small for numbers that are counted up. Imports nothing of fastsched.
"""

class Fids:
    """Which row of the core each future of a client stands for.

    A fid is not negative, and stands for one row at a time. `len` counts them, `in` looks for one.
    """

    def row(self, fid: int) -> int:
        """The row for which it stands, -1 if there is no such future."""

    def put(self, fid: int, row: int) -> int:
        """A new future stands for this row. One that is there already is a bug: AssertionError."""

    def take(self, fid: int) -> int:
        """It stands for nothing from now on; the row for which it stood, -1 if there was no such future."""

    def items(self) -> list[tuple[int, int]]:
        """All, as (fid, row)."""

    def some(self, most: int) -> list[int]:
        """So many fids, or all if there are fewer."""

    def __len__(self) -> int: ...
    def __contains__(self, fid: int) -> bool: ...
