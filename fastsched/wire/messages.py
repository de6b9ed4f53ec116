"""Every message that crosses a process border.

One concern: the vocabulary of the wire. A message is a named tuple whose fields are ints, strings, bytes and batches;
a batch is a tuple of *items*, and an item is again a named tuple (after decoding: a plain tuple of the same shape).
Nothing here knows bytes (`codec`), who may send what (`catalogue`), sockets (`net`) or what a machine does with a
message. The annotations are the schema: `wire.codec` checks each decoded message against them, so a machine never meets
a field of the wrong type.

Numbers that name things
------------------------
fid
    A client's own number for one future. Counted up by the client, never used again; it means something on that
    connection only.
task id
    The scheduler's name for a task: ``generation << 32 | row`` of its `SchedulerCore`.
run
    The attempt number of a task; a report that names an older run is dropped.
fn
    The content hash (8 bytes) of a pickled function. The bytes travel once per connection, before the first task that
    names them.
frames
    A pickled value: the pickle itself, then its out-of-band buffers.
"""

# No `from __future__ import annotations` here: `shapes` reads the annotations of each kind, and texts would have to be
# evaluated first, at every start.
from typing import Annotated, Any, NamedTuple, TypeAlias

from fastsched.wire.buffer import Buffer
from fastsched.wire.enums import ErrorKind, Role, Stage, Verb

__all__ = [
    "Accept", "Adopt", "Answer", "Bring", "Buffer", "Call", "Cancel", "Circle", "Claim", "Data", "Despair",
    "Dismiss", "Done", "Drop", "ErredItem", "ErrorItem", "ErrorKind", "Expect", "FailedItem", "FinishedItem",
    "Frames", "Free", "FunctionItem", "GetData", "Grant", "InputItem", "Keep", "LocalItem", "Locate", "Located",
    "LocatedItem", "Message", "MissingItem", "Obituary", "Oversee", "Pressure", "Publish", "Pulse", "Put", "PutItem",
    "RanFunction", "Refuse", "Register", "Release", "Replicate", "Report", "ResultItem", "Retire", "Retract", "Role",
    "Run", "RunFunction", "RunItem", "Scatter", "ScatterItem", "Seek", "Shutdown", "Sought", "Stage", "Submit",
    "Surplus", "TaskItem", "Verb", "Waiting", "Want", "WantItem", "Welcome",
]  # fmt: skip


# What an annotation says beyond the type: a condition on the value {0}, which `shapes` compiles into the check of
# each message: limits of an int, or the length of bytes.
Natural: TypeAlias = Annotated[int, "0 <= {0} <= 0x7FFFFFFFFFFFFFFF"]
FunctionId: TypeAlias = Annotated[bytes, "len({0}) == 8"]
Kind: TypeAlias = Annotated[int, "1 <= {0} <= 8"]  # an ErrorKind
Request: TypeAlias = Annotated[int, "1 <= {0} <= 6"]  # a Verb
Standing: TypeAlias = Annotated[int, "1 <= {0} <= 4"]  # a Stage

Frames: TypeAlias = tuple[bytes | Buffer, ...]  # at least one: the pickle
Fids: TypeAlias = tuple[Natural, ...]
Ids: TypeAlias = tuple[Natural, ...]
Attempts: TypeAlias = tuple[tuple[Natural, Natural], ...]  # (task id, run)


# -- items ---------------------------------------------------------------------------------------------------------


class FunctionItem(NamedTuple):
    """A pickled function, sent before the first task of this connection that names it."""

    fn: FunctionId
    frames: Frames


class TaskItem(NamedTuple):
    """A task as a client submits it. `dependencies` and `pins` are fids of the same client."""

    fid: Natural
    key: str
    fn: FunctionId
    args: Frames
    dependencies: Fids  # futures in containers: arrive as values, in this order
    pins: Fids  # futures elsewhere (attributes, closures): kept alive while the task may run
    priority: int
    retries: Natural
    parent: Natural  # task id of the submitting task, 0 from outside


class WantItem(NamedTuple):
    """A future that arrived by pickle: attach `fid` to the task of this key."""

    fid: Natural
    key: str


