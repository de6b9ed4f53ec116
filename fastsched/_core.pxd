# The schema page of the core: states, effects, the records with who may touch what, and every signature of the face.
#
# How it is laid out. `Core` is one plain C struct: tables (tasks, workers), pools (edges, replicas), queues (ready,
# effects).
# Free functions over `Core *` do the work, one concern per file, each using only what is above it:
#
#     _core_blocks.pxi       C memory that Python may look at
#     _core_rows.pxi         ids, task rows, edges, replicas, row lists, growth, the effect queue
#     _core_ready.pxi        the ready queue
#     _core_workers.pxi      occupancy, the heap of workers by load
#     _core_transitions.pxi  what happens to a row, and what follows for its neighbours
#     _core_placement.pxi    who runs what where; rejoin
#     _core_early.pxi        tasks placed before their inputs are in memory
#     _core_turn.pxi         the end of a turn
#     _core_batch.pxi        a batch of tasks, checked before anything is changed
#     _core_lists.pxi        answers that are lists
#     _core_check.pxi        every invariant, recomputed
#     _core_table.pxi        the transitions as data
#     _core.pyx              the face: verbs check ids, call one transition, settle
#
# "except -1" everywhere means: MemoryError only. Such an error leaves the core unusable; nothing else fails half-way.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

cdef enum:  # states of a row (State)
    S_FREE = 0
    S_RELEASED = 1
    S_WAITING = 2
    S_READY = 3
    S_ASSIGNED = 4
    S_MEMORY = 5
    S_ERRED = 6
    N_STATES = 7

cdef enum:  # flags of a row; EXTERNAL, SECEDED and EARLY are public
    F_EXTERNAL = 1   # cannot be computed here; its inputs, if any, are not needed for it
    F_SECEDED = 2    # ASSIGNED, holds no slot
    F_REJOINING = 4  # SECEDED, and in the rejoining list of its worker
    F_HANDED = 8     # EXTERNAL because it was handed over; take_back() undoes it
    F_YOUNG = 16     # added without wants in this turn; forgotten at the drain, not before
    F_EARLY = 32     # ASSIGNED before its inputs are in MEMORY: those that are not are ASSIGNED to the same worker
    F_AWAITED = 64   # ASSIGNED; a row was placed early because of it
    F_HELD = 128     # not forgotten, though nobody may need it and nothing depend on it

cdef enum:  # effects (Effect)
    E_ASSIGN = 1
    E_DROP = 2
    E_FREE = 3
    E_MEMORY = 4
    E_ERRED = 5
    E_LOST = 6
    E_FORGET = 7
    E_FETCH = 8
    E_REJOIN = 9

cdef enum:
    NONE = -1             # no row, edge, replica, worker
    ONLY_GONE = -2        # Task.only: the one worker that may run it was removed
    REJOINS_IN_A_ROW = 8  # then one ready task goes
    LOOK_AT_INPUTS = 8    # placement looks at so many inputs,
    LOOK_AT_HOLDERS = 4   # and so many holders of each
    INPUTS_EARLY = 16     # a task with more inputs is not placed before they are in memory
    MOST_ROWS = 0x7FFFFFFF  # and edges, wants, generations

cdef struct Task:
    # -- scheduling key: set when the row is added (or specified), then constant
    int64_t priority
    int64_t order
    int64_t seq              # arrival
    # -- value: written by enter_memory and fail_row
    int64_t nbytes
    int64_t cause            # ERRED: id at the root of the failure, else 0
    # -- identity
    uint32_t generation      # grows when the row is recycled
    # -- run: written by assign and detach
    uint32_t run             # grows at each assignment
    int32_t worker           # ASSIGNED: where, else NONE
    int32_t next             # ASSIGNED: in the worker's list; FREE: in the list of free rows
    int32_t prev
    # -- need: wants by the face, needed by need_inputs/unneed_inputs, unmet by enter_memory/leave_memory
    int32_t wants            # references from outside
    int32_t needed           # edges to dependents that are active
    int32_t unmet            # edges to dependencies that are not MEMORY
    # -- graph
    int32_t dependencies     # first edge
    int32_t dependents       # first edge
    int32_t holders          # first replica
    # -- queue
    int32_t ready_at         # READY: index in the heap, or -2 - index in the lane, of its ready queue
    int32_t only             # the one worker that may run it, NONE, ONLY_GONE
    uint8_t state
    uint8_t flags

cdef struct Edge:            # dependent needs dependency
    int32_t dependency
    int32_t dependent
    int32_t next_dependency  # of the same dependent; also the list of free edges
    int32_t next_dependent   # of the same dependency
    int32_t prev_dependent

