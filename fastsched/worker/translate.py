"""What the scheduler tells the client inside a worker, in the client's own words.

One concern: from public fids, under which the scheduler knows children, to the fids of the client's futures, of which a
child may have several or none. The news changes the children, too: their tables stand in `children`. Messages about
fids that are no child's pass as they are. Called by `nest`. May import messages, and its own room's records.
"""

from __future__ import annotations

from collections.abc import Iterable

from fastsched.wire.items import make
from fastsched.wire.messages import (
    ErrorItem,
    ErrorKind,
    Located,
    LocatedItem,
    Message,
    Report,
    ResultItem,
)
from fastsched.worker.children import FIRST_PUBLIC, Children
from fastsched.worker.jobs import ChildStage
from fastsched.worker.store import Value

__all__ = ["Translator"]

# Plain ints: to look up a member of an enum runs Python code.
RUNNING, FAILED, AWAY = map(int, (ChildStage.RUNNING, ChildStage.FAILED, ChildStage.AWAY))

_BY_CANCEL = int(ErrorKind.CANCELLED)


class Translator:
    """Reports on children.

    Parameters
    ----------
    children : Children
        All of them.
    """

    __slots__ = ("_children",)

    def __init__(self, children: Children) -> None:
        self._children = children

    def translated(self, messages: Iterable[Message]) -> list[Message]:
        """Messages for the client; what is about children goes out by `Nest.ends`, too."""
        passing: list[Message] = []
        for message in messages:
            told: Message | None = message
            if type(message) is Report:
                told = self._report(message)
            elif type(message) is Located:
                told = self._located(message)
            if told is not None:
                passing.append(told)
        return passing

    def _report(self, message: Report) -> Report | None:
        publics = self._children.publics
        finished, erred, lost = [], [], []
        for result in message.finished:
            fid, type_name, nbytes, frames = result
            child = publics.get(fid)
            if child is None:
                if fid < FIRST_PUBLIC:
                    finished.append(result)
            elif child.stage == AWAY:
                child.type_name = type_name
                if frames is not None:
                    self._children.settle(child, Value(frames, type_name))
                else:
                    child.nbytes = nbytes
                    self._children.finished += [make(ResultItem, (fid, type_name, nbytes, None)) for fid in child.fids]
        for failure in message.erred:
            fid, error = failure
            child = publics.get(fid)
            if child is None:
                if fid < FIRST_PUBLIC:
                    erred.append(failure)
            elif child.stage == AWAY or (error[0] == _BY_CANCEL and child.stage != FAILED):
                self._children.shaken = self._children.shaken or child.stage == RUNNING
                self._children.fail(child, make(ErrorItem, tuple(error)))
        for fid in message.lost:
            child = publics.get(fid)
            if child is None:
                if fid < FIRST_PUBLIC:
                    lost.append(fid)
            elif child.stage == AWAY:
                child.nbytes = -1
                lost += child.fids
        if not (finished or erred or lost):
            return None
        return make(Report, (tuple(finished), tuple(erred), tuple(lost)))

    def _located(self, message: Located) -> Located | None:
        items: list[LocatedItem] = []
        for item in message.items:
            fid, id, frames, addresses = item
            child = self._children.publics.get(fid)
            if child is not None:
                items += [make(LocatedItem, (fid, id, frames, addresses)) for fid in child.fids]
            elif fid < FIRST_PUBLIC:
                items.append(item)
        return make(Located, (tuple(items),)) if items else None