class ScatterItem(NamedTuple):
    """A value that a client puts into the cluster."""

    fid: Natural
    key: str
    type_name: str
    frames: Frames
    pins: Fids  # futures inside the value


class ErrorItem(NamedTuple):
    """Why a task has no value."""

    kind: Kind
    frames: Frames | None  # the pickled exception (ErrorKind.TASK), else None
    key: str  # the task in which it began
    worker: str  # the worker that ran it, "" if none
    attempt: Natural
    text: str  # the formatted remote traceback, or what happened


class ResultItem(NamedTuple):
    """A wanted future has its value; `frames` is None when the value is too large to travel unasked."""

    fid: Natural
    type_name: str
    nbytes: Natural
    frames: Frames | None


class FailedItem(NamedTuple):
    """A wanted future ended without a value."""

    fid: Natural
    error: ErrorItem


class LocatedItem(NamedTuple):
    """Where a value is: here (`frames`), or on the workers at `addresses` under `id`; neither: not in memory now."""

    fid: Natural
    id: Natural
    frames: Frames | None
    addresses: tuple[str, ...]


class InputItem(NamedTuple):
    """One dependency of a task that a worker shall run: its value, or where to fetch it.

    Neither: the worker holds it, or is computing it.
    """

    id: Natural
    key: str
    nbytes: Natural
    frames: Frames | None
    addresses: tuple[str, ...]


class RunItem(NamedTuple):
    """A task as a worker receives it. Inputs are in the order of the task's dependencies."""

    id: Natural
    run: Natural
    key: str
    fn: FunctionId
    args: Frames
    inputs: tuple[InputItem, ...]
    priority: int
    order: int


class PutItem(NamedTuple):
    """A value for a worker to hold."""

    id: Natural
    key: str
    type_name: str
    frames: Frames


class FinishedItem(NamedTuple):
    """A worker finished a task; small values travel with the report."""

    id: Natural
    run: Natural
    type_name: str
    nbytes: Natural
    micros: Natural  # run time in microseconds
    frames: Frames | None
    pins: tuple[str, ...]  # keys of futures inside the value


class ErredItem(NamedTuple):
    """A task raised."""

    id: Natural
    run: Natural
    error: ErrorItem


class MissingItem(NamedTuple):
    """A task cannot start: these inputs were not where they were said to be."""

    id: Natural
    run: Natural
    inputs: Ids


class LocalItem(NamedTuple):
    """A task that its worker has not submitted but kept to itself: a `TaskItem`, and what became of it meanwhile."""

    fid: Natural
    key: str
    fn: FunctionId
    args: Frames
    dependencies: Fids
    pins: Fids
    priority: int
    retries: Natural
    parent: Natural
    stage: Standing
    type_name: str  # this and the next three are about the value of a task that has FINISHED
    nbytes: Natural
    frames: Frames | None  # the value, if it is small
    value_pins: tuple[str, ...]  # keys of futures inside the value
    error: tuple[ErrorItem, ...]  # why it has no value, if it has FAILED; else none


class DatumItem(NamedTuple):
    """One answer to `GetData`; None: not here."""

    id: Natural
    frames: Frames | None


# -- client -> scheduler (a worker's tasks are clients too) -----------------------------------------------------------


class Submit(NamedTuple):
    """New tasks, and the functions that this connection has not seen."""

    functions: tuple[FunctionItem, ...]
    tasks: tuple[TaskItem, ...]


class Want(NamedTuple):
    """Futures that arrived by pickle want their values."""

    items: tuple[WantItem, ...]


class Release(NamedTuple):
    """These futures are gone; what nobody else wants may be forgotten."""

    fids: Fids


class Cancel(NamedTuple):
    """Cancel the tasks of these futures, for everybody."""

    fids: Fids
    reason: str


class Scatter(NamedTuple):
    """Values for the workers to hold."""

    items: tuple[ScatterItem, ...]
    workers: tuple[str, ...]  # names; empty: any
    broadcast: bool


class Locate(NamedTuple):
    """Where are the values of these futures? Answered by `Located`."""

    fids: Fids


class Call(NamedTuple):
    """A question to the scheduler, answered by `Answer`."""

    request: Natural
    verb: Request
    args: tuple[Any, ...]  # scalars and strings
    frames: Frames | None