cdef struct Replica:         # worker holds the value of task
    int32_t task
    int32_t worker
    int32_t next_of_task     # also the list of free replicas
    int32_t prev_of_task
    int32_t next_of_worker
    int32_t prev_of_worker

cdef struct RowList:         # through Task.next and Task.prev
    int32_t first
    int32_t last
    int32_t n

cdef struct RowStack:
    int32_t *rows
    int64_t n
    int64_t room

cdef struct ReadyItem:       # the key beside the row, so that sifting does not touch the rows
    int64_t priority
    int64_t order
    int32_t row

cdef struct ReadyQueue:      # see _core_ready.pxi
    int64_t n                # rows in the heap and in the lane
    ReadyItem *heap
    int64_t n_heap
    int64_t heap_room
    ReadyItem *lane          # sorted, from head to tail; row NONE where one was taken out of the middle
    int64_t head
    int64_t tail
    int64_t gaps
    int64_t lane_room

cdef struct Worker:
    # -- what the machine said
    int32_t slots
    int32_t limit
    int32_t lent             # reported by set_lent; negative: slots taken by what is not assigned
    bint open
    bint alive
    # -- who is here
    RowList assigned         # ASSIGNED rows, the oldest first
    RowList rejoining        # ASSIGNED rows that wait in rejoin(), FIFO
    int32_t seceded          # rows in either list that are SECEDED
    int32_t replicas         # first replica
    int32_t n_replicas
    # -- placement
    ReadyQueue own           # READY rows that may run only here
    int64_t n_only           # live rows that may run only here
    int32_t rejoins          # granted since the last ready task
    int32_t early            # so many rows may be EARLY here
    int32_t n_early          # so many are: they hold no slot and wait for none yet
    int32_t unlooked         # the first of `assigned` whose dependents were not looked at, or NONE
    int32_t load_at          # index in the heap of workers with room, or NONE
    int32_t idle             # its part of Core.idle_slots
    bint watched             # in Core.watched
    bint looking             # in Core.lookers

cdef struct EffectRow:
    int64_t kind
    int64_t id
    int64_t a
    int64_t b

cdef struct Core:
    # -- tasks
    Task *tasks
    int64_t n_rows           # rows ever used
    int64_t room             # rows allocated
    int32_t free_rows        # list through Task.next
    int64_t n_free_rows
    RowStack resting         # recycled in this turn, free after the drain
    RowStack young           # F_YOUNG rows (and former ones)
    int64_t counts[7]        # rows by state
    int64_t arrivals         # the next seq
    # -- edges and replicas
    Edge *edges
    int64_t n_edges
    int64_t edge_room
    int32_t free_edges
    Replica *replicas
    int64_t n_replicas
    int64_t replica_room
    int32_t free_replicas
    # -- workers
    Worker *workers
    int32_t n_workers        # rows ever used
    int32_t n_alive
    int64_t worker_room
    RowStack gone_workers    # removed in this turn, reused after the drain
    RowStack free_workers
    RowStack watched         # workers with own or rejoining tasks that changed in this turn
    RowStack lookers         # workers with room for early rows and unlooked ones
    int32_t *loads           # heap of workers with room, the least loaded on top
    int32_t n_loads
    int64_t idle_slots
    int64_t n_own            # rows in all `own` queues
    # -- queues
    ReadyQueue ready
    EffectRow *effects
    int64_t n_effects
    int64_t effect_room
    EffectRow *taken         # the effects of the turn that ended, being looked at; new ones go to `effects`
    int64_t n_taken
    int64_t next_taken
    int64_t taken_room
    RowStack to_activate     # rows that have become needed  } emptied by settle
    RowStack to_release      # rows that may not be needed   } before the verb returns
    RowStack failing         # rows whose failure is to be passed on, used within fail_row
    RowStack recalled        # early rows that lost what they were placed for, used within recall
    RowStack candidates      # WAITING rows that may be placed early at the end of the turn
    RowStack lost            # rows that lost their last replica, used within lose_worker
    RowStack inputs          # rows of the dependencies of the task that is being added
    # -- settings and counters
    int64_t locality_bytes
    bint early               # some worker may have, or had, early rows
    uint32_t first_generation  # of new rows
    uint32_t last_generation  # a row that had it is retired
    int64_t stale

cdef class Block:
    """C memory, freed with the last view of it."""
    cdef void *data

    @staticmethod
    cdef Block adopt(void *data)

