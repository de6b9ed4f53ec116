"""News for the scheduler of which some part is over a limit of the wire.

One concern: all that can leave does, and what cannot has an outcome all the same. Called by `server`, under its lock;
imports the vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from fastsched.errors import SerializationError
from fastsched.wire.items import make
from fastsched.wire.messages import Done, ErredItem, ErrorItem, ErrorKind, Message, Publish, Submit
from fastsched.worker.machine import WorkerMachine

__all__ = ["send_apart"]

NO_NEWS = Done((), (), (), (), (), 0)


class Sender(Protocol):
    """The connection to the scheduler."""

    def send(self, message: Message) -> None:
        """Send it whole. SerializationError: it is over a limit, and nothing has left."""


def send_apart(machine: WorkerMachine, scheduler: Sender, packet: Iterable[Message]) -> None:
    """Send these, one by one. Tasks that cannot travel end: whoever calls this tells the client inside."""
    for message in packet:
        try:
            scheduler.send(message)
        except SerializationError as error:
            if isinstance(message, Done):
                _send_news(machine, scheduler, message, error)
            elif isinstance(message, Submit | Publish):
                _send_tasks(machine, scheduler, message, error)
            else:
                raise


def _send_tasks(machine: WorkerMachine, scheduler: Sender, message: Submit | Publish, error: Exception) -> None:
    """One of these tasks cannot travel: it fails, the others leave."""
    functions, items = message
    if len(functions) + len(items) > 1:
        send_apart(machine, scheduler, [make(type(message), ((function,), ())) for function in functions])
        send_apart(machine, scheduler, [make(type(message), ((), (item,))) for item in items])
        return
    text = f"a task cannot leave worker {machine.name!r}: {error}"
    for item in items:
        machine.nest.undeliverable(item[0], text)


def _send_news(machine: WorkerMachine, scheduler: Sender, done: Done, error: Exception) -> None:
    """Some of this is over a limit; but without an outcome a task would be waited for for ever."""
    for name, items in done._asdict().items():
        for item in items if isinstance(items, tuple) else ():
            try:
                scheduler.send(NO_NEWS._replace(lent=done.lent, **{name: (item,)}))
            except SerializationError:
                id, attempt, *_ = item
                text = f"the outcome of a task cannot leave worker {machine.name!r}: {error}"
                told = ErrorItem(ErrorKind.SERIALIZATION, None, "", machine.name, attempt, text)
                scheduler.send(NO_NEWS._replace(lent=done.lent, erred=(ErredItem(id, attempt, told),)))
