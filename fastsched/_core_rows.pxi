"""Rows and what hangs on them: ids, edges, replicas, row lists, growth of C memory, the effect queue.

No decisions here.
"""

cdef int grow(void **data, int64_t *room, int64_t need, size_t size) except -1 nogil:
    """Make room for `need` records of `size` bytes, by doubling."""
    cdef int64_t wanted = max(room[0] * 2, 16)
    cdef void *moved
    while wanted < need:
        wanted *= 2
    moved = realloc(data[0], wanted * size)
    if moved == NULL:
        with gil:
            raise MemoryError("the scheduling core cannot grow")
    data[0] = moved
    room[0] = wanted
    return 0


cdef inline int push(RowStack *stack, int32_t row) except -1 nogil:
    if stack.n == stack.room:
        grow(<void **> &stack.rows, &stack.room, stack.n + 1, sizeof(int32_t))
    stack.rows[stack.n] = row
    stack.n += 1
    return 0


cdef inline int32_t pop(RowStack *stack) noexcept nogil:
    stack.n -= 1
    return stack.rows[stack.n]


cdef inline int effect(Core *core, int64_t kind, int64_t id, int64_t a, int64_t b) except -1 nogil:
    cdef EffectRow *row
    if core.n_effects == core.effect_room:
        grow(<void **> &core.effects, &core.effect_room, core.n_effects + 1, sizeof(EffectRow))
    row = core.effects + core.n_effects
    row.kind = kind
    row.id = id
    row.a = a
    row.b = b
    core.n_effects += 1
    return 0


cdef void free_memory(Core *core) noexcept nogil:
    """All but the task rows: a Block owns those."""
    cdef int32_t w
    for w in range(core.n_workers):
        free(core.workers[w].own.heap)
        free(core.workers[w].own.lane)
    free(core.workers)
    free(core.loads)
    free(core.edges)
    free(core.replicas)
    free(core.ready.heap)
    free(core.ready.lane)
    free(core.effects)
    free(core.taken)
    free(core.resting.rows)
    free(core.young.rows)
    free(core.gone_workers.rows)
    free(core.free_workers.rows)
    free(core.watched.rows)
    free(core.lookers.rows)
    free(core.to_activate.rows)
    free(core.to_release.rows)
    free(core.failing.rows)
    free(core.recalled.rows)
    free(core.candidates.rows)
    free(core.lost.rows)
    free(core.inputs.rows)


# ---- rows ----------------------------------------------------------------------------------------------------------

cdef inline int64_t id_of(Core *core, int32_t row) noexcept nogil:
    return (<int64_t> core.tasks[row].generation << 32) | row


cdef inline int32_t find_row(Core *core, int64_t id) noexcept nogil:
    """The row of a live task, or NONE."""
    cdef int64_t row = <uint32_t> id  # the low half
    if id <= 0 or row >= core.n_rows:
        return NONE
    if core.tasks[row].generation != id >> 32 or core.tasks[row].state == S_FREE:
        return NONE
    return <int32_t> row


cdef inline void set_state(Core *core, int32_t row, uint8_t state) noexcept nogil:
    core.counts[core.tasks[row].state] -= 1
    core.counts[state] += 1
    core.tasks[row].state = state


cdef inline bint is_needed(Core *core, int32_t row) noexcept nogil:
    return core.tasks[row].wants > 0 or core.tasks[row].needed > 0


cdef inline bint is_active(Core *core, int32_t row) noexcept nogil:
    """Does this row need its inputs?"""
    cdef uint8_t state = core.tasks[row].state
    return (state == S_WAITING or state == S_READY or state == S_ASSIGNED) and not core.tasks[row].flags & F_EXTERNAL


cdef inline int32_t new_row(Core *core, int64_t priority, int64_t order, int32_t wants, int32_t only) noexcept nogil:
    """A RELEASED row without edges. The room for it was reserved."""
    cdef int32_t row = core.free_rows
    cdef Task *task
    if row != NONE:
        core.free_rows = core.tasks[row].next
        core.n_free_rows -= 1
        core.counts[S_FREE] -= 1
        task = core.tasks + row
    else:
        row = <int32_t> core.n_rows
        core.n_rows += 1
        task = core.tasks + row
        task.generation = core.first_generation
    task.seq = core.arrivals
    core.arrivals += 1
    task.priority = priority
    task.order = task.seq if order < 0 else order
    task.nbytes = 0
    task.cause = 0
    task.run = 0
    task.worker = NONE
    task.next = NONE
    task.prev = NONE
    task.wants = wants
    task.needed = 0
    task.unmet = 0
    task.dependencies = NONE
    task.dependents = NONE
    task.holders = NONE
    task.ready_at = NONE
    task.only = only
    task.state = S_RELEASED
    task.flags = 0
    core.counts[S_RELEASED] += 1
    return row


cdef inline void free_resting_rows(Core *core) noexcept nogil:
    """Rows that were recycled in the last turn may be used again: their FORGET has been seen."""
    cdef int32_t row
    # From the end, so that the row recycled first is used first: a new batch walks the rows of an old one in order.
    while core.resting.n:
        row = pop(&core.resting)
        core.tasks[row].next = core.free_rows
        core.free_rows = row
        core.n_free_rows += 1


# ---- lists of rows -------------------------------------------------------------------------------------------------

