"""The shell of a client's machine: what `client.session` is in a real process.

One concern: hand operations of threads to the machine, carry out what it decides, and see that every outcome is the
right one. Used by clients, and by the client inside each worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol, TypeAlias

from fastsched.client.machine import Answered, ClientMachine, Fetched, GetFrom, Send, Settled
from fastsched.client.record import FutureRecord, Status
from fastsched.wire.messages import (
    DatumItem,
    ErrorItem,
    ErrorKind,
    Frames,
    Message,
    ScatterItem,
    TaskItem,
)
from tests.sim import freight
from tests.sim.clock import Alarm
from tests.sim.freight import Packed
from tests.sim.language import Ask, Call, Failed, Put
from tests.sim.ledger import Verdict
from tests.sim.oracle import Good
from tests.sim.world import Checks, World

__all__ = ["Handle", "Site"]

IN_VAIN = ("nobody wants", "as was the task that launched it")

SCHEDULER = 0  # the one peer of a client

End: TypeAlias = Packed | Failed


class Data(Protocol):
    """Where values are found that did not travel with their report."""

    def get(self, id: int, addresses: Sequence[str], answer: Callable[[Frames | None], None]) -> None:
        """Get one from those at `addresses`; None: they do not have it."""


class Handle:
    """A future, as threads hold it.

    Attributes
    ----------
    held : bool
        Until it is released.
    end : Good, Failed or None
        How it ended, as far as its owner could see.
    """

    __slots__ = ("end", "held", "record")

    def __init__(self, record: FutureRecord) -> None:
        self.record = record
        self.held = True
        self.end: Good | Failed | None = None

    @property
    def key(self) -> str:
        """Of its task."""
        return self.record.key

    def __repr__(self) -> str:
        return f"Handle({self.record.fid}, {self.key})"


class Site:
    """One client.

    Parameters
    ----------
    world : World
        The ground.
    name : str
        For the journal.
    machine : ClientMachine
        The client.
    send : callable
        Takes messages to the scheduler, those of a turn together.
    data : Data
        Gets values from workers.
    inside : bool
        Whether its users are tasks. What they command is carried out at once, in their threads.
    """

    def __init__(
        self,
        world: World,
        name: str,
        machine: ClientMachine,
        send: Callable[[list[Message]], None],
        data: Data,
        inside: bool = False,
    ) -> None:
        self.world = world
        self.name = name
        self.machine = machine
        self.alive = True
        self.closing = False
        self.handles: dict[int, Handle] = {}  # that are held
        self.kept: list[str] = []  # fired and forgotten
        self._inside = inside
        self._send = send
        self._data = data
        self._fetches: dict[int, list[Callable[[Frames | None], None]]] = {}
        self._questions: dict[int, Callable[[tuple[bool, Any]], None]] = {}
        self._fids = 0
        self._turn_due = False
        self._alarm = Alarm(world.clock, self._ring)
        self._checks = Checks(world.rng)

    # -- operations ----------------------------------------------------------------------------------------------------

    def submit(self, call: Call, parent: int = 0) -> Handle:
        """Submit a task; `parent` is the id of the task that does so."""
        inputs, pins = [handle.key for handle in call.inputs], [handle.key for handle in (*call.pins, *call.names)]
        handle = self._new(self.world.key_of(call, inputs, pins))
        item = TaskItem(
            handle.record.fid,
            handle.key,
            freight.function_id(call.program),
            freight.pack_args(call.args, tuple(pins)),
            tuple(one.record.fid for one in call.inputs),
            tuple(one.record.fid for one in call.pins),
            call.priority,
            call.retries,
            parent,
        )
        self.machine.submit(handle.record, item, freight.pack_function(call.program))
        self._commanded()
        return handle

    def adopt(self, key: str) -> Handle:
        """Make a future that arrived by pickle."""
        ledger = self.world.ledger
        (ledger.adopted if self._inside else ledger.attached).add(key)
        handle = self._new(key)
        self.machine.want(handle.record)
        self._commanded()
        return handle

    def put(self, operation: Put) -> list[Handle]:
        """Scatter values."""
        handles: list[Handle] = []
        items = []
        for value in operation.values:
            keys = tuple(handle.key for handle in value.handles)
            handle = self._new(self.world.key_of_value(value, keys))
            frames = freight.pack_value(Packed(value.n, value.size, keys), self.world.config.attach_bytes)
            pins = tuple(inner.record.fid for inner in value.handles)
            items.append(ScatterItem(handle.record.fid, handle.key, freight.TYPE_NAME, frames, pins))
            handles.append(handle)
        self.machine.scatter([handle.record for handle in handles], items, operation.workers, operation.broadcast)
        self._commanded()
        return handles

    def release(self, handles: Iterable[Handle]) -> None:
        """Hold these no longer."""
        for handle in handles:
            if handle.held:
                handle.held = False
                del self.handles[handle.record.fid]
                self.machine.release(handle.record.fid)
        self.turn_soon()

    def cancel(self, handles: Sequence[Handle]) -> None:
        """Cancel these for everybody."""
        held = [handle for handle in handles if handle.held]
        self.world.ledger.cancelled.update(handle.key for handle in held)
        self.machine.cancel([handle.record.fid for handle in held], "")
        self._commanded()

    def keep(self, handles: Sequence[Handle]) -> None:
        """Fire and forget."""
        held = [handle for handle in handles if handle.held]
        # one that was cancelled already, with the task that launched it for instance, is not kept from that
        self.kept += [handle.key for handle in held if handle.record.status is not Status.CANCELLED]
        self.machine.keep([handle.record.fid for handle in held])
        self._commanded()

    def ask(self, question: Ask, answer: Callable[[tuple[bool, Any]], None]) -> None:
        """Ask the scheduler something."""
        request = self.world.number()
        self._questions[request] = answer
        self.machine.call(request, question.verb, question.args, question.frames)
        self.turn_soon()

    def obtain(self, handle: Handle, answer: Callable[[End], None]) -> None:
        """Wait for the end of a future, and for its value if it has one; `answer` is called once."""
        _Obtaining(self, handle, answer).look()

    def fetch(self, record: FutureRecord, answer: Callable[[Frames | None], None]) -> None:
        """Get a value that did not travel with its report; None if the future ended without one."""
        if record.fid not in self.machine.records:
            raise Verdict(f"{self.name}: {record} is fetched after its release")
        self._fetches.setdefault(record.fid, []).append(answer)
        self.machine.fetch(record.fid)
        self._commanded()

    # -- turns ---------------------------------------------------------------------------------------------------------

    def receive(self, messages: Iterable[Message]) -> None:
        """The scheduler says something."""
        for message in messages:
            self.machine.receive(SCHEDULER, message, self.world.clock.now)
        self.turn()

    def _commanded(self) -> None:
        if self._inside:
            self.turn()
        else:
            self.turn_soon()

    def turn_soon(self) -> None:
        """Have the loop carry out what threads asked for."""
        if not self._turn_due:
            self._turn_due = True
            self.world.clock.after(self.world.lateness(), self._turn)

    def turn(self) -> None:
        """Carry out what the machine wants now. What is sent comes last: it may lead back to here."""
        if not self.alive:
            self._alarm.set(None)
            return
        actions = self.machine.drain()
        if self._checks.due(len(self.handles)):
            self.machine.check()
        packet: list[Message] = []
        for action in actions:
            match action:
                case Send(message):
                    packet.append(message)
                case Settled(record):
                    self._settled(record)
                case GetFrom(fid, id, addresses):
                    self._data.get(id, addresses, self._arrival(fid, id))
                case Fetched(record, frames):
                    for answer in self._fetches.pop(record.fid, ()):
                        answer(frames)
                case Answered(request, ok, value):
                    self._questions.pop(request)((ok, value))
        self._alarm.set(self.machine.next_deadline())
        if packet:
            self._send(packet)

    def end(self, kind: ErrorKind, text: str) -> None:
        """The scheduler is gone, or the client is closed: nothing is pending any more."""
        self.closing = kind == ErrorKind.CANCELLED
        self.machine.lost(SCHEDULER, self.world.clock.now, ErrorItem(kind, None, "", "", 0, text))
        self.turn()
        pending = [handle for handle in self.handles.values() if not handle.record.settled]
        if pending or self._questions:
            raise Verdict(f"{self.name}: left waiting at the end: {pending} {self._questions}")

    def part(self) -> int:
        """The scheduler is gone, and there will be another one. A number above all fids that were given so far."""
        text = "the scheduler is gone, for now"
        error = ErrorItem(ErrorKind.SCHEDULER_LOST, None, "", "", 0, text)
        if self._inside:  # what it has let go of is held by the worker
            self.turn()
        self.machine.part(SCHEDULER, self.world.clock.now, error)
        self.turn()
        self._fids += 1
        return self._fids

    def come_back(self) -> None:
        """There is another one."""
        self.machine.come_back(SCHEDULER, self.world.clock.now)
        self.turn()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held, asked for or under way."""
        return not (self.machine.records or self.handles or self._fetches or self._questions)

    # -- inside --------------------------------------------------------------------------------------------------------

    def _new(self, key: str) -> Handle:
        self._fids += 1
        handle = Handle(FutureRecord(self._fids, key))
        self.handles[self._fids] = handle
        return handle

    def _turn(self) -> None:
        self._turn_due = False
        self.turn()

    def _ring(self) -> None:
        if self.alive:
            self.machine.tick(self.world.clock.now)
            self.turn()

    def _arrival(self, fid: int, id: int) -> Callable[[Frames | None], None]:
        def arrived(frames: Frames | None) -> None:
            self.machine.fetched(fid, DatumItem(id, frames), self.world.clock.now)
            self.turn()

        return arrived

    def _settled(self, record: FutureRecord) -> None:
        handle = self.handles.get(record.fid)
        if handle is not None and record.settled:
            self._look_at(handle)
        record.settle(lambda observer, record: observer.notify(record))

    def _look_at(self, handle: Handle) -> None:
        """There is an outcome: is it right, and the only one?"""
        record = handle.record
        if record.status is not Status.FINISHED:
            self._judge_first(handle, freight.failure_of(record.error))
        elif record.frames is not None:
            if record.type_name != freight.TYPE_NAME or record.nbytes != freight.weigh(record.frames):
                raise Verdict(f"{self.name}: {record} is said to be a {record.type_name} of {record.nbytes} bytes")
            self._judge_first(handle, freight.unpack_value(record.frames))

    def judge(self, key: str, end: End) -> Good | Failed:
        """See that this outcome is the right one."""
        seen: Good | Failed = end if isinstance(end, Failed) else self._good(end)
        if not self._means_nothing(seen):
            self.world.ledger.judge(self.name, key, self.world.expected(key), seen)
        return seen

    def _means_nothing(self, seen: Good | Failed) -> bool:
        """Some failures are judged elsewhere, or not at all."""
        if isinstance(seen, Good):
            return False
        if self.closing and seen.kind == ErrorKind.CANCELLED:
            return True
        # A task that nobody wants any more runs on, and what it was given may be forgotten by now. If it is wanted
        # after all, its client will see the failure.
        forgotten = seen.kind == ErrorKind.CANCELLED and seen.text.startswith("unknown key")
        # So may be one that ran in vain: only who launched it sees that, and runs in vain itself.
        in_vain = seen.kind == ErrorKind.CANCELLED and any(words in seen.text for words in IN_VAIN)
        # And one that had launched others when its scheduler died: it begins anew.
        parted = seen.kind == ErrorKind.SCHEDULER_LOST and self.world.ledger.restarts > 0
        return self._inside and (forgotten or in_vain or parted or seen.kind == ErrorKind.DATA_LOST)

    def _judge_first(self, handle: Handle, end: End) -> None:
        """See that this is the right outcome, and no second one.

        A value that has to be fetched is no outcome yet: it can be lost.
        """
        before, key = handle.end, handle.key
        seen = handle.end = self.judge(key, end)
        if before is None or before == seen:
            return
        if isinstance(seen, Failed) and seen.kind == ErrorKind.CANCELLED and key in self.world.ledger.cancelled:
            return  # cancelled after it had ended: its owners see that
        if isinstance(seen, Failed) and self.world.ledger.restarts and _is_gone(seen, key):
            return  # a value that came with a report is that of a worker since the scheduler was replaced
        if isinstance(before, Failed):
            if isinstance(seen, Good) or (before.kind, before.key, before.text) != (seen.kind, seen.key, seen.text):
                raise Verdict(f"{self.name}: {key} ended with {before}, and then with {seen}")
        else:
            raise Verdict(f"{self.name}: {key} had the value {before}, and then ended with {seen}")

    def _good(self, packed: Packed) -> Good:
        return Good(packed.n, packed.size, tuple(self.world.expected(key) for key in packed.keys))