class Keep(NamedTuple):
    """Fire and forget: the scheduler holds these tasks itself until they are done."""

    fids: Fids


# -- scheduler -> client ----------------------------------------------------------------------------------------------


class Report(NamedTuple):
    """What became of futures that this client wants."""

    finished: tuple[ResultItem, ...]
    erred: tuple[FailedItem, ...]
    lost: Fids  # finished before, now being computed again


class Located(NamedTuple):
    """Answers `Locate`."""

    items: tuple[LocatedItem, ...]


class Answer(NamedTuple):
    """Answers `Call`."""

    request: Natural
    ok: bool
    value: Any  # plain data; the text of the error if not ok


# -- scheduler -> worker ----------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """Tasks to run, and the functions that this connection has not seen."""

    functions: tuple[FunctionItem, ...]
    tasks: tuple[RunItem, ...]


class Free(NamedTuple):
    """Drop these values."""

    ids: Ids


class Retract(NamedTuple):
    """Give these back if they have not started: answered by `Done.returned`, silence means kept."""

    attempts: Attempts


class Drop(NamedTuple):
    """Nobody wants these attempts any more: forget them if queued, throw the result away if running.

    One that has ended is not touched: the news of it crosses this message, and is answered by `Free`.
    """

    attempts: Attempts


class Put(NamedTuple):
    """Values to hold, acknowledged by `Done.replicas`."""

    items: tuple[PutItem, ...]


class Replicate(NamedTuple):
    """Values to hold, to be fetched from who has them, acknowledged by `Done.replicas`. Silence: they cannot be had."""

    items: tuple[InputItem, ...]


class RunFunction(NamedTuple):
    """`Client.run`: call this on the worker, outside the slots."""

    request: Natural
    frames: Frames


class Shutdown(NamedTuple):
    """Stop: finish nothing, close."""

    reason: str


class Adopt(NamedTuple):
    """Answers `Publish`: under which ids these tasks are known, before any other message names them."""

    # id 0: the future stands for another task, or for none; run: its outcome is due, 0: its value is in memory
    items: tuple[tuple[Natural, Natural, Natural], ...]  # (fid, task id, run)


class Grant(NamedTuple):
    """So many slots of the cluster are idle: submit local tasks for them, the oldest first."""

    slots: Natural


class Seek(NamedTuple):
    """Is one of these keys that of a child? Answered by `Sought`."""

    items: tuple[tuple[Natural, str], ...]  # (the scheduler's number for the question, key)


class Accept(NamedTuple):
    """Answers `Bring`: under which ids these keys are known from now on, before any other message names them."""

    # id 0: nobody wants it, or somebody else has it; run: its outcome is due, 0: its value is in memory
    items: tuple[tuple[str, Natural, Natural], ...]  # (key, task id, run)


class Circle(NamedTuple):
    """Answers `Waiting`: this wait will never end, because the last of these tasks waits for the first."""

    wait: Natural
    keys: tuple[str, ...]  # each waits for the next; the first and the last are one, or tasks of one thread


# -- worker -> scheduler ----------------------------------------------------------------------------------------------


class Done(NamedTuple):
    """The news of one turn of a worker."""

    finished: tuple[FinishedItem, ...]
    erred: tuple[ErredItem, ...]
    returned: Attempts  # retracted, or not startable here
    missing: tuple[MissingItem, ...]
    replicas: tuple[tuple[Natural, Natural], ...]  # (task id, nbytes): values that now are here too
    lent: int  # tasks of `Run` that hold no slot (seceded), less the slots of dropped attempts that still run


class RanFunction(NamedTuple):
    """Answers `RunFunction`."""

    request: Natural
    ok: bool
    frames: Frames  # the pickled result, or the pickled exception


class Publish(NamedTuple):
    """Local tasks that something outside of the worker needs to know, inputs first; answered by `Adopt`.

    As `Submit` does, it attaches each fid to the task of its key; the fids of LINEAGE are free again after it.
    """

    functions: tuple[FunctionItem, ...]
    items: tuple[LocalItem, ...]