cdef inline void append_row(Core *core, RowList *rows, int32_t row) noexcept nogil:
    core.tasks[row].prev = rows.last
    core.tasks[row].next = NONE
    if rows.last == NONE:
        rows.first = row
    else:
        core.tasks[rows.last].next = row
    rows.last = row
    rows.n += 1


cdef inline void prepend_row(Core *core, RowList *rows, int32_t row) noexcept nogil:
    core.tasks[row].prev = NONE
    core.tasks[row].next = rows.first
    if rows.first == NONE:
        rows.last = row
    else:
        core.tasks[rows.first].prev = row
    rows.first = row
    rows.n += 1


cdef inline void unlink_row(Core *core, RowList *rows, int32_t row) noexcept nogil:
    cdef Task *task = core.tasks + row
    if task.prev == NONE:
        rows.first = task.next
    else:
        core.tasks[task.prev].next = task.next
    if task.next == NONE:
        rows.last = task.prev
    else:
        core.tasks[task.next].prev = task.prev
    task.prev = NONE
    task.next = NONE
    rows.n -= 1


# ---- edges ---------------------------------------------------------------------------------------------------------

cdef inline int reserve_edges(Core *core, int64_t n) except -1 nogil:
    if core.n_edges + n > core.edge_room:
        if core.n_edges + n > MOST_ROWS:
            with gil:
                raise MemoryError("too many edges for the scheduling core")
        grow(<void **> &core.edges, &core.edge_room, core.n_edges + n, sizeof(Edge))
    return 0


cdef inline void add_edge(Core *core, int32_t dependency, int32_t dependent) noexcept nogil:
    """The room for it was reserved. Counts the dependency as unmet, if it is."""
    cdef int32_t e = core.free_edges
    cdef Edge *edge
    cdef Task *above = core.tasks + dependency
    cdef Task *below = core.tasks + dependent
    if e != NONE:
        edge = core.edges + e
        core.free_edges = edge.next_dependency
    else:
        e = <int32_t> core.n_edges
        core.n_edges += 1
        edge = core.edges + e
    edge.dependency = dependency
    edge.dependent = dependent
    edge.next_dependency = below.dependencies
    below.dependencies = e
    edge.prev_dependent = NONE
    edge.next_dependent = above.dependents
    if above.dependents != NONE:
        core.edges[above.dependents].prev_dependent = e
    above.dependents = e
    if above.state != S_MEMORY:
        below.unmet += 1


cdef inline void remove_edge(Core *core, int32_t e) noexcept nogil:
    """Take it out of the dependency's list and free it. The dependent's list dies as a whole, with its row."""
    cdef Edge *edge = core.edges + e
    if edge.prev_dependent == NONE:
        core.tasks[edge.dependency].dependents = edge.next_dependent
    else:
        core.edges[edge.prev_dependent].next_dependent = edge.next_dependent
    if edge.next_dependent != NONE:
        core.edges[edge.next_dependent].prev_dependent = edge.prev_dependent
    edge.next_dependency = core.free_edges
    core.free_edges = e


# ---- replicas ------------------------------------------------------------------------------------------------------

cdef inline int32_t find_replica(Core *core, int32_t row, int32_t worker) noexcept nogil:
    """The replica of this row on that worker, or NONE. Linear in the row's replicas: few, but for broadcast data."""
    cdef int32_t r = core.tasks[row].holders
    while r != NONE and core.replicas[r].worker != worker:
        r = core.replicas[r].next_of_task
    return r


cdef inline int add_replica(Core *core, int32_t row, int32_t worker) except -1 nogil:
    cdef int32_t r = core.free_replicas
    cdef Replica *replica
    cdef Task *task = core.tasks + row
    cdef Worker *holder = core.workers + worker
    assert holder.alive and find_replica(core, row, worker) == NONE
    if r != NONE:
        replica = core.replicas + r
        core.free_replicas = replica.next_of_task
    else:
        if core.n_replicas == core.replica_room:
            grow(<void **> &core.replicas, &core.replica_room, core.n_replicas + 1, sizeof(Replica))
        r = <int32_t> core.n_replicas
        core.n_replicas += 1
        replica = core.replicas + r
    replica.task = row
    replica.worker = worker
    replica.prev_of_task = NONE
    replica.next_of_task = task.holders
    if task.holders != NONE:
        core.replicas[task.holders].prev_of_task = r
    task.holders = r
    replica.prev_of_worker = NONE
    replica.next_of_worker = holder.replicas
    if holder.replicas != NONE:
        core.replicas[holder.replicas].prev_of_worker = r
    holder.replicas = r
    holder.n_replicas += 1
    return 0


cdef inline void remove_replica(Core *core, int32_t r) noexcept nogil:
    cdef Replica *replica = core.replicas + r
    cdef Worker *holder = core.workers + replica.worker
    if replica.prev_of_task == NONE:
        core.tasks[replica.task].holders = replica.next_of_task
    else:
        core.replicas[replica.prev_of_task].next_of_task = replica.next_of_task
    if replica.next_of_task != NONE:
        core.replicas[replica.next_of_task].prev_of_task = replica.prev_of_task
    if replica.prev_of_worker == NONE:
        holder.replicas = replica.next_of_worker
    else:
        core.replicas[replica.prev_of_worker].next_of_worker = replica.next_of_worker
    if replica.next_of_worker != NONE:
        core.replicas[replica.next_of_worker].prev_of_worker = replica.prev_of_worker
    holder.n_replicas -= 1
    replica.next_of_task = core.free_replicas
    core.free_replicas = r
