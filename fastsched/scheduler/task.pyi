"""What the scheduler knows of one task, for readers and mypy; the code is in task.pyx.

One concern: the shape of the record of a task. What decides what happens next (state, counts, edges, holders) is the
core's; `books` keeps the two in step.
"""

from fastsched.scheduler.records import ClientRecord, Function, WantPair
from fastsched.wire.messages import ErrorItem, Frames

class Extras:
    """What few tasks have.

    Parameters
    ----------
    pins : tuple of TaskRecord
        Tasks whose futures are inside the arguments.
    """

    pins: tuple[TaskRecord, ...]  # each has one want of the core on behalf of the record, as have the next
    value_pins: tuple[TaskRecord, ...]  # tasks whose futures are inside the value
    held: tuple[TaskRecord, ...]  # as pins, but of values that are gone: not computed before they are asked for
    others: list[WantPair] | None  # futures beside the first; those that were released are removed lazily
    parent: int  # the id of the task that launched it; 0: none did

    def __init__(self, pins: tuple[TaskRecord, ...] = ()) -> None: ...

class TaskRecord:
    """One task, or one scattered value, or a key that is sought (`function` is None).

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
        Tasks whose futures are inside the arguments.
    """

    # the specification: written once, when the record is made or by `specify`
    key: str
    function: Function | None
    dependencies: tuple[TaskRecord, ...]
    id: int  # by the core, as soon as it has the row
    extras: Extras | None  # to be read; `extras_of` makes them
    # who is to be told: most tasks have one future
    client: ClientRecord | None  # whose future `fid` stands for this task
    fid: int
    inlined: int  # bytes of the value that travelled to this future with a report
    # the outcome
    type_name: str
    nbytes: int
    frames: Frames | None  # a value that is small, or scattered and on its way to a worker
    error: ErrorItem | None  # means something in the core's state ERRED only
    # the attempts
    retries: int  # application errors that are left
    failures: int  # workers that died while they executed it
    misses: int  # times that a worker could not get an input of it; at most 255
    # how it stands
    keyed: bool  # false: a later task of this key is another task (cancelled, or replaced)
    kept: bool  # the scheduler itself wants it until it is done (fire and forget)
    told: int  # the outcome that the futures were told last, a `State`: MEMORY or ERRED; else 0

    def __init__(
        self,
        key: str,
        function: Function | None,
        args: Frames,
        dependencies: tuple[TaskRecord, ...],
        pins: tuple[TaskRecord, ...],
    ) -> None: ...

def extras_of(record: TaskRecord) -> Extras:
    """What few tasks have, made for this one if it had none."""

def args_of(record: TaskRecord) -> Frames:
    """The pickled arguments of a task."""

def specify(
    record: TaskRecord,
    function: Function,
    args: Frames,
    dependencies: tuple[TaskRecord, ...],
    pins: tuple[TaskRecord, ...],
) -> None:
    """What a task is of which nothing but the key was known."""
