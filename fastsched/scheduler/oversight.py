"""The supervisors of workers that were started by ``fastsched-worker``: each has a connection of its own.

One concern: who explains how a worker ended, and what that supervisor is told in return. An embedded cluster's
supervisor calls the server itself and is not known here. Called by `server`, which does what follows (`Care`); imports
the vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from fastsched.errors import ProtocolError
from fastsched.wire.messages import Despair, Dismiss, Expect, Message, Obituary, Oversee, Pressure, Retire, Welcome

__all__ = ["Care", "Oversight"]

Tell = Callable[[Message], None]


class Care(Protocol):
    """What the server does with a supervisor's news; also `spawn.crew.Overseer`."""

    def expect(self, name: str) -> None:
        """A worker of this name was started; `worker_died` will tell how it ends."""

    def unexpect(self, name: str) -> None:
        """Nobody will tell any more how this worker ends."""

    def worker_died(self, name: str, how: str, executing: Sequence[int] | None, stderr: str) -> None:
        """It has ended."""

    def pressed(self, name: str, pressed: bool) -> None:
        """It should get no tasks, or may get some again."""

    def retire(self, names: Iterable[str]) -> None:
        """These workers shall leave as planned."""

    def give_up(self, text: str) -> None:
        """No more workers will be started."""


class _Supervisor:
    """One connection."""

    __slots__ = ("despair", "names", "retiring", "tell")

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.names: set[str] = set()  # of its workers
        self.retiring: set[str] = set()  # of them, those that shall leave, also if they are yet to come
        self.despair = ""  # why it has given up


class Oversight:
    """All supervisors that have a connection.

    Parameters
    ----------
    care : Care
        Who does what follows.
    name, version : str
        What they are told about this scheduler.
    """

    def __init__(self, care: Care, name: str, version: str) -> None:
        self._care = care
        self._name = name
        self._version = version
        self._supervisors: dict[int, _Supervisor] = {}  # by peer
        self._by_worker: dict[str, _Supervisor] = {}

    def knows(self, peer: int) -> bool:
        """Whether this peer is a supervisor."""
        return peer in self._supervisors

    def begin(self, peer: int, first: Oversee, tell: Tell) -> None:
        """A supervisor has come.

        Raises
        ------
        ProtocolError
            It is not let in.
        """
        if peer in self._supervisors:
            raise ProtocolError("it said before that it is a supervisor")
        if first.version != self._version:
            raise ProtocolError(f"the scheduler is fastsched {self._version}, {first.name} is {first.version}")
        self._supervisors[peer] = _Supervisor(tell)

    def receive(self, peer: int, message: Message) -> None:
        """News of a supervisor.

        Raises
        ------
        ProtocolError
            It may not say that.
        """
        supervisor = self._supervisors[peer]
        match message:
            case Expect(names):
                for name in names:
                    if self._by_worker.get(name, supervisor) is supervisor:
                        supervisor.names.add(name)
                        self._by_worker[name] = supervisor
                        self._care.expect(name)
            case Obituary(name, how, known, executing, stderr):
                self._ensure_its_own(supervisor, name)
                supervisor.names.discard(name)
                supervisor.retiring.discard(name)
                del self._by_worker[name]
                self._care.worker_died(name, how, executing if known else None, stderr)
            case Pressure(name, pressed):
                self._ensure_its_own(supervisor, name)
                self._care.pressed(name, pressed)
            case Retire(names):
                for name in names:
                    self._ensure_its_own(supervisor, name)
                supervisor.retiring.update(names)
                self._care.retire(names)
            case Despair(text):
                supervisor.despair = text
                if all(other.despair for other in self._supervisors.values()):
                    self._care.give_up(text)
            case _:
                raise ProtocolError(f"{type(message).__name__} is not a message that this peer may send now")

    def end(self, peer: int) -> None:
        """The connection of a supervisor has ended."""
        supervisor = self._supervisors.pop(peer, None)
        if supervisor is not None:
            for name in supervisor.names:
                del self._by_worker[name]
                self._care.unexpect(name)

    def joined(self, worker: str) -> None:
        """A worker was let in."""
        supervisor = self._by_worker.get(worker)
        if supervisor is not None:
            supervisor.tell(Welcome(worker, self._version, self._name))
            if worker in supervisor.retiring:
                self._care.retire((worker,))

    def lost(self, worker: str, why: str) -> None:
        """A worker is gone, though its process may live."""
        supervisor = self._by_worker.get(worker)
        if supervisor is not None:
            supervisor.tell(Dismiss(worker, why))

    def left(self, worker: str) -> None:
        """A worker leaves as planned."""
        supervisor = self._by_worker.get(worker)
        if supervisor is not None:
            supervisor.tell(Retire((worker,)))

    def _ensure_its_own(self, supervisor: _Supervisor, name: str) -> None:
        if name not in supervisor.names:
            raise ProtocolError(f"{name!r} is no worker of this supervisor")
