"""Machines with a bug each: proof that the simulation can fail.

One concern: small, believable mistakes. Each class breaks one rule of one machine, in the way in which it would be
broken by an edit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastsched.client.machine import ClientMachine
from fastsched.scheduler.machine import PutOut, SchedulerMachine, Send
from fastsched.wire.messages import (
    Adopt,
    Cancel,
    Claim,
    DatumItem,
    Done,
    ErrorItem,
    Free,
    Message,
    Pulse,
    Release,
    Replicate,
    Retract,
    Seek,
)
from fastsched.worker.jobs import Brood, Child, Job
from fastsched.worker.machine import WorkerMachine
from fastsched.worker.store import Value
from tests.sim.cluster import Machines

__all__ = ["PLANTED"]


class NeverFrees(WorkerMachine):
    """The worker does not listen when it is told to free a value."""

    def receive(self, peer: int, message: Message, now: float) -> None:
        if not isinstance(message, Free):
            super().receive(peer, message, now)


class NeverFreesAnything(SchedulerMachine):
    """The scheduler forgets to tell workers that a value may go."""

    def drain(self, patient: bool = False) -> list[Any]:
        return [action for action in super().drain(patient) if not _sends(action, Free)]


class IgnoresReturns(SchedulerMachine):
    """The scheduler asks for tasks back, and does not look at the answer."""

    def receive(self, peer: int, message: Message, now: float) -> None:
        super().receive(peer, message._replace(returned=()) if isinstance(message, Done) else message, now)


class NeverAsksBack(SchedulerMachine):
    """What was sent ahead to a busy worker stays there."""

    def drain(self, patient: bool = False) -> list[Any]:
        return [action for action in super().drain(patient) if not _sends(action, Retract)]


class ForgetsReplicas(SchedulerMachine):
    """The scheduler does not note who got a copy of a value."""

    def receive(self, peer: int, message: Message, now: float) -> None:
        super().receive(peer, message._replace(replicas=()) if isinstance(message, Done) else message, now)


class BlamesNobody(SchedulerMachine):
    """Workers die under a task again and again, and it is tried for ever."""

    def lost(self, peer: int, now: float, cause: str | None = None, executing: Any = None) -> None:
        super().lost(peer, now, cause, ())


class BlamesEverybody(SchedulerMachine):
    """Tasks that only waited on a worker are blamed for its death."""

    def lost(self, peer: int, now: float, cause: str | None = None, executing: Any = None) -> None:
        worker = self.books.workers.get(peer)
        everything = () if worker is None else tuple(self.books.core.assigned_to(worker.handle))
        super().lost(peer, now, cause, everything)


class HearsNobody(SchedulerMachine):
    """The scheduler does not know that workers have a pulse."""

    def receive(self, peer: int, message: Message, now: float) -> None:
        if not isinstance(message, Pulse):
            super().receive(peer, message, now)


class TakesSilenceForDeath(SchedulerMachine):
    """Whoever has not been heard for a while is lost, and what ran there is blamed."""

    def tick(self, now: float) -> None:
        super().tick(now)
        for worker in list(self.books.workers.values()):
            if worker.client.silent:
                self.lost(worker.peer, now)


class HasNoMercy(SchedulerMachine):
    """The scheduler takes the time in which it was stopped itself for the silence of others."""

    def tick(self, now: float) -> None:
        due = self.next_deadline()
        while due is not None and due < now:
            super().tick(due)
            due = self.next_deadline()
        super().tick(now)


class PutsOutInSilence(SchedulerMachine):
    """A worker that is lost is not told so."""

    def drain(self, patient: bool = False) -> list[Any]:
        return [action for action in super().drain(patient) if not isinstance(action, PutOut)]


class MixesResults(WorkerMachine):
    """The worker reports a value under the task that finished before."""

    _last: Value | None = None

    def finished(self, job: Job, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        last, self._last = self._last, value
        super().finished(job, last if last is not None and last.nbytes == value.nbytes else value, micros, pins)


class LosesErrors(WorkerMachine):
    """The worker forgets to report that a task raised."""

    def failed(self, job: Job, error: ErrorItem) -> None:
        super().failed(job, error)
        self._news.erred.clear()


class KeepsSlots(WorkerMachine):
    """A task that waits for its children keeps its slot."""

    def secede(self, job: Job) -> bool:
        return False


class ForgetsPins(WorkerMachine):
    """The worker does not say which futures are inside a value."""

    def finished(self, job: Job, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        super().finished(job, value, micros, ())


class IgnoresAdoption(WorkerMachine):
    """The worker does not look under which ids its children have become known."""

    def receive(self, peer: int, message: Message, now: float) -> None:
        if not isinstance(message, Adopt):
            super().receive(peer, message, now)


class KeepsChildrenSecret(WorkerMachine):
    """The worker says that no child of it has a key that others want."""

    def receive(self, peer: int, message: Message, now: float) -> None:
        if isinstance(message, Seek):
            message = Seek(tuple((number, f"not {key}") for number, key in message.items))
        super().receive(peer, message, now)


class MixesChildren(WorkerMachine):
    """A child gets the value of the one that finished before."""

    _before: Value | None = None

    def child_finished(self, child: Child, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        before, self._before = self._before, value
        if before is not None and before.nbytes == value.nbytes:
            value = before
        super().child_finished(child, value, micros, pins)


class LetsInnerFuturesGo(WorkerMachine):
    """The value of a child does not hold the futures inside it."""

    def child_finished(self, child: Child, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        super().child_finished(child, value, micros, ())


class SwallowsErrors(WorkerMachine):
    """Nobody hears that a child has raised."""

    def child_failed(self, child: Child, error: ErrorItem) -> None:
        """It may come to its senses."""


class AnswersNobody(WorkerMachine):
    """The outcome of a child is not told to those who have ordered it meanwhile."""

    def child_finished(self, child: Child, value: Value, micros: int, pins: tuple[str, ...]) -> None:
        for id, attempt in list(child.asked):  # as if the order had never come
            self.nest.unask(id, attempt)
        super().child_finished(child, value, micros, pins)


class NeverClaims(WorkerMachine):
    """Children of a thread that is stuck wait for a slot as others do."""

    def claim(self, brood: Brood) -> bool:
        return False


class IgnoresClaims(SchedulerMachine):
    """What a stuck thread of a worker waits for is sent when there is a slot."""

    def receive(self, peer: int, message: Message, now: float) -> None:
        if not isinstance(message, Claim):
            super().receive(peer, message, now)


class NeverOverdraws(WorkerMachine):
    """A task waits for its slot for ever, also if who has it waits for that task."""

    def overdraw(self, job: Job) -> bool:
        return False


class OverdrawsAtOnce(WorkerMachine):
    """A task does not wait for its slot at all."""

    def rejoin(self, job: Job) -> bool:
        return super().rejoin(job) or self.overdraw(job)


class SaysItHasTaken(WorkerMachine):
    """The worker announces what it shall take over from another one, and does not fetch it."""

    def receive(self, peer: int, message: Message, now: float) -> None:
        if isinstance(message, Replicate):
            self._news.replicas.extend((item[0], item[2]) for item in message.items)
        else:
            super().receive(peer, message, now)


class NeverReleases(ClientMachine):
    """The client keeps to itself that a future is gone."""

    def drain(self) -> list[Any]:
        return [action for action in super().drain() if not isinstance(getattr(action, "message", None), Release)]


class CancelsForItself(ClientMachine):
    """The client tells nobody what it cancelled."""

    def drain(self) -> list[Any]:
        return [action for action in super().drain() if not isinstance(getattr(action, "message", None), Cancel)]


class KeepsNothing(ClientMachine):
    """The client does not say what is fired and forgotten."""

    def keep(self, fids: Iterable[int]) -> None:
        """It forgets without firing."""


class AsksOnce(ClientMachine):
    """The client does not ask again when a worker does not have a value."""

    def fetched(self, fid: int, item: DatumItem, now: float) -> None:
        """Somebody else will know."""
        if item.frames is not None:
            super().fetched(fid, item, now)


class BringsNothing(WorkerMachine):
    """The worker does not say what it has from an earlier scheduler."""

    def brought(self) -> list[Any]:
        return []


class SaysNothingAgain(ClientMachine):
    """The client believes that a new scheduler knows what it wants."""

    def come_back(self, peer: int, now: float) -> None:
        """There is nothing to say."""


class WaitsForNobody(SchedulerMachine):
    """The scheduler in the place of one that died begins at once."""

    def __init__(self, *args: Any, successor: bool = False, **more: Any) -> None:
        super().__init__(*args, **more)


NESTED = ("one_slot", "forest", "broods")

PLANTED: dict[str, tuple[Machines, tuple[str, ...]]] = {
    "a worker never frees": (Machines(worker=NeverFrees), ("shared",)),
    "the scheduler never frees": (Machines(scheduler=NeverFreesAnything), ("shared",)),
    "returned tasks are ignored": (Machines(scheduler=IgnoresReturns), ("balance",)),
    "nothing is asked back": (Machines(scheduler=NeverAsksBack), ("balance",)),
    "copies are not noted": (Machines(scheduler=ForgetsReplicas), ("large",)),
    "nobody is blamed": (Machines(scheduler=BlamesNobody), ("murder",)),
    "those that wait are blamed": (Machines(scheduler=BlamesEverybody), ("innocence",)),
    "nobody is heard": (Machines(scheduler=HearsNobody), ("left_behind",)),
    "silence is taken for death": (Machines(scheduler=TakesSilenceForDeath), ("silence",)),
    "who was deaf calls others silent": (Machines(scheduler=HasNoMercy), ("absence",)),
    "who is put out is not told": (Machines(scheduler=PutsOutInSilence), ("put_out",)),
    "values are mixed up": (Machines(worker=MixesResults), ("graphs",)),
    "errors are lost": (Machines(worker=LosesErrors), ("errors",)),
    "waiting tasks keep their slot": (Machines(worker=KeepsSlots), ("one_slot",)),
    "futures in values are not pinned": (Machines(worker=ForgetsPins), ("one_slot", "forest")),
    "published children are not adopted": (Machines(worker=IgnoresAdoption), NESTED),
    "children are kept secret": (Machines(worker=KeepsChildrenSecret), NESTED),
    "children get the values of others": (Machines(worker=MixesChildren), NESTED),
    "values of children hold no futures": (Machines(worker=LetsInnerFuturesGo), NESTED),
    "errors of children are lost": (Machines(worker=SwallowsErrors), ("errors", *NESTED)),
    "a child answers no order": (Machines(worker=AnswersNobody), NESTED),
    "stuck threads claim nothing": (Machines(worker=NeverClaims), ("stuck",)),
    "the scheduler does not listen to claims": (Machines(scheduler=IgnoresClaims), ("stuck",)),
    "nobody goes on without a slot": (Machines(worker=NeverOverdraws), ("stuck",)),
    "nobody waits for a slot": (Machines(worker=OverdrawsAtOnce), ("forest", "stuck")),
    "nobody takes over what a worker leaves": (Machines(worker=SaysItHasTaken), ("farewell",)),
    "a client never releases": (Machines(client=NeverReleases), ("shared",)),
    "a client cancels for itself": (Machines(client=CancelsForItself), ("cancelling",)),
    "a client fires nothing": (Machines(client=KeepsNothing), ("cancelling", "forest")),
    "what was finished is computed again": (Machines(worker=BringsNothing), ("heirs",)),
    "what was wanted is forgotten": (Machines(client=SaysNothingAgain), ("heirs",)),
    "a new scheduler does not wait for its peers": (Machines(scheduler=WaitsForNobody), ("heirs",)),
    "a client asks once for a value": (Machines(client=AsksOnce), ("deaths", "large")),
}
"""By what is wrong: the machines, and the scenarios that must find it."""


def _sends(action: Any, kind: type) -> bool:
    return isinstance(action, Send) and isinstance(action.message, kind)
