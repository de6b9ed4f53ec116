"""The scheduling core: a pure state machine over typed arrays.

Ints in, effects out; no clock, socket, pickle or callable. Used twice: in the scheduler over all tasks and workers, in
every worker over one worker, itself (there ASSIGN means "start in a slot"). The states and transitions are drawn in
docs/states.md, which is generated from `transition_table()`.

A *turn* is any number of verbs followed by `SchedulerCore.drain`, which places ready tasks on workers and returns the
effects of the turn, in causal order.

Ids. A task id is ``(generation << 32) | row``, always > 0; the generation grows whenever the row is recycled, so an id
is never reused. A *report* about an id that is unknown or out of date (``finish``, ``give_back``, ``replica``...)
answers False and is counted in `SchedulerCore.stale`. A verb of *ownership* (``want``, ``unwant``, dependencies) raises
KeyError instead and changes nothing. Workers are small ints, recycled after a drain; an unknown one raises KeyError,
but makes a report stale.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

from typing_extensions import Buffer

Int64s = Buffer
"""A one-dimensional buffer of int64: numpy array, ``array("q")``, memoryview of format q."""

Ids = Sequence[int] | Buffer

class State(IntEnum):
    """Where a task row is in its life."""

    FREE = 0  # no task: the row is waiting to be used (again)
    RELEASED = 1  # known, but nobody needs its value: kept as lineage
    WAITING = 2  # needed, some input is not in memory; or EXTERNAL and not here yet
    READY = 3  # in the ready queue
    ASSIGNED = 4  # placed on a worker
    MEMORY = 5  # at least one worker holds the value
    ERRED = 6

class Effect(IntEnum):
    """What the machine must do. An effect is ``(kind, id, a, b)``; a and b are given here."""

    ASSIGN = 1  # (worker, run)  send it / start it in a slot
    DROP = 2  # (worker, run)  nobody needs it any more: stop it if it is not too late
    FREE = 3  # (worker, 0)    the worker may forget the value
    MEMORY = 4  # (worker, 0)    the value is there
    ERRED = 5  # (cause id, 0)  cause == id at the root of the failure
    LOST = 6  # (0, 0)         the last replica is gone; MEMORY, ERRED or nothing follows some day
    FORGET = 7  # (0, 0)         the id is gone for good; comes after every other effect on it
    FETCH = 8  # (0, 0)         an EXTERNAL row has become needed: get it, answer with replica() or err()
    REJOIN = 9  # (worker, run)  a seceded task that waited in rejoin() has a slot again

class Event(IntEnum):
    """What can happen to a row: verbs, and what follows from changes of its neighbours."""

    NEEDED = 1  # a first want, or a first dependent that must run
    UNNEEDED = 2  # the last want and the last such dependent are gone
    INPUT_MEMORY = 3  # the last missing input came to memory
    INPUT_LOST = 4  # an input left memory
    INPUT_ERRED = 5  # an input erred
    PLACE = 6  # drain() found a worker for it
    CLAIM = 7
    FINISH = 8
    FAIL = 9
    RETRY = 10
    GIVE_BACK = 11
    ERR = 12
    REPLICA = 13
    DROP_REPLICA = 14  # the last one
    REMOVE_WORKER = 15  # the worker that runs it, holds its only replica, or is the only one allowed
    SECEDE = 16
    REJOIN = 17
    HAND_OVER = 18
    TAKE_BACK = 19
    DEPENDENT_GONE = 20  # the last dependent's row was forgotten
    PLACE_EARLY = 21  # drain() put it on the worker that computes its inputs
    RECALL = 22  # an input that it was placed early for left the worker without a value
    PUBLISH = 23
    SPECIFY = 24

class Transition(NamedTuple):
    """One row of the table: what `event` does to a row in `state`, if `when` holds ("" = always)."""

    state: State
    event: Event
    when: str
    next: State
    effects: tuple[Effect, ...]  # effects on this row alone

EXTERNAL: int
"""Flag: cannot be computed here (scattered data in the scheduler, an input to fetch in a worker)."""
SECEDED: int
"""Flag: assigned, but holds no slot."""
EARLY: int
"""Flag: assigned before its inputs are in memory. Those that are not there are assigned to the same worker."""
BYTES_PER_TASK: int
"""Size of a task row, without edges and replicas."""
BYTES_PER_EDGE: int
BYTES_PER_REPLICA: int

def transition_table() -> list[Transition]:
    """Every (state, event) pair that does something. A pair that is not listed changes nothing but `stale`."""

def build() -> dict[str, object]:
    """How this module was built: ``debug`` (bool), ``compiled`` (True), ``cython`` (version)."""

class SchedulerCore:
    """Tasks, workers, and who runs what where.

    Parameters
    ----------
    locality_bytes : int
        A task follows its inputs to a more loaded worker when that worker holds at least this many bytes of them.
    last_generation : int
        The generation of the last task that a row may have, before it is retired. Tests lower it.
    first_generation : int
        The generation of the first: ids of cores that begin far from each other are not the same.
    """

    def __init__(
        self, locality_bytes: int = 1 << 20, last_generation: int = 0x7FFFFFFF, first_generation: int = 1
    ) -> None: ...

    # ---- workers ---------------------------------------------------------------------------------------------------
    def add_worker(self, slots: int, limit: int = 0) -> int:
        """A new, open worker.

        `limit` >= slots is how many tasks that hold a slot or wait for one it is sent at most (0: as many as slots).
        """
    def remove_worker(self, worker: int) -> None:
        """Its tasks are queued again, its replicas are gone (LOST, then computed again if needed).

        Nothing more is told to it.
        """
    def set_slots(self, worker: int, slots: int) -> None:
        """The limit is raised to `slots` if it is below."""
    def set_limit(self, worker: int, limit: int) -> None: ...
    def set_open(self, worker: int, open: bool) -> None:
        """A worker that is not open is sent no new task; rejoins and claims go on."""
    def set_lent(self, worker: int, n: int) -> None:
        """The scheduler's view: the worker reports that `n` of its assigned tasks hold no slot now.

        Negative: slots that are taken by what is not assigned any more (dropped attempts that still run), at most all.
        """
    def set_early(self, worker: int, n: int) -> None:
        """How many tasks it is sent, at most, before their inputs are in memory. At first none.

        All inputs that are missing are assigned to this worker then. One of them that comes back, errs or is dropped
        takes such tasks with it (DROP); they wait again.
        """
    def workers(self) -> list[int]: ...
    def assigned_to(self, worker: int) -> list[int]:
        """Ids assigned to it, the oldest assignment first, then those that wait in rejoin()."""
    def n_assigned(self, worker: int) -> int: ...
    def slots(self, worker: int) -> int: ...
    def limit(self, worker: int) -> int: ...
    def is_open(self, worker: int) -> bool: ...
    def occupancy(self, worker: int) -> int:
        """Assigned tasks that hold a slot (or wait for one there): assigned - early - seceded - lent, at least 0."""
    def free_slots(self, worker: int) -> int:
        """slots - occupancy; negative while overdrawn or prefilled."""
    def lent(self, worker: int) -> int:
        """Tasks of it that hold no slot: seceded here, plus what set_lent() reported (which may be negative)."""
    def n_rejoining(self, worker: int) -> int:
        """Tasks that wait in rejoin() for a slot."""
    def n_early(self, worker: int) -> int:
        """Tasks that it was sent before their inputs, which are not there yet."""
    def n_replicas(self, worker: int) -> int:
        """Values that it holds."""
    def replicas_of(self, worker: int) -> list[int]:
        """Ids whose value it holds."""
    def retractable(self, worker: int, n: int) -> list[tuple[int, int]]:
        """Up to `n` (id, run) of its unseceded tasks beyond its slots, the latest first: to be asked back.

        Tasks that are there because of `locality_bytes` of inputs are left: they would be placed there again. Early
        tasks are not named: they are dropped when the task that they wait for comes back.
        """

    # ---- tasks -----------------------------------------------------------------------------------------------------
    def add_task(self, deps: Ids = (), priority: int = 0, order: int = -1, wants: int = 1, only: int = -1) -> int:
        """A new task. Higher priority goes first, then lower order (-1: its arrival number), then arrival.

        With ``wants=0`` it rests until something needs it, and is forgotten at the next drain if no dependent was
        added by then. ``only`` is the one worker that may run it; without that worker it errs (cause: itself).
        """
    def add_external(self, wants: int = 1, nbytes: int = 0) -> int:
        """A row whose value comes from elsewhere: FETCH when it is needed, then `replica` brings it to memory."""
    def submit_many(
        self,
        priorities: Int64s | None,
        indptr: Int64s,
        deps: Int64s,
        wants: Int64s | None = None,
        orders: Int64s | None = None,
    ) -> memoryview:
        """Many tasks at once, all or nothing. Returns their ids, int64.

        ``deps[indptr[i]:indptr[i + 1]]`` are the inputs of task i; ``-(j + 1)``, j < i, means task j of this batch.
        Defaults are those of `add_task`.
        """
    def want(self, id: int, n: int = 1) -> None:
        """`n` more references from outside: client futures, pins."""
    def unwant(self, id: int, n: int = 1) -> None:
        """`n` fewer. ValueError if there are not so many. The id may be forgotten by it, at once."""
    def unwant_many(self, ids: Int64s) -> None:
        """One fewer for each. An error leaves those before it done."""
    def hold(self, id: int) -> None:
        """From now on it is not forgotten, also if nobody needs it and nothing depends on it. A hold is no need."""
    def let_go(self, id: int) -> None:
        """Hold it no longer; it may be forgotten by it, at once. Holds are not counted."""
    def finish(self, id: int, run: int, worker: int, nbytes: int) -> bool:
        """The worker has computed it and holds the value."""
    def finish_many(self, ids: Int64s, runs: Int64s, worker: int, nbytes: Int64s) -> int:
        """As many single calls; returns how many were accepted."""
    def fail(self, id: int, run: int, worker: int) -> bool:
        """It raised: ERRED, and with it every dependent that waits for it."""
    def retry(self, id: int, run: int, worker: int) -> bool:
        """It raised, but may try again: back to the queue."""
    def give_back(self, id: int, run: int, worker: int) -> bool:
        """It was retracted or could not start (an input is missing): back to the queue."""
    def err(self, id: int) -> bool:
        """Force ERRED, whatever it is doing (cancelled, given up).

        False if it has erred already, or nobody needs it: then it stays as it is.
        """
    def replica(self, id: int, worker: int, nbytes: int) -> bool:
        """The worker holds the value (also). False: not wanted any more, tell the worker to free it."""
    def drop_replica(self, id: int, worker: int) -> bool:
        """The worker does not hold it any more. If it was the last, the value is lost.

        A lost value that is needed is computed again; a handed-over one is fetched again; other EXTERNAL ones err.
        """
    def secede(self, id: int) -> bool:
        """An assigned task lends its slot. False if it is not assigned, has none to lend, or is early."""
    def rejoin(self, id: int) -> bool:
        """A seceded task wants a slot. True: it has one now. False: REJOIN follows, or DROP.

        False with `stale` grown: it is not seceded (any more), and nothing follows.
        """
    def overdraw(self, id: int) -> bool:
        """A seceded task goes on without waiting for a slot. No REJOIN follows.

        Nothing new starts on its worker until that is made up for.
        """
    def claim(self, id: int, worker: int) -> int:
        """A WAITING or READY task is run right now by a thread there, whatever the slots say, and has its inputs.

        Its run (there is no ASSIGN effect), or 0: somebody else was first. Inputs that are not in memory here are
        computed all the same, as they are for any task whose inputs were lost while it ran.
        """
    def publish(self, id: int, worker: int, nbytes: int, wants: int = 1) -> bool:
        """A task that was not placed gets `wants`, and its value is there: the worker has run it unasked, and holds it.

        Its inputs need not be in memory, and are not computed for it. False, and no want: it is EXTERNAL, has erred, or
        was placed.
        """
    def hand_over(self, id: int) -> bool:
        """A WAITING or READY task will be computed elsewhere.

        It becomes EXTERNAL (no FETCH effect), and its inputs are not needed for it.
        """
    def take_back(self, id: int) -> bool:
        """A handed-over task whose value has not come is computed here again."""
    def specify(
        self, id: int, deps: Ids = (), priority: int = 0, order: int = -1, worker: int = -1, nbytes: int = 0
    ) -> bool:
        """An EXTERNAL row whose value has not come is a task after all, with these inputs: from here on it is computed.

        No input may depend on it. With a `worker`: it has run there already, unasked, and if it is needed its value is
        there, as after `publish`. False: it is not EXTERNAL, was handed over, has its value, or has erred.
        """
    def ready(self, n: int = 1) -> list[int]:
        """The first `n` ids of the ready queue (restricted tasks are not in it), first to go first; they stay in it."""

    # ---- what the turn brought -------------------------------------------------------------------------------------
    def drain(self) -> list[tuple[int, int, int, int]]:
        """Place what can be placed; return and clear the effects ``(kind, id, a, b)``."""
    def drain_array(self) -> memoryview:
        """The same as one (n, 4) memoryview of int64."""
    def end_turn(self) -> int:
        """The same without a list: returns their number, and `next_effect` walks them.

        Verbs may be called meanwhile: what follows from them comes with the next turn.
        """
    def next_effect(self) -> int:
        """The kind of the next effect of the turn that was ended last, 0 after the last one; the rest is in these."""
    @property
    def effect_id(self) -> int: ...
    @property
    def effect_a(self) -> int: ...
    @property
    def effect_b(self) -> int: ...

    # ---- questions (KeyError for an id that is not known) ----------------------------------------------------------
    def known(self, id: int) -> bool: ...
    def state(self, id: int) -> int: ...
    def flags(self, id: int) -> int:
        """EXTERNAL, SECEDED and EARLY are public bits; there are others."""
    def run(self, id: int) -> int:
        """How often it was assigned; the current or last run."""
    def worker(self, id: int) -> int:
        """The worker that it is assigned to, or -1."""
    def nbytes(self, id: int) -> int: ...
    def wants(self, id: int) -> int: ...
    def needed(self, id: int) -> int:
        """Dependents that are waiting, ready or assigned here, each as often as it depends on this one."""
    def unmet(self, id: int) -> int:
        """Inputs that are not in memory."""
    def order(self, id: int) -> int: ...
    def priority(self, id: int) -> int: ...
    def cause(self, id: int) -> int:
        """Of an erred row: the id at the root of the failure (it may be its own). Else 0."""
    def holders(self, id: int) -> list[int]: ...
    def n_holders(self, id: int) -> int: ...
    def holds(self, worker: int, id: int) -> bool: ...
    def dependencies(self, id: int) -> list[int]:
        """In the order in which they were given."""
    def dependents(self, id: int) -> list[int]: ...
    def tasks(self) -> list[int]:
        """Every live id, by row."""

    # ---- counts ----------------------------------------------------------------------------------------------------
    @property
    def n_tasks(self) -> int:
        """Live rows."""
    @property
    def n_ready(self) -> int: ...
    @property
    def n_workers(self) -> int: ...
    @property
    def n_effects(self) -> int:
        """Effects that wait for a drain (placement not counted)."""
    @property
    def idle_slots(self) -> int:
        """Free slots of all open workers."""
    @property
    def stale(self) -> int:
        """Reports that were out of date."""
    def count(self, state: int) -> int:
        """Rows in a state (FREE: rows that were used and are not now)."""

    # ---- views: one number per row, read-only and zero-copy, ``np.asarray(core.task_state)`` -----------------------
    # A view shows the rows as they are until the table next grows; after that it stays valid, as it was.
    @property
    def task_state(self) -> memoryview: ...
    @property
    def task_flags(self) -> memoryview: ...
    @property
    def task_generation(self) -> memoryview: ...
    @property
    def task_priority(self) -> memoryview: ...
    @property
    def task_order(self) -> memoryview: ...
    @property
    def task_run(self) -> memoryview: ...
    @property
    def task_worker(self) -> memoryview: ...
    @property
    def task_wants(self) -> memoryview: ...
    @property
    def task_needed(self) -> memoryview: ...
    @property
    def task_unmet(self) -> memoryview: ...
    @property
    def task_nbytes(self) -> memoryview: ...
    def check(self) -> None:
        """Recompute every invariant from scratch; AssertionError says which one does not hold. In every build."""
