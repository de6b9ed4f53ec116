"""What the scheduler knows beside the core's rows: a record per client, worker and function (and per task: `task`).

One concern: the shape of the records and who may write which field. Ints that decide what happens next (states, counts,
edges, holders) are the core's; a record holds what the core must not know: keys, bytes, names, who is to be told. Plain
data; `books` keeps it in step with the core.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeAlias

from fastsched.scheduler.fids import Fids
from fastsched.scheduler.outbox import Outbox
from fastsched.wire.messages import Frames, Register

__all__ = ["ClientRecord", "Function", "WantPair", "WorkerRecord"]


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

    __slots__ = (
        "answered",
        "beats",
        "functions",
        "futures",
        "heard",
        "inlined",
        "inlined_bytes",
        "name",
        "outbox",
        "peer",
        "silent",
    )

    def __init__(self, peer: int, name: str, outbox: Outbox) -> None:
        self.peer = peer
        self.name = name
        self.outbox = outbox
        self.futures = Fids()  # fid -> the row of its task; one want of the core each
        self.functions: OrderedDict[bytes, Function] = (
            OrderedDict()
        )  # what it has sent, oldest first; it keeps the same list
        self.inlined: dict[int, int] = {}  # as `TaskRecord.inlined`, for futures that are not the first of their task
        self.inlined_bytes = 0  # the sum of both, bounded by Config.inline_budget
        # written by `machine` at each message, and by `silence`
        self.heard = 0.0  # its last sign of life
        self.answered = True  # that came after all that it was told
        self.beats = False  # it has a pulse
        self.silent = False  # and has not been heard for too long

    def __repr__(self) -> str:
        return f"<ClientRecord {self.name}>"


WantPair: TypeAlias = tuple[ClientRecord, int]


class WorkerRecord:
    """A worker.

    Parameters
    ----------
    client : ClientRecord
        What its tasks hold, on the same connection.
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
        "brings",
        "client",
        "comebacks",
        "full",
        "functions",
        "handle",
        "heard",
        "lent",
        "limit",
        "mean",
        "memory_limit",
        "moved",
        "name",
        "outbox",
        "owes",
        "patience",
        "peer",
        "pid",
        "retiring",
        "returns",
        "slots",
        "suspect",
        "watched",
    )

    def __init__(self, client: ClientRecord, handle: int, register: Register, outbox: Outbox, now: float) -> None:
        self.client = client
        self.peer = client.peer
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
        self.full = False  # it does not read what it is sent
        self.retiring = False  # it leaves as planned: nothing new for it
        self.comebacks = register.comebacks
        self.brings = register.comebacks > 0  # it has not said yet what it has from another scheduler
        # written by `silence`
        self.watched = False  # something is expected of it
        self.returns = 0.0  # it was silent: until when it may report what was moved; 0: it was not
        self.moved: dict[int, int] = {}  # attempts that were given to others while it was silent: task id -> run
        # written by `seek`
        self.owes = 0  # questions that it has not answered
        # written by `prefill`
        self.limit = 0  # tasks that it is sent at most
        self.lent = 0  # of them, those that hold no slot (as it last said)
        self.mean = -1.0  # run time of its tasks in seconds, a moving average; negative: unknown
        self.heard = now  # its last report
        self.asked = 0.0  # when it may be asked for tasks again; 0: at any time
        self.patience = 0.0  # how long it was waited for the last time that it was asked

    def __repr__(self) -> str:
        return f"<WorkerRecord {self.name}>"
