"""What happened in a run, line by line.

One concern: remember cheaply, print readably. Entries are kept as they are and become text only when a seed fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastsched.wire.messages import Buffer, Message
from tests.sim.clock import Clock

__all__ = ["Journal", "describe"]

MOST = 220  # characters of one line's text


class Journal:
    """The entries of one run.

    Parameters
    ----------
    clock : Clock
        Gives each entry its time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[tuple[float, int, str, str, Any]] = []

    def note(self, who: str, what: str, about: Any = "") -> None:
        """Remember that `who` did `what`. `about` must not change afterwards."""
        self._entries.append((self._clock.now, self._clock.steps, who, what, about))

    def __len__(self) -> int:
        return len(self._entries)

    def messages(self) -> Iterator[Message]:
        """All messages that were sent."""
        return (about for _, _, _, what, about in self._entries if what == "sends")

    def lines(self) -> Iterator[str]:
        """The entries as text."""
        for when, step, who, what, about in self._entries:
            text = about if isinstance(about, str) else describe(about)
            yield f"{when * 1e3:12.4f} ms  {step:6}  {who:<14} {what:<9} {text[:MOST]}"


def describe(thing: Any) -> str:
    """A message, an action or any piece of one: bytes by their length, task ids as generation.row."""
    if isinstance(thing, tuple) and hasattr(thing, "_fields"):
        fields = [
            f"{name}={describe(value)}"
            for name, value in zip(thing._fields, thing, strict=True)
            if value not in ((), "", None)
        ]
        return f"{type(thing).__name__}({', '.join(fields)})"
    if isinstance(thing, tuple):
        return f"({', '.join(map(describe, thing))})"
    if isinstance(thing, bytes | Buffer):
        return thing.decode() if isinstance(thing, bytes) and len(thing) < 60 and thing.isascii() else f"<{len(thing)}>"
    if isinstance(thing, int) and not isinstance(thing, bool) and thing >= 1 << 32:
        return f"{thing >> 32}.{thing & 0xFFFFFFFF}"
    return str(thing)
