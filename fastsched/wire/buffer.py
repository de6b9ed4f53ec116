"""The large pieces of a message.

One concern: `Buffer`, in a module of its own because it is compiled (as `buffer.pxd` says) while the rest of the
vocabulary is not: threads that must not run Python on their way make buffers. Imports nothing. Known to everybody as
`messages.Buffer`.
"""

from __future__ import annotations

__all__ = ["Buffer"]


class Buffer:
    """A large piece of a message that travels beside the control bytes instead of inside them (no copy on the way out).

    Parameters
    ----------
    view : bytes-like
        Contiguous bytes. Kept, not copied.
    """

    def __init__(self, view: bytes | bytearray | memoryview) -> None:
        self.view = memoryview(view).cast("B")

    def __len__(self) -> int:
        return self.view.nbytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Buffer) and self.view == other.view

    def __hash__(self) -> int:
        return hash((Buffer, self.view.nbytes))

    def __repr__(self) -> str:
        return f"Buffer({self.view.nbytes} bytes)"
