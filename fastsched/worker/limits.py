"""What is over a limit of the wire, though it may stay in this process at first.

One concern: say so at the call. On the way of each task that a task launches, so compiled. Called by `server`; imports
the codec.
"""

from __future__ import annotations

from typing import Any

from fastsched.config import Config
from fastsched.wire.codec import encode
from fastsched.wire.items import fields, make
from fastsched.wire.messages import Frames, FunctionItem, Release, Submit, TaskItem
from fastsched.wire.runs import as_messages

__all__ = ["ensure_it_can_leave"]

SMALL_BYTES = 4096
"""A pickle up to this size is over no limit."""


def ensure_it_can_leave(kind: type, item: Any, config: Config) -> None:
    """Raise SerializationError if this item (see `wire.runs`) could not be sent."""
    if kind is TaskItem:
        _, key, _, args, _, _, _, _, _ = fields(item)
        if not _is_small(args) or len(key) > SMALL_BYTES:
            encode(make(Submit, ((), (item,))), config)
    elif kind is FunctionItem:
        if not _is_small(item[1]):
            encode(make(Submit, ((item,), ())), config)
    elif kind is not Release:
        for message in as_messages([(kind, item)], 1):
            encode(message, config)


def _is_small(frames: Frames) -> bool:
    return len(frames) == 1 and len(frames[0]) <= SMALL_BYTES
