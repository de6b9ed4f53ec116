"""The client as a pure state machine: which futures are held, what was asked for, what to tell the scheduler.

One concern: turn commands (submit, want, release, cancel, scatter, fetch, call) and the scheduler's messages into
outgoing messages and settled records. No thread, lock, socket, clock or pickle: `session` calls it under a lock,
tests call it directly.

Each future has a `fid` of its own, also when two futures have the same key: the scheduler knows that they are one
task, so the client need not, and no answer about an old future can be taken for one about a new one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from fastsched.client.recipes import Recipes
from fastsched.client.record import FutureRecord, Status
from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.wire.items import fields, make, quoted
from fastsched.wire.messages import (
    Answer,
    Bring,
    Call,
    Cancel,
    DatumItem,
    ErrorItem,
    ErrorKind,
    FailedItem,
    Frames,
    FunctionItem,
    Keep,
    Locate,
    Located,
    Message,
    Pulse,
    Refuse,
    Release,
    Report,
    ResultItem,
    Scatter,
    ScatterItem,
    Submit,
    TaskItem,
    Verb,
    Want,
    WantItem,
    Welcome,
)
from fastsched.wire.runs import Entry, as_messages

__all__ = ["Action", "Answered", "ClientMachine", "Fetched", "GetFrom", "Send", "Settled"]


MISSES = 12  # so often a value may not be where it was said to be; with the pauses some three seconds
REST_SECONDS = 0.25  # before the next question where a value is, if nobody is known who has it
FIRST_PAUSE = 0.005  # seconds before the third attempt, doubled by each further one


# A member of an enum costs several times as much to look up, and runs bytecode.
_PENDING, _FINISHED, _ERROR, _CANCELLED = Status.PENDING, Status.FINISHED, Status.ERROR, Status.CANCELLED
_BY_CANCEL, _DATA_LOST, _SCHEDULER_LOST, _SERIALIZATION = map(
    int, (ErrorKind.CANCELLED, ErrorKind.DATA_LOST, ErrorKind.SCHEDULER_LOST, ErrorKind.SERIALIZATION)
)


class Send(NamedTuple):
    """Send this to the scheduler."""

    message: Message


class Settled(NamedTuple):
    """Tell the observers of this record."""

    record: FutureRecord


class GetFrom(NamedTuple):
    """Ask the worker at one of `addresses` for the value of task `id`; tell `fetched`."""

    fid: int
    id: int
    addresses: tuple[str, ...]


class Fetched(NamedTuple):
    """The value of a fetched record (None: it ended without one, see the record)."""

    record: FutureRecord
    frames: Frames | None


class Answered(NamedTuple):
    """The scheduler answered a call."""

    request: int
    ok: bool
    value: Any


Action: TypeAlias = Send | Settled | GetFrom | Fetched | Answered


class ClientMachine:
    """The state of one client.

    Parameters
    ----------
    config : Config
        `functions` and `batch_items` are used here.
    lasting : bool
        Whether it outlives its scheduler: then it remembers how to have everything again, and between `part` and
        `come_back` nothing is sent.
    """

    def __init__(self, config: Config, lasting: bool = False) -> None:
        self._config = config
        self.records: dict[int, FutureRecord] = {}
        # functions sent on this connection, oldest first; the scheduler keeps the same list
        self._functions: OrderedDict[bytes, None] = OrderedDict()
        # fid -> a Locate or GetFrom is under way (False: waits for the next Report)
        self._fetching: dict[int, bool] = {}
        self._misses: dict[int, int] = {}  # fid -> how often a worker did not have it, or could not be reached
        self._resting: dict[int, float] = {}  # fid -> when it is located again
        self._calls: set[int] = set()
        self._kept: set[int] = set()  # fire and forget: told to the scheduler, which may outlive the record
        self._ended: ErrorItem | None = None
        self._recipes: Recipes | None = Recipes() if lasting else None
        self._away = False  # there is no scheduler at the moment
        self._strays: dict[int, ErrorItem] = {}  # futures that have ended so, and are unknown to this scheduler
        self._later: list[Entry] = []  # what is to be said when there is a scheduler, beside recipes
        # what this turn will send, in order; runs of the same kind are sent as one message
        self._out: list[Entry] = []
        self._actions: list[Action] = []

    # -- commands ---------------------------------------------------------------------------------------------------

    def submit(self, record: FutureRecord, item: TaskItem, function: Frames) -> None:
        """Hold a new future and submit its task."""
        if not self._enter(record):
            return
        if self._recipes is not None:
            if self._strays and self._depends_on_stray(record.fid, item):
                return
            self._recipes.add_task(item, function)
            if self._away:
                return
            item = self._without_strays(item)
        self._intern(item.fn, function)
        self._out.append((TaskItem, item))

    def submit_many(self, records: Sequence[FutureRecord], items: Sequence[TaskItem], function: Frames) -> None:
        """`submit` for tasks that share one function."""
        for record, item in zip(records, items, strict=True):
            self.submit(record, item, function)

    def want(self, record: FutureRecord) -> None:
        """Hold a future that arrived by pickle, by its key."""
        if self._enter(record):
            item = make(WantItem, (record.fid, record.key))
            if self._recipes is not None:
                self._recipes.add(record.fid, WantItem, item)
            if not self._away:
                self._out.append((WantItem, item))

    def scatter(
        self, records: Sequence[FutureRecord], items: Sequence[ScatterItem], workers: tuple[str, ...], broadcast: bool
    ) -> None:
        """Put values into the cluster."""
        entered = tuple([item for record, item in zip(records, items, strict=True) if self._enter(record)])
        if self._recipes is not None:
            for item in entered:
                self._recipes.add(item.fid, Scatter, make(Scatter, ((item,), workers, broadcast)))
        if entered and not self._away:
            self._out.append((Scatter, self._pinned_by_known(make(Scatter, (entered, workers, broadcast)))))

    def release(self, fid: int) -> None:
        """Hold this future no longer. One that was never entered (its submit was interrupted) is ignored."""
        record = self.records.pop(fid, None)
        if record is not None:
            record.released = True  # before anybody is told
            if record.status is _PENDING:  # another thread may wait for it
                text = f"the future {quoted(record.key)} was released"
                self._cancelled(record, text)
            else:
                self._answer_fetch(record, None)
            self._kept.discard(fid)
            if self._recipes is not None:
                self._recipes.release(fid)
            if fid in self._strays:
                del self._strays[fid]
            elif self._ended is None and not self._away:
                self._out.append((Release, fid))

    def cancel(self, fids: Iterable[int], reason: str) -> None:
        """Cancel the tasks of these futures, for everybody; here it is true at once."""
        held = tuple(fid for fid in fids if fid in self.records)
        for fid in held:
            record = self.records[fid]
            if record.status is not _CANCELLED:
                text = reason or f"{record.key} was cancelled"
                self._cancelled(record, text)
        held = self._known(held)
        if held and self._ended is None:
            self._out.append((Cancel, make(Cancel, (held, reason))))

    def keep(self, fids: Iterable[int]) -> None:
        """Fire and forget: the scheduler shall hold these tasks itself until they are done."""
        held = tuple(dict.fromkeys(fid for fid in fids if fid in self.records and fid not in self._kept))
        if held and self._ended is None:
            self._kept.update(held)
            held = self._known(held)
            if held:
                self._out.append((Keep, make(Keep, (held,))))

    def fetch(self, fid: int) -> None:
        """Get the value of a finished future that did not travel with its report; answered by `Fetched`."""
        record = self.records.get(fid)
        if record is None:
            return
        if record.frames is not None or record.status in (_ERROR, _CANCELLED):
            self._actions.append(make(Fetched, (record, record.frames)))
        elif fid not in self._fetching:
            self._locate(record)

    def call(self, request: int, verb: Verb, args: tuple[Any, ...] = (), frames: Frames | None = None) -> None:
        """Ask the scheduler; answered by `Answered`."""
        if self._ended is not None:
            self._actions.append(make(Answered, (request, False, self._ended.text)))
        else:
            self._calls.add(request)
            later = self._later if self._away else self._out
            later.append((Call, make(Call, (request, verb, args, frames))))

    def abandon_call(self, request: int) -> None:
        """Nobody waits for this answer any more."""
        self._calls.discard(request)
        self._later = [entry for entry in self._later if entry[0] is not Call or entry[1].request != request]

    def unsent(self, message: Message, text: str) -> None:
        """What this message was to enter ends, since it could not leave; the scheduler never hears of it."""
        entered: Sequence[TaskItem | WantItem | ScatterItem] = ()
        if isinstance(message, Submit):
            entered = message.tasks
            for function in message.functions:
                self._functions.pop(function.fn, None)
        elif isinstance(message, (Want, Scatter)):
            entered = message.items
        for item in entered:
            record = self.records.pop(item.fid, None)
            if self._recipes is not None:
                self._recipes.release(item.fid)
            if record is not None:
                self._end(record, _ERROR, make(ErrorItem, (_SERIALIZATION, None, record.key, "", 0, text)))

    # -- what comes back from workers that serve data ---------------------------------------------------------------

    def fetched(self, fid: int, item: DatumItem, now: float) -> None:
        """A worker answered `GetFrom`, or could not be reached (None instead of the frames)."""
        record = self.records.get(fid)
        if record is None or fid not in self._fetching:
            return
        _, frames = item
        if frames is not None:
            self._answer_fetch(record, frames)
            return
        misses = self._misses[fid] = self._misses.get(fid, 0) + 1
        if misses == 1:  # the worker has gone, and the scheduler will know soon
            self._locate(record)
        elif misses <= MISSES:
            self._resting[fid] = now + FIRST_PAUSE * 2.0 ** min(misses - 2, 7)
        else:
            text = f"the value of {quoted(record.key)} could not be fetched from its workers in {misses} attempts"
            self._end(record, _ERROR, make(ErrorItem, (_DATA_LOST, None, record.key, "", 0, text)))

    # -- messages ---------------------------------------------------------------------------------------------------

    def receive(self, peer: int, message: Message, now: float) -> None:
        """Take in a message of the scheduler.

        Raises
        ------
        ProtocolError
            If it is none that a scheduler sends to a client.
        """
        if isinstance(message, Report):
            finished, erred, lost = message
            self._report(finished, erred, lost)
        elif isinstance(message, Located):
            for fid, id, frames, addresses in message.items:
                self._located(fid, id, frames, addresses, now)
        elif isinstance(message, Answer):
            request, ok, value = message
            if request in self._calls:
                self._calls.remove(request)
                self._actions.append(make(Answered, (request, ok, value)))
        elif isinstance(message, Refuse):  # better than the mere end of the connection, which follows
            text = f"the scheduler put us out: {message.text}"
            self.lost(peer, now, make(ErrorItem, (_SCHEDULER_LOST, None, "", "", 0, text)))
        elif not isinstance(message, (Pulse, Welcome)):
            raise ProtocolError(f"a client does not expect {type(message).__name__}")

    def lost(self, peer: int, now: float, error: ErrorItem) -> None:
        """The scheduler is gone (or this client was closed): everything that is not settled ends with `error`."""
        if self._ended is not None:
            return
        self._ended = error
        self._end_all(error)

    def part(self, peer: int, now: float, error: ErrorItem) -> None:
        """The scheduler is gone, and there may be another one soon. What cannot outlive it ends with `error`."""
        if self._ended is not None or self._away:
            return
        if self._recipes is None:
            self._end_all(error)
            return
        self._out.clear()
        self._functions.clear()
        self._strays.clear()
        self._away = True
        self._end_calls(error)

    def come_back(self, peer: int, now: float) -> None:
        """There is a scheduler, which knows nothing: tell it all, inputs first."""
        recipes = self._recipes
        if recipes is None or not self._away or self._ended is not None:
            return
        self._away = False
        released: list[int] = []
        for fid, kind, item in recipes.entries():
            record = self.records.get(fid)
            if record is None:  # others are made from it
                released.append(fid)
            elif record.error is not None:
                self._strays[fid] = record.error
                continue
            if kind is TaskItem:
                if self._depends_on_stray(fid, item):
                    continue
                self._intern(item.fn, recipes.function(item.fn))
                item = self._without_strays(item)
            elif kind is Scatter:  # the workers that it was meant for may not be back yet
                item = self._pinned_by_known(make(Scatter, (item.items, (), item.broadcast)))
            self._out.append((kind, item))
        for fid in released:
            if self._strays.pop(fid, None) is None:
                self._out.append((Release, fid))
        kept = self._known(tuple(self._kept))
        if kept:
            self._out.append((Keep, make(Keep, (kept,))))
        for fid in list(self._fetching):
            self._resting.pop(fid, None)
            self._locate(self.records[fid])
        self._out += self._later
        self._later.clear()
        self._out.append((Bring, make(Bring, ((), (), False))))

    def tick(self, now: float) -> None:
        """Locate again what has rested long enough."""
        for fid in [fid for fid, when in self._resting.items() if when <= now]:
            del self._resting[fid]
            self._locate(self.records[fid])

    def next_deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min(self._resting.values()) if self._resting else None

    def has_deadline(self) -> bool:
        """Whether there is one."""
        return bool(self._resting)

    def drain(self) -> list[Action]:
        """What is to be done now, in order."""
        messages = as_messages(self.outgoing(), self._config.batch_items) if self._out else []
        actions: list[Action] = [make(Send, (message,)) for message in messages]
        actions += self._actions
        self._actions = []
        return actions

    def has_actions(self) -> bool:
        """Whether `drain` would give any."""
        return bool(self._actions or self._out)

    def has_outgoing(self) -> bool:
        """Whether something is to be sent."""
        return bool(self._out)

    def outgoing(self) -> list[Entry]:
        """What is to be sent, as items (see `wire.runs`); `drain` will not give it as well."""
        out, self._out = self._out, []
        return out

    def ended(self, finished: Sequence[ResultItem], erred: Sequence[FailedItem]) -> None:
        """What a `Report` says, from within this process."""
        for item in finished:
            self._finish(item, False)
        if erred:
            self._report((), erred, ())

    # -- inside -----------------------------------------------------------------------------------------------------

    def _end_all(self, error: ErrorItem) -> None:
        self._out.clear()
        self._later.clear()
        self._away = False
        status = _CANCELLED if error.kind == _BY_CANCEL else _ERROR
        for record in self.records.values():
            if record.status is _PENDING or (record.status is _FINISHED and record.frames is None):
                self._end(record, status, _error_of(record, error))
        self._end_calls(error)

    def _end_calls(self, error: ErrorItem) -> None:
        for request in sorted(self._calls):
            self._actions.append(make(Answered, (request, False, error.text)))
        self._calls.clear()

    def _known(self, fids: tuple[int, ...]) -> tuple[int, ...]:
        """Those of these futures that the scheduler knows."""
        if self._away:
            return ()
        return tuple([fid for fid in fids if fid not in self._strays]) if self._strays else fids

    def _depends_on_stray(self, fid: int, item: TaskItem) -> bool:
        """Whether a task is made from what has ended, and this scheduler does not know: it ends so, too."""
        for other in item.dependencies:
            error = self._strays.get(other)
            if error is not None:
                self._strays[fid] = error
                record = self.records.get(fid)
                if record is not None and record.status is _PENDING:
                    self._end(record, _CANCELLED if error.kind == _BY_CANCEL else _ERROR, error)
                return True
        return False

    def _without_strays(self, item: TaskItem) -> TaskItem:
        """The same task; what it is merely given is no reason to end. It will find that nobody knows those."""
        pins = self._known(item.pins)
        if len(pins) == len(item.pins):
            return item
        fields = tuple(item)
        return make(TaskItem, (*fields[:5], pins, *fields[6:]))

    def _pinned_by_known(self, message: Scatter) -> Scatter:
        """The same for scattered values with futures inside."""
        if not self._strays:
            return message
        items = [make(ScatterItem, (*tuple(item)[:4], self._known(item.pins))) for item in message.items]
        return make(Scatter, (tuple(items), message.workers, message.broadcast))

    def _enter(self, record: FutureRecord) -> bool:
        self.records[record.fid] = record
        if self._ended is not None:
            status = _CANCELLED if self._ended.kind == _BY_CANCEL else _ERROR
            self._end(record, status, _error_of(record, self._ended))
            return False
        return True

    def _intern(self, fn: bytes, frames: Frames) -> None:
        if fn not in self._functions:
            self._functions[fn] = None
            if len(self._functions) > self._config.functions:
                self._functions.popitem(last=False)
            self._out.append((FunctionItem, make(FunctionItem, (fn, frames))))

    def _report(self, finished: Iterable[Any], erred: Iterable[Any], lost: Iterable[int]) -> None:
        for fid in lost:
            record = self.records.get(fid)
            if record is not None and record.status is _FINISHED and record.frames is None:
                record.status = _PENDING
                if self._fetching.get(fid) is False:
                    self._resting.pop(fid, None)
        for item in finished:
            self._finish(item, True)
        for fid, error in erred:
            record = self.records.get(fid)
            if record is None or record.status is _CANCELLED:
                continue
            item = make(ErrorItem, tuple(error))
            cancelled = item.kind == _BY_CANCEL
            if record.frames is None or (cancelled and item.key == record.key):  # else: a value at hand stays
                self._end(record, _CANCELLED if cancelled else _ERROR, item)

    def _finish(self, item: ResultItem, always: bool) -> None:
        """There is a value. `always`: say so also if nobody observes the record."""
        fid, type_name, nbytes, frames = fields(item)
        record = self.records.get(fid)
        if record is None or record.status is _CANCELLED or record.status is _ERROR:
            return
        record.type_name, record.nbytes, record.frames = type_name, nbytes, frames
        record.status = _FINISHED
        if self._recipes is not None:
            self._recipes.settled(fid)
        if always or record.observers:  # who begins to look only now sees the status
            self._actions.append(make(Settled, (record,)))
        if self._fetching and fid in self._fetching:
            self._resume_fetch(record)

    def _cancelled(self, record: FutureRecord, text: str) -> None:
        self._end(record, _CANCELLED, make(ErrorItem, (_BY_CANCEL, None, record.key, "", 0, text)))

    def _end(self, record: FutureRecord, status: Status, error: ErrorItem) -> None:
        record.error = error
        record.frames = None
        record.status = status
        self._actions.append(make(Settled, (record,)))
        self._answer_fetch(record, None)

    def _answer_fetch(self, record: FutureRecord, frames: Frames | None) -> None:
        """Whoever waits for this value need not any more."""
        if self._fetching.pop(record.fid, None) is not None:
            self._misses.pop(record.fid, None)
            self._resting.pop(record.fid, None)
            self._actions.append(make(Fetched, (record, frames)))

    def _locate(self, record: FutureRecord) -> None:
        if self._ended is not None:
            return
        self._fetching[record.fid] = True
        if not self._away:
            self._out.append((Locate, record.fid))

    def _located(self, fid: int, id: int, frames: Frames | None, addresses: tuple[str, ...], now: float) -> None:
        record = self.records.get(fid)
        if record is None or fid not in self._fetching:
            return
        if frames is not None:
            self._answer_fetch(record, frames)
        elif addresses:
            self._actions.append(make(GetFrom, (fid, id, addresses)))
        else:
            self._fetching[fid] = False
            if record.status is _FINISHED:  # its worker may be gone, but is not lost yet: perhaps there will be no news
                self._resting[fid] = now + REST_SECONDS

    def _resume_fetch(self, record: FutureRecord) -> None:
        if record.frames is not None:
            self._answer_fetch(record, record.frames)
        elif not self._fetching[record.fid]:
            self._resting.pop(record.fid, None)
            self._locate(record)

    def check(self) -> None:
        """Recompute the invariants; AssertionError names what is broken."""
        for fid, record in self.records.items():
            assert fid == record.fid, f"record {record} is filed under {fid}"
            assert record.status in Status, record
            if record.status in (Status.ERROR, Status.CANCELLED):
                assert record.error is not None, f"{record} ended without an error"
            if record.frames is not None:
                assert record.status is _FINISHED, f"{record} has a value"
            if self._ended is not None:
                assert record.settled, f"{record} is pending, and the scheduler is gone"
        assert self._fetching.keys() <= self.records.keys(), "fetches of futures that are not held"
        assert self._misses.keys() <= self._fetching.keys(), "misses of values that nobody fetches"
        assert self._resting.keys() <= self._fetching.keys(), "pauses of values that nobody fetches"
        assert len(self._functions) <= self._config.functions
        assert not (self._away and self._out), "something is to be sent, and there is no scheduler"
        assert self._strays.keys() <= self.records.keys(), "a stray that nobody holds"
        if self._recipes is not None:
            self._recipes.check()


def _error_of(record: FutureRecord, error: ErrorItem) -> ErrorItem:
    """The same error, told of this future's task."""
    kind, frames, _, worker, attempt, text = error
    return make(ErrorItem, (kind, frames, record.key, worker, attempt, text))