cdef class SchedulerCore:
    cdef Core core
    cdef Block rows          # owns core.tasks
    cdef readonly int64_t effect_id  # what `next_effect` has found
    cdef readonly int64_t effect_a
    cdef readonly int64_t effect_b

    # -- workers
    cpdef int add_worker(self, int slots, int limit=*) except -1
    cpdef int remove_worker(self, int worker) except -1
    cpdef int set_slots(self, int worker, int slots) except -1
    cpdef int set_limit(self, int worker, int limit) except -1
    cpdef int set_open(self, int worker, bint open) except -1
    cpdef int set_lent(self, int worker, int n) except -1
    cpdef int set_early(self, int worker, int n) except -1
    cpdef list workers(self)
    cpdef list assigned_to(self, int worker)
    cpdef int n_assigned(self, int worker) except -1
    cpdef int slots(self, int worker) except -1
    cpdef int limit(self, int worker) except -1
    cpdef bint is_open(self, int worker) except -1
    cpdef int occupancy(self, int worker) except -1
    cpdef int free_slots(self, int worker) except? -1
    cpdef int lent(self, int worker) except? -1
    cpdef int n_rejoining(self, int worker) except -1
    cpdef int n_early(self, int worker) except -1
    cpdef int n_replicas(self, int worker) except -1
    cpdef list replicas_of(self, int worker)
    cpdef list retractable(self, int worker, int n)

    # -- tasks
    cpdef int64_t add_task(self, object deps=*, int64_t priority=*, int64_t order=*, int wants=*, int only=*) except -1
    cpdef int64_t add_external(self, int wants=*, int64_t nbytes=*) except -1
    cpdef int want(self, int64_t id, int n=*) except -1
    cpdef int unwant(self, int64_t id, int n=*) except -1
    cpdef int hold(self, int64_t id) except -1
    cpdef int let_go(self, int64_t id) except -1
    cpdef bint finish(self, int64_t id, int64_t run, int worker, int64_t nbytes) except -1
    cpdef bint fail(self, int64_t id, int64_t run, int worker) except -1
    cpdef bint retry(self, int64_t id, int64_t run, int worker) except -1
    cpdef bint give_back(self, int64_t id, int64_t run, int worker) except -1
    cpdef bint err(self, int64_t id) except -1
    cpdef bint replica(self, int64_t id, int worker, int64_t nbytes) except -1
    cpdef bint drop_replica(self, int64_t id, int worker) except -1
    cpdef bint secede(self, int64_t id) except -1
    cpdef bint rejoin(self, int64_t id) except -1
    cpdef bint overdraw(self, int64_t id) except -1
    cpdef int64_t claim(self, int64_t id, int worker) except -1
    cpdef bint publish(self, int64_t id, int worker, int64_t nbytes, int wants=*) except -1
    cpdef bint hand_over(self, int64_t id) except -1
    cpdef bint take_back(self, int64_t id) except -1
    cpdef bint specify(
        self, int64_t id, object deps=*, int64_t priority=*, int64_t order=*, int worker=*, int64_t nbytes=*
    ) except -1
    cpdef list ready(self, int64_t n=*)

    # -- the turn
    cpdef list drain(self)
    cpdef int64_t end_turn(self) except -1
    cpdef int next_effect(self) noexcept

    # -- questions
    cpdef bint known(self, int64_t id)
    cpdef int state(self, int64_t id) except -1
    cpdef int flags(self, int64_t id) except -1
    cpdef int64_t run(self, int64_t id) except -1
    cpdef int worker(self, int64_t id) except? -1
    cpdef int64_t nbytes(self, int64_t id) except? -1
    cpdef int wants(self, int64_t id) except -1
    cpdef int needed(self, int64_t id) except -1
    cpdef int unmet(self, int64_t id) except -1
    cpdef int64_t order(self, int64_t id) except? -1
    cpdef int64_t priority(self, int64_t id) except? -1
    cpdef int64_t cause(self, int64_t id) except -1
    cpdef list holders(self, int64_t id)
    cpdef int n_holders(self, int64_t id) except -1
    cpdef bint holds(self, int worker, int64_t id) except -1
    cpdef list dependencies(self, int64_t id)
    cpdef list dependents(self, int64_t id)

    # -- private to the face
    cdef int32_t row_of(self, int64_t id) except -1
    cdef int32_t reported(self, int64_t id) noexcept
    cdef int32_t assigned_row(self, int64_t id, int64_t run, int worker) noexcept
    cdef Worker *worker_of(self, int worker) except NULL
    cdef int32_t seceded_row(self, int64_t id) noexcept
    cdef int reserve_rows(self, int64_t n) except -1
    cdef int start(self, int32_t row) except -1
    cdef object column(self, void *first, Py_ssize_t itemsize, const char *format)