def _is_gone(seen: Failed, key: str) -> bool:
    """Whether it says that nobody has this value."""
    return seen.kind == ErrorKind.DATA_LOST or (seen.text.startswith("unknown key") and seen.key == key)


class _Obtaining:
    """Somebody waits for the end of a future."""

    def __init__(self, site: Site, handle: Handle, answer: Callable[[End], None]) -> None:
        self._site = site
        self._handle = handle
        self._answer: Callable[[End], None] | None = answer

    def look(self) -> None:
        """Go one step further, as far as that is known now."""
        record = self._handle.record
        if record.status is Status.PENDING:
            record.watch(self)
        elif record.status is not Status.FINISHED:
            self._done(freight.failure_of(record.error))
        elif record.frames is not None:
            self._done(freight.unpack_value(record.frames))
        elif self._handle.held:  # else nobody waits any more: another one of its wait has failed
            self._site.fetch(record, self._fetched)

    def notify(self, record: FutureRecord) -> None:
        """It has settled, or so it was when this was planned."""
        self.look()

    def _fetched(self, frames: Frames | None) -> None:
        if frames is None:
            self.look()
        else:
            packed = freight.unpack_value(frames)
            self._site.judge(self._handle.key, packed)
            self._done(packed)

    def _done(self, end: End) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(end)
