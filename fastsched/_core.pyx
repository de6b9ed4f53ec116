"""The scheduling core: a pure state machine over typed arrays.

Ints in, effects out; no clock, socket, pickle or callable.

Called by the machines of the scheduler and of each worker, under their lock. Imports nothing but `enum` and `typing`.
What each verb promises is written in _core.pyi, the records in _core.pxd, how rows change in _core_transitions.pxi.

This file is the face: a verb looks up its ids, makes one transition, and settles what follows from it.
"""

cimport cython
from cpython.buffer cimport PyBUF_STRIDES, PyBUF_WRITABLE
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

include "_core_blocks.pxi"
include "_core_rows.pxi"
include "_core_ready.pxi"
include "_core_workers.pxi"
include "_core_transitions.pxi"
include "_core_placement.pxi"
include "_core_early.pxi"
include "_core_turn.pxi"
include "_core_batch.pxi"
include "_core_lists.pxi"
include "_core_check.pxi"
include "_core_table.pxi"


@cython.final
cdef class SchedulerCore:
    """Tasks, workers, and who runs what where. Every verb is described in _core.pyi."""

    def __cinit__(self):
        memset(&self.core, 0, sizeof(Core))
        self.core.free_rows = NONE
        self.core.free_edges = NONE
        self.core.free_replicas = NONE
        self.reserve_rows(1)  # so that there is always memory for a view to point to

    def __init__(self, int64_t locality_bytes=1 << 20, int last_generation=MOST_ROWS, int first_generation=1):
        if not 1 <= first_generation <= last_generation:
            raise ValueError(f"generations must be >= 1, not {first_generation} to {last_generation}")
        self.core.locality_bytes = locality_bytes
        self.core.last_generation = last_generation
        self.core.first_generation = first_generation

    def __dealloc__(self):
        free_memory(&self.core)

    # ---- looking up ------------------------------------------------------------------------------------------------

    cdef int32_t row_of(self, int64_t id) except -1:
        """For verbs of ownership: the row, or KeyError."""
        return known_row(&self.core, id)

    cdef int32_t reported(self, int64_t id) noexcept:
        """For reports: the row, or NONE, which is counted."""
        cdef int32_t row = find_row(&self.core, id)
        if row == NONE:
            self.core.stale += 1
        return row

    cdef int32_t assigned_row(self, int64_t id, int64_t run, int worker) noexcept:
        """For reports about a run: the row if this very run is going on, or NONE, which is counted."""
        cdef int32_t row = find_row(&self.core, id)
        cdef Task *task
        if row != NONE:
            task = self.core.tasks + row
            if task.state == S_ASSIGNED and task.run == run and task.worker == worker:
                return row
        self.core.stale += 1
        return NONE

    cdef Worker *worker_of(self, int worker) except NULL:
        if not 0 <= worker < self.core.n_workers or not self.core.workers[worker].alive:
            raise KeyError(f"unknown worker {worker}")
        return self.core.workers + worker

    cdef int reserve_rows(self, int64_t n) except -1:
        """Room for `n` more rows. The old memory lives on as long as somebody holds a view of it."""
        cdef Core *core = &self.core
        cdef int64_t need = core.n_rows + max(0, n - core.n_free_rows)
        cdef int64_t room = max(core.room, 64)
        cdef Task *tasks
        if need <= core.room:
            return 0
        if need > MOST_ROWS:
            raise MemoryError("too many tasks for the scheduling core")
        while room < need:
            room *= 2
        tasks = <Task *> malloc(room * sizeof(Task))
        if tasks == NULL:
            raise MemoryError("the scheduling core cannot grow")
        if core.n_rows:
            memcpy(tasks, core.tasks, core.n_rows * sizeof(Task))
        self.rows = Block.adopt(tasks)
        core.tasks = tasks
        core.room = room
        return 0

    # ---- workers ---------------------------------------------------------------------------------------------------

    cpdef int add_worker(self, int slots, int limit=0) except -1:
        cdef int32_t w
        if slots < 0 or (limit and limit < slots):
            raise ValueError(f"slots must be >= 0 and limit >= slots, not {slots} and {limit}")
        w = new_worker(&self.core)
        self.core.workers[w].slots = slots
        self.core.workers[w].limit = limit or slots
        worker_changed(&self.core, w)
        return w

    cpdef int remove_worker(self, int worker) except -1:
        self.worker_of(worker)
        return lose_worker(&self.core, worker)

    cpdef int set_slots(self, int worker, int slots) except -1:
        cdef Worker *record = self.worker_of(worker)
        if slots < 0:
            raise ValueError(f"slots must be >= 0, not {slots}")
        record.slots = slots
        record.limit = max(record.limit, slots)
        return worker_changed(&self.core, worker)

    cpdef int set_limit(self, int worker, int limit) except -1:
        cdef Worker *record = self.worker_of(worker)
        if limit < record.slots:
            raise ValueError(f"limit must be >= slots ({record.slots}), not {limit}")
        record.limit = limit
        return worker_changed(&self.core, worker)

    cpdef int set_open(self, int worker, bint open) except -1:
        self.worker_of(worker).open = open
        return worker_changed(&self.core, worker)

    cpdef int set_lent(self, int worker, int n) except -1:
        cdef Worker *record = self.worker_of(worker)
        if n < -record.slots:
            raise ValueError(f"lent must be at least -slots, not {n}")
        record.lent = n
        return worker_changed(&self.core, worker)

    cpdef int set_early(self, int worker, int n) except -1:
        if n < 0:
            raise ValueError(f"early must be >= 0, not {n}")
        self.worker_of(worker).early = n
        self.core.early |= n > 0
        return worker_changed(&self.core, worker)

    cpdef list workers(self):
        return [w for w in range(self.core.n_workers) if self.core.workers[w].alive]

    cpdef list assigned_to(self, int worker):
        cdef Worker *record = self.worker_of(worker)
        return ids_in(&self.core, &record.assigned) + ids_in(&self.core, &record.rejoining)

    cpdef int n_assigned(self, int worker) except -1:
        cdef Worker *record = self.worker_of(worker)
        return record.assigned.n + record.rejoining.n

    cpdef int slots(self, int worker) except -1:
        return self.worker_of(worker).slots

    cpdef int limit(self, int worker) except -1:
        return self.worker_of(worker).limit

    cpdef bint is_open(self, int worker) except -1:
        return self.worker_of(worker).open

    cpdef int occupancy(self, int worker) except -1:
        return occupancy_of(self.worker_of(worker))

    cpdef int free_slots(self, int worker) except? -1:
        cdef Worker *record = self.worker_of(worker)
        return record.slots - occupancy_of(record)

    cpdef int lent(self, int worker) except? -1:
        cdef Worker *record = self.worker_of(worker)
        return record.lent + record.seceded

    cpdef int n_rejoining(self, int worker) except -1:
        return self.worker_of(worker).rejoining.n

    cpdef int n_early(self, int worker) except -1:
        return self.worker_of(worker).n_early

    cpdef int n_replicas(self, int worker) except -1:
        return self.worker_of(worker).n_replicas

    cpdef list replicas_of(self, int worker):
        return ids_held_by(&self.core, self.worker_of(worker))

    cpdef list retractable(self, int worker, int n):
        self.worker_of(worker)  # KeyError if there is none
        return latest_beyond_slots(&self.core, worker, n)

    # ---- adding tasks ----------------------------------------------------------------------------------------------

    cdef int start(self, int32_t row) except -1:
        """A row was added, with its edges: let it be needed, or young."""
        if self.core.tasks[row].wants:
            activate(&self.core, row)
            return settle(&self.core)
        self.core.tasks[row].flags |= F_YOUNG
        return push(&self.core.young, row)

    cpdef int64_t add_task(
        self, object deps=(), int64_t priority=0, int64_t order=-1, int wants=1, int only=-1
    ) except -1:
        cdef Core *core = &self.core
        cdef int32_t row
        if wants < 0:
            raise ValueError(f"wants must be >= 0, not {wants}")
        if only != NONE:
            self.worker_of(only)
        look_up_inputs(core, deps)
        self.reserve_rows(1)
        reserve_edges(core, core.inputs.n)
        row = new_row(core, priority, order, wants, only)
        while core.inputs.n:  # lists grow at their head: from the last, so that the first dependency is the first
            add_edge(core, pop(&core.inputs), row)
        if only != NONE:
            core.workers[only].n_only += 1
        self.start(row)
        return id_of(core, row)

    cpdef int64_t add_external(self, int wants=1, int64_t nbytes=0) except -1:
        cdef int32_t row
        if wants < 0:
            raise ValueError(f"wants must be >= 0, not {wants}")
        self.reserve_rows(1)
        row = new_row(&self.core, 0, -1, wants, NONE)
        self.core.tasks[row].flags = F_EXTERNAL
        self.core.tasks[row].nbytes = nbytes
        self.start(row)
        return id_of(&self.core, row)

    def submit_many(
        self, const int64_t[:] priorities, const int64_t[:] indptr not None, const int64_t[:] deps not None,
        const int64_t[:] wants=None, const int64_t[:] orders=None
    ):
        return add_batch(self, priorities, indptr, deps, wants, orders)

    # ---- wants -----------------------------------------------------------------------------------------------------

    cpdef int want(self, int64_t id, int n=1) except -1:
        cdef int32_t row = self.row_of(id)
        if n < 0 or <int64_t> self.core.tasks[row].wants + n > MOST_ROWS:
            raise ValueError(f"cannot add {n} wants to task id {id}")
        self.core.tasks[row].wants += n
        if n and self.core.tasks[row].state == S_RELEASED:
            activate(&self.core, row)
        return settle(&self.core)

    cpdef int unwant(self, int64_t id, int n=1) except -1:
        cdef int32_t row = self.row_of(id)
        if not 0 <= n <= self.core.tasks[row].wants:
            raise ValueError(f"task id {id} has {self.core.tasks[row].wants} wants, not {n}")
        self.core.tasks[row].wants -= n
        if not is_needed(&self.core, row):
            release(&self.core, row)
        return settle(&self.core)

    def unwant_many(self, const int64_t[:] ids not None):
        cdef int64_t i
        for i in range(ids.shape[0]):
            self.unwant(ids[i])

    cpdef int hold(self, int64_t id) except -1:
        self.core.tasks[self.row_of(id)].flags |= F_HELD
        return 0

    cpdef int let_go(self, int64_t id) except -1:
        cdef int32_t row = self.row_of(id)
        self.core.tasks[row].flags &= ~F_HELD
        if not is_needed(&self.core, row):
            release(&self.core, row)
        return settle(&self.core)

    # ---- reports of a run ------------------------------------------------------------------------------------------

    cpdef bint finish(self, int64_t id, int64_t run, int worker, int64_t nbytes) except -1:
        cdef int32_t row = self.assigned_row(id, run, worker)
        if row == NONE:
            return False
        finish_row(&self.core, row, nbytes)
        settle(&self.core)
        return True

    def finish_many(
        self, const int64_t[:] ids not None, const int64_t[:] runs not None, int worker,
        const int64_t[:] nbytes not None
    ):
        cdef int64_t i, n = ids.shape[0], accepted = 0
        if runs.shape[0] != n or nbytes.shape[0] != n:
            raise ValueError(f"expected {n} runs and sizes, not {runs.shape[0]} and {nbytes.shape[0]}")
        for i in range(n):
            accepted += self.finish(ids[i], runs[i], worker, nbytes[i])
        return accepted

    cpdef bint fail(self, int64_t id, int64_t run, int worker) except -1:
        cdef int32_t row = self.assigned_row(id, run, worker)
        if row == NONE:
            return False
        fail_run(&self.core, row)
        settle(&self.core)
        return True

    cpdef bint retry(self, int64_t id, int64_t run, int worker) except -1:
        return self.give_back(id, run, worker)

    cpdef bint give_back(self, int64_t id, int64_t run, int worker) except -1:
        cdef int32_t row = self.assigned_row(id, run, worker)
        if row == NONE:
            return False
        requeue(&self.core, row)
        settle(&self.core)
        return True

    # ---- reports of values -----------------------------------------------------------------------------------------

    cpdef bint err(self, int64_t id) except -1:
        cdef int32_t row = self.reported(id)
        if row == NONE or self.core.tasks[row].state in (S_RELEASED, S_ERRED):
            return False
        fail_row(&self.core, row, id)
        settle(&self.core)
        return True

    cpdef bint replica(self, int64_t id, int worker, int64_t nbytes) except -1:
        cdef int32_t row = find_row(&self.core, id)
        if row != NONE and bring_replica(&self.core, row, worker, nbytes):
            return True
        self.core.stale += 1
        return False

    cpdef bint drop_replica(self, int64_t id, int worker) except -1:
        cdef int32_t row = find_row(&self.core, id)
        cdef int32_t r = NONE if row == NONE else find_replica(&self.core, row, worker)
        if r == NONE:
            self.core.stale += 1
            return False
        remove_replica(&self.core, r)
        if self.core.tasks[row].holders == NONE:
            lose(&self.core, row)
            settle(&self.core)
        return True

    # ---- slots -----------------------------------------------------------------------------------------------------

    cpdef bint secede(self, int64_t id) except -1:
        cdef int32_t row = self.reported(id)
        if row == NONE or self.core.tasks[row].state != S_ASSIGNED or self.core.tasks[row].flags & (F_SECEDED | F_EARLY):
            return False
        lend_slot(&self.core, row)
        return True

    cdef int32_t seceded_row(self, int64_t id) noexcept:
        """The row if it is assigned without a slot, or NONE, which is counted."""
        cdef int32_t row = find_row(&self.core, id)
        if row != NONE and self.core.tasks[row].flags & F_SECEDED:
            return row
        self.core.stale += 1
        return NONE

    cpdef bint rejoin(self, int64_t id) except -1:
        cdef int32_t row = self.seceded_row(id)
        if row == NONE or self.core.tasks[row].flags & F_REJOINING:
            return False
        return rejoin_row(&self.core, row)

    cpdef bint overdraw(self, int64_t id) except -1:
        cdef int32_t row = self.seceded_row(id)
        if row == NONE:
            return False
        give_slot(&self.core, row)
        return True

    cpdef int64_t claim(self, int64_t id, int worker) except -1:
        cdef int32_t row = self.reported(id)
        self.worker_of(worker)
        if row == NONE or not may_be_claimed(&self.core, row, worker):
            return 0
        if self.core.tasks[row].state == S_READY:
            assign(&self.core, row, worker)
        else:
            enter_assigned(&self.core, row, worker)
        return self.core.tasks[row].run

    cpdef bint publish(self, int64_t id, int worker, int64_t nbytes, int wants=1) except -1:
        cdef int32_t row = self.row_of(id)
        self.worker_of(worker)
        if wants < 1 or <int64_t> self.core.tasks[row].wants + wants > MOST_ROWS:
            raise ValueError(f"cannot add {wants} wants to task id {id}")
        if not may_be_published(&self.core, row):
            return False
        self.core.tasks[row].wants += wants
        publish_row(&self.core, row, worker, nbytes)
        settle(&self.core)
        return True

    # ---- computed elsewhere ----------------------------------------------------------------------------------------

    cpdef bint hand_over(self, int64_t id) except -1:
        cdef Core *core = &self.core
        cdef int32_t row = self.reported(id)
        if row == NONE or core.tasks[row].state not in (S_WAITING, S_READY) or not is_active(core, row):
            return False
        hand_over_row(core, row)
        settle(core)
        return True

    cpdef bint take_back(self, int64_t id) except -1:
        cdef Core *core = &self.core
        cdef int32_t row = self.reported(id)
        if row == NONE or core.tasks[row].state != S_WAITING or not core.tasks[row].flags & F_HANDED:
            return False
        take_back_row(core, row)
        settle(core)
        return True

    cpdef bint specify(
        self, int64_t id, object deps=(), int64_t priority=0, int64_t order=-1, int worker=-1, int64_t nbytes=0
    ) except -1:
        return specify_task(self, id, deps, priority, order, worker, nbytes)

    cpdef list ready(self, int64_t n=1):
        return first_ready(&self.core, n)

    # ---- the turn --------------------------------------------------------------------------------------------------

    cpdef list drain(self):
        end_turn(&self.core)
        return effects_as_tuples(&self.core)

    cpdef int64_t end_turn(self) except -1:
        end_turn(&self.core)
        return take_effects(&self.core)

    cpdef int next_effect(self) noexcept:
        cdef EffectRow *row
        if self.core.next_taken == self.core.n_taken:
            return 0
        row = self.core.taken + self.core.next_taken
        self.core.next_taken += 1
        self.effect_id = row.id
        self.effect_a = row.a
        self.effect_b = row.b
        return <int> row.kind

    def drain_array(self):
        end_turn(&self.core)
        return effects_as_table(&self.core)

    # ---- questions -------------------------------------------------------------------------------------------------

    cpdef bint known(self, int64_t id):
        return find_row(&self.core, id) != NONE

    cpdef int state(self, int64_t id) except -1:
        return self.core.tasks[self.row_of(id)].state

    cpdef int flags(self, int64_t id) except -1:
        return self.core.tasks[self.row_of(id)].flags

    cpdef int64_t run(self, int64_t id) except -1:
        return self.core.tasks[self.row_of(id)].run

    cpdef int worker(self, int64_t id) except? -1:
        return self.core.tasks[self.row_of(id)].worker

    cpdef int64_t nbytes(self, int64_t id) except? -1:
        return self.core.tasks[self.row_of(id)].nbytes

    cpdef int wants(self, int64_t id) except -1:
        return self.core.tasks[self.row_of(id)].wants

    cpdef int needed(self, int64_t id) except -1:
        return self.core.tasks[self.row_of(id)].needed

    cpdef int unmet(self, int64_t id) except -1:
        return self.core.tasks[self.row_of(id)].unmet

    cpdef int64_t order(self, int64_t id) except? -1:
        return self.core.tasks[self.row_of(id)].order

    cpdef int64_t priority(self, int64_t id) except? -1:
        return self.core.tasks[self.row_of(id)].priority

    cpdef int64_t cause(self, int64_t id) except -1:
        return self.core.tasks[self.row_of(id)].cause

    cpdef list holders(self, int64_t id):
        return holders_of(&self.core, self.row_of(id))

    cpdef int n_holders(self, int64_t id) except -1:
        return n_holders_of(&self.core, self.row_of(id))

    cpdef bint holds(self, int worker, int64_t id) except -1:
        return find_replica(&self.core, self.row_of(id), worker) != NONE

    cpdef list dependencies(self, int64_t id):
        return dependencies_of(&self.core, self.row_of(id))

    cpdef list dependents(self, int64_t id):
        return dependents_of(&self.core, self.row_of(id))

    def tasks(self):
        cdef int64_t row
        cdef Core *core = &self.core
        return [id_of(core, <int32_t> row) for row in range(core.n_rows) if core.tasks[row].state != S_FREE]

    # ---- counts ----------------------------------------------------------------------------------------------------

    @property
    def n_tasks(self):
        return self.core.n_rows - self.core.counts[S_FREE]

    @property
    def n_ready(self):
        return self.core.counts[S_READY]

    @property
    def n_workers(self):
        return self.core.n_alive

    @property
    def n_effects(self):
        return self.core.n_effects

    @property
    def idle_slots(self):
        return self.core.idle_slots

    @property
    def stale(self):
        return self.core.stale

    def count(self, int state):
        if not 0 <= state < N_STATES:
            raise ValueError(f"there is no state {state}")
        return self.core.counts[state]

    # ---- views -----------------------------------------------------------------------------------------------------

    cdef object column(self, void *first, Py_ssize_t itemsize, const char *format):
        """One field of every row; `first` lies in the first row."""
        return memoryview(column(self.rows, first, self.core.n_rows, sizeof(Task), itemsize, format))

    @property
    def task_state(self):
        return self.column(&self.core.tasks.state, 1, b"B")

    @property
    def task_flags(self):
        return self.column(&self.core.tasks.flags, 1, b"B")

    @property
    def task_generation(self):
        return self.column(&self.core.tasks.generation, 4, b"I")

    @property
    def task_run(self):
        return self.column(&self.core.tasks.run, 4, b"I")

    @property
    def task_worker(self):
        return self.column(&self.core.tasks.worker, 4, b"i")

    @property
    def task_wants(self):
        return self.column(&self.core.tasks.wants, 4, b"i")

    @property
    def task_needed(self):
        return self.column(&self.core.tasks.needed, 4, b"i")

    @property
    def task_unmet(self):
        return self.column(&self.core.tasks.unmet, 4, b"i")

    @property
    def task_priority(self):
        return self.column(&self.core.tasks.priority, 8, b"q")

    @property
    def task_order(self):
        return self.column(&self.core.tasks.order, 8, b"q")

    @property
    def task_nbytes(self):
        return self.column(&self.core.tasks.nbytes, 8, b"q")

    def check(self):
        check_core(&self.core)
