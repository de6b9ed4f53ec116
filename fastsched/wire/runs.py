"""Items on their way into messages, and back.

One concern: the rule by which a queue of items becomes messages: a run of items of one kind is one message, and a
function stands in front of the first task that needs it. A queue holds pairs of a kind and an item: the type of an item
of a message (`TaskItem`), a message type whose items are plain numbers (`Release`), or a message as a whole. Filled by
the client's machine and by the worker's nest; between the two, in a worker, items pass as they are. Imports only
messages.
"""

from __future__ import annotations

from typing import Any

from fastsched.wire.items import make
from fastsched.wire.messages import (
    FunctionItem,
    LocalItem,
    Locate,
    Message,
    Publish,
    Release,
    Submit,
    TaskItem,
    Want,
    WantItem,
)

__all__ = ["Entry", "as_items", "as_messages"]

Entry = tuple[type, Any]
"""A kind and an item."""


def as_messages(queue: list[Entry], most: int) -> list[Message]:
    """The messages of a queue, in order.

    Parameters
    ----------
    queue : list of (type, object)
        What is to be sent.
    most : int
        Items of one kind in one message. What is published together stays together.
    """
    messages: list[Message] = []
    start, total = 0, len(queue)
    while start < total:
        kind, item = queue[start]
        group = _GROUPS.get(kind)
        stop = start + 1
        if group is None:
            messages.append(item)
        else:
            if group is _EITHER:
                group = _kind_of_run(queue, start)
            end = total if group is Publish else min(start + most, total)
            while stop < end and _joins(queue[stop][0], queue[stop - 1][0], group):
                stop += 1
            messages.append(_message(group, queue, start, stop))
        start = stop
    return messages


def as_items(message: Message) -> list[Entry]:
    """The queue of one message."""
    if type(message) is Submit:
        return [(FunctionItem, item) for item in message.functions] + [(TaskItem, item) for item in message.tasks]
    if type(message) is Want:
        return [(WantItem, item) for item in message.items]
    if type(message) is Release or type(message) is Locate:
        return [(type(message), fid) for fid in message.fids]
    return [(type(message), message)]


_EITHER = object()  # a function, before tasks or before published ones
_GROUPS: dict[type, Any] = {
    FunctionItem: _EITHER,
    TaskItem: Submit,
    LocalItem: Publish,
    WantItem: Want,
    Release: Release,
    Locate: Locate,
}


def _kind_of_run(queue: list[Entry], start: int) -> type:
    """What a function stands in front of."""
    while start < len(queue) and queue[start][0] is FunctionItem:
        start += 1
    return Publish if start < len(queue) and queue[start][0] is LocalItem else Submit


def _joins(kind: type, before: type, group: type) -> bool:
    """A function after a task ends a run: it may push another one out of the receiver's table."""
    if kind is FunctionItem:
        return before is FunctionItem
    return _GROUPS.get(kind) is group


def _message(group: type, queue: list[Entry], start: int, stop: int) -> Message:
    functions: list[FunctionItem] = []
    items: list[Any] = []
    for at in range(start, stop):
        kind, item = queue[at]
        if kind is FunctionItem:
            functions.append(item)
        else:
            items.append(item)
    fields = (tuple(functions), tuple(items)) if group is Submit or group is Publish else (tuple(items),)
    message: Message = make(group, fields)
    return message
