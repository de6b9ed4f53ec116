"""What the scheduler knows beside the core's rows: a record per task, client, worker and function.

One concern: the shape of the records and who may write which field. Ints that decide what happens next (states, counts,
edges, holders) are the core's; a record holds what the core must not know: keys, bytes, names, who is to be told. Plain
data; `books` keeps it in step with the core.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

from fastsched.scheduler.outbox import Outbox
from fastsched.wire.messages import ErrorItem, Frames, Register

__all__ = ["ClientRecord", "Function", "TaskRecord", "WantPair", "WorkerRecord"]


class Function:
    """A pickled function. Known as long as it has users.

    Parameters
    ----------
    fn : bytes
        Its content hash.
    frames : Frames
        The pickle.
    """

    __slots__ = ("fn", "frames", "users")

    def __init__(self, fn: bytes, frames: Frames) -> None:
        self.fn = fn
        self.frames = frames
        self.users = 0  # tasks, and tables of connections, that refer to it


class TaskRecord:
    """One task, or one scattered value (`function` is None).

    Parameters
    ----------
    key : str
        Its key.
    function : Function or None
        What to call.
    args : Frames
        The pickled arguments.
    dependencies : tuple of TaskRecord
        Its inputs, in the order in which the arguments name them. Their rows live as long as this one's, by the core's
        edges.
    pins : tuple of TaskRecord
        Tasks whose futures are inside the arguments; each has one want of the core on behalf of this record.
    """

    __slots__ = (
        "args",
        "client",
        "dependencies",
        "error",
        "failures",
        "fid",
        "frames",
        "function",
        "id",
        "inlined",
        "kept",
        "key",
        "keyed",
        "misses",
        "nbytes",
        "others",
        "pins",
        "retries",
        "settled",
        "type_name",
        "value_pins",
    )

    def __init__(
        self,
        key: str,
        function: Function | None,
        args: Frames,
        dependencies: tuple[TaskRecord, ...],
        pins: tuple[TaskRecord, ...],
    ) -> None:
        # the specification: written once
        self.id = 0  # by the core, as soon as it has the row
        self.key = key
        self.function = function
        self.args = args
        self.dependencies = dependencies
        self.pins = pins
        # who is to be told: most tasks have one future, so a list is made for a second one only
        self.client: ClientRecord | None = None  # whose future `fid` stands for this task
        self.fid = 0
        self.inlined = 0  # bytes of the value that travelled to this future with a report
        self.others: list[WantPair] | None = None  # further futures; those that were released are removed lazily
        # the outcome
        self.type_name = ""
        self.nbytes = 0
        self.frames: Frames | None = None  # a value that is small, or scattered and on its way to a worker
        self.value_pins: tuple[TaskRecord, ...] = ()  # tasks whose futures are inside the value
        self.error: ErrorItem | None = None  # means something in the core's state ERRED only
        # the attempts
        self.retries = 0  # application errors that are left
        self.failures = 0  # workers that died while they executed it
        self.misses = 0  # times that a worker could not get an input of it
        # how it stands
        self.keyed = True  # false: a later task of this key is another task (cancelled, or replaced)
        self.kept = False  # the scheduler itself wants it until it is done (fire and forget)
        self.settled = False  # the clients have been told the present outcome

    def __repr__(self) -> str:
        return f"<TaskRecord {self.id >> 32}.{self.id & 0xFFFFFFFF} {self.key}>"


class ClientRecord:
    """A peer that holds futures: a client, or a worker whose tasks submit tasks.

    Parameters
    ----------
    peer : int
        The connection.
    name : str
        For people.
    outbox : Outbox
        What it is told as a client.
    """

    __slots__ = ("functions", "futures", "inlined", "inlined_bytes", "name", "outbox", "peer")

    def __init__(self, peer: int, name: str, outbox: Outbox) -> None:
        self.peer = peer
        self.name = name
        self.outbox = outbox
        self.futures: dict[int, TaskRecord] = {}  # fid -> its task; one want of the core each
        self.functions: OrderedDict[bytes, Function] = (
            OrderedDict()
        )  # what it has sent, oldest first; it keeps the same list
        self.inlined: dict[int, int] = {}  # as `TaskRecord.inlined`, for futures that are not the first of their task
        self.inlined_bytes = 0  # the sum of both, bounded by Config.inline_budget

    def __repr__(self) -> str:
        return f"<ClientRecord {self.name}>"


WantPair: TypeAlias = tuple[ClientRecord, int]


class WorkerRecord:
    """A worker.

    Parameters
    ----------
    peer : int
        The connection.
    handle : int
        Its row in the core.
    register : Register
        What it said about itself (with its final name).
    outbox : Outbox
        What it is told as a worker; its tasks, as a client, have another one.
    now : float
        When it came.
    """

    __slots__ = (
        "address",
        "asked",
        "functions",
        "handle",
        "heard",
        "lent",
        "limit",
        "mean",
        "memory_limit",
        "name",
        "outbox",
        "patience",
        "peer",
        "pid",
        "slots",
        "suspect",
    )

    def __init__(self, peer: int, handle: int, register: Register, outbox: Outbox, now: float) -> None:
        self.peer = peer
        self.handle = handle
        self.outbox = outbox
        self.name = register.name
        self.pid = register.pid
        self.slots = register.nthreads
        self.address = register.address
        self.memory_limit = register.memory_limit
        self.functions: OrderedDict[bytes, None] = (
            OrderedDict()
        )  # sent on this connection, oldest first; it keeps the same list
        self.suspect = False  # its connection ended and nobody knows yet how it died: named to nobody
        # written by `prefill`
        self.limit = 0  # tasks that it is sent at most
        self.lent = 0  # of them, those that hold no slot (as it last said)
        self.mean = -1.0  # run time of its tasks in seconds, a moving average; negative: unknown
        self.heard = now  # its last report
        self.asked = 0.0  # when it may be asked for tasks again; 0: at any time
        self.patience = 0.0  # how long it was waited for the last time that it was asked

    def __repr__(self) -> str:
        return f"<WorkerRecord {self.name}>"