class Bring(NamedTuple):
    """A peer that had another scheduler, or another connection, has said what it wants; and this is what it has.

    Only workers have something; they hear `Accept`.
    """

    values: tuple[tuple[str, str, Natural], ...]  # (key, type name, bytes) of what is in memory here
    running: tuple[str, ...]  # keys of what runs here
    more: bool  # another `Bring` follows


class Claim(NamedTuple):
    """A thread of this worker waits for these: `Run` those here that nobody has begun, whatever the slots say.

    Who holds the slot may wait for that thread.
    """

    fids: Fids


class Sought(NamedTuple):
    """Answers `Seek`: what this worker had of these keys it has submitted or published before."""

    numbers: tuple[Natural, ...]


class Waiting(NamedTuple):
    """A thread of this worker has waited for long: it goes on when all of `fids` have ended, or the first of them."""

    wait: Natural  # the worker's own number for it; a further report of the same number replaces the one before
    attempts: Attempts  # the tasks of the thread, of which each waits for the next one; none: the wait is over
    fids: Fids
    first: bool


class Surplus(NamedTuple):
    """So many local tasks of this worker could be submitted, if slots are idle elsewhere (`Grant`)."""

    tasks: Natural


# -- who starts workers -> scheduler, and back ------------------------------------------------------------------------


class Oversee(NamedTuple):
    """The first message of a process that starts workers, has proved to be a worker, and will run no task itself."""

    name: str
    version: str


class Expect(NamedTuple):
    """Workers of these names are started. `Welcome` tells which of them have been let in."""

    names: tuple[str, ...]


class Obituary(NamedTuple):
    """How one of them has ended."""

    name: str
    how: str  # "SIGKILL", "exit 3", "out of memory: ..."
    known: bool  # whether what it was doing is known
    executing: Ids
    stderr: str  # its last lines there


class Pressure(NamedTuple):
    """One of them uses so much memory that it should get no tasks, or does so no more."""

    name: str
    pressed: bool


class Despair(NamedTuple):
    """No more workers will be started, for this reason."""

    text: str


class Retire(NamedTuple):
    """These workers shall leave as planned: what only they hold goes to others, then each hears `Shutdown`.

    From a supervisor, or from a worker that means itself; the scheduler tells it to the supervisor of each that leaves.
    """

    names: tuple[str, ...]


class Dismiss(NamedTuple):
    """From the scheduler: this worker is gone for it. Its process shall end, if it lives."""

    name: str
    reason: str


# -- both ways --------------------------------------------------------------------------------------------------------


class Register(NamedTuple):
    """The first message after the handshake."""

    name: str
    version: str
    pid: Natural
    nthreads: Natural  # 0 from a client
    address: str  # where a worker serves its data, "" from a client
    memory_limit: Natural  # bytes, 0: none
    page: str  # path of the worker's page of running tasks, "" if none
    comebacks: Natural = 0  # so often it has been here before, on other connections; if it has, `Bring` will follow


class Welcome(NamedTuple):
    """Answers `Register`: the peer is in."""

    name: str  # the peer's name in this cluster
    version: str
    scheduler: str  # the scheduler's own identity


class Refuse(NamedTuple):
    """The peer is not let in (or is put out); the connection is closed after it."""

    text: str


class Pulse(NamedTuple):
    """A sign of life; no answer is due."""

    beat: Natural


# -- data connections (worker or client -> worker) ------------------------------------------------------------------


class GetData(NamedTuple):
    """Ask a worker for values that it holds; answered by `Data`."""

    request: Natural
    ids: Ids


class Data(NamedTuple):
    """Answers `GetData`; in several messages if one would be over the limits of the wire, each id in one of them."""

    request: Natural
    items: tuple[DatumItem, ...]


Message: TypeAlias = (
    Submit | Want | Release | Cancel | Scatter | Locate | Call | Keep
    | Report | Located | Answer
    | Run | Free | Retract | Drop | Put | Replicate | RunFunction | Shutdown | Adopt | Grant | Circle | Seek | Accept
    | Done | RanFunction | Publish | Surplus | Claim | Waiting | Sought | Bring
    | Oversee | Expect | Obituary | Pressure | Despair | Retire | Dismiss
    | Register | Welcome | Refuse | Pulse
    | GetData | Data
)  # fmt: skip
