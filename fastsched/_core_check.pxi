"""Every invariant of the core, recomputed from scratch. For tests, and for machines' own check().

In every build: it raises, it does not assert.
"""

cdef int demand(bint holds, str text, int64_t row=-1, int64_t other=-1) except -1:
    if not holds:
        raise AssertionError(f"core: {text} (row {row}, {other})" if row >= 0 else f"core: {text}")
    return 0


cdef int check_core(Core *core) except -1:
    """The order matters: later checks trust what earlier ones established."""
    demand(core.to_activate.n == 0 and core.to_release.n == 0, "a verb did not settle")
    demand(core.failing.n == 0 and core.lost.n == 0 and core.recalled.n == 0, "a transition left work behind")
    demand(core.n_rows <= core.room, "more rows than memory")
    check_counts(core)
    check_edges(core)
    check_replicas(core)
    check_states(core)
    check_queues(core)
    return check_workers(core)


cdef int check_counts(Core *core) except -1:
    cdef int64_t counts[N_STATES]
    cdef int64_t row, i, n_free = 0, retired = 0
    cdef int32_t at = core.free_rows
    memset(counts, 0, sizeof(counts))
    for row in range(core.n_rows):
        demand(core.tasks[row].state < N_STATES, "no such state", row)
        demand(core.first_generation <= core.tasks[row].generation <= core.last_generation, "generation out of range", row)
        counts[core.tasks[row].state] += 1
    for i in range(N_STATES):
        demand(counts[i] == core.counts[i], "the count of a state is wrong", i, core.counts[i])
    while at != NONE:
        demand(core.tasks[at].state == S_FREE, "a row in use is in the list of free rows", at)
        n_free += 1
        demand(n_free <= core.n_free_rows, "the number of free rows is wrong", n_free, core.n_free_rows)
        retired -= core.tasks[at].generation == core.last_generation
        at = core.tasks[at].next
    demand(n_free == core.n_free_rows, "the number of free rows is wrong", n_free, core.n_free_rows)
    for i in range(core.resting.n):
        at = core.resting.rows[i]
        demand(core.tasks[at].state == S_FREE, "a row in use is resting", at)
        retired -= core.tasks[at].generation == core.last_generation
    for row in range(core.n_rows):  # FREE in its last generation, but in neither list
        retired += core.tasks[row].state == S_FREE and core.tasks[row].generation == core.last_generation
    return demand(n_free + core.resting.n + retired == counts[S_FREE], "a free row is in no list, or in two", n_free)


cdef int check_edges(Core *core) except -1:
    """Both lists of every row, and the counters that are kept over them."""
    cdef int64_t row, n_edges = 0, n_back = 0, needed, unmet
    cdef int32_t e, above, before
    for row in range(core.n_rows):
        if core.tasks[row].state == S_FREE:
            demand(core.tasks[row].dependencies == NONE, "a free row has dependencies", row)
            demand(core.tasks[row].dependents == NONE, "a free row has dependents", row)
            continue
        unmet = 0
        e = core.tasks[row].dependencies
        while e != NONE:
            demand(core.edges[e].dependent == row, "an edge is in the dependencies of another row", row, e)
            above = core.edges[e].dependency
            demand(core.tasks[above].state != S_FREE, "a dependency is a free row", row, above)
            unmet += core.tasks[above].state != S_MEMORY
            n_edges += 1
            demand(n_edges <= core.n_edges, "a list of dependencies has a cycle", row)
            e = core.edges[e].next_dependency
        demand(unmet == core.tasks[row].unmet, "unmet is wrong", row, unmet)
        needed = 0
        before = NONE
        e = core.tasks[row].dependents
        while e != NONE:
            demand(core.edges[e].dependency == row, "an edge is in the dependents of another row", row, e)
            demand(core.edges[e].prev_dependent == before, "a list of dependents is torn", row, e)
            needed += is_active(core, core.edges[e].dependent)
            n_back += 1
            demand(n_back <= core.n_edges, "a list of dependents has a cycle", row)
            before = e
            e = core.edges[e].next_dependent
        demand(needed == core.tasks[row].needed, "needed is wrong", row, needed)
    demand(n_edges == n_back, "an edge is in one list only")
    e = core.free_edges
    while e != NONE:
        n_edges += 1
        demand(n_edges <= core.n_edges, "the list of free edges has a cycle")
        e = core.edges[e].next_dependency
    return demand(n_edges == core.n_edges, "an edge was leaked")


cdef int check_replicas(Core *core) except -1:
    cdef int64_t row, n_replicas = 0, n_back = 0, n_here
    cdef int32_t r, w, before
    for row in range(core.n_rows):
        demand((core.tasks[row].holders != NONE) == (core.tasks[row].state == S_MEMORY),
               "MEMORY without a holder, or a holder without", row)
        before = NONE
        r = core.tasks[row].holders
        while r != NONE:
            demand(core.replicas[r].task == row, "a replica is in the list of another row", row, r)
            demand(core.replicas[r].prev_of_task == before, "a list of holders is torn", row, r)
            w = core.replicas[r].worker
            demand(core.workers[w].alive, "a removed worker holds a value", row, w)
            demand(find_replica(core, <int32_t> row, w) == r, "a worker holds a value twice", row, w)
            n_replicas += 1
            before = r
            r = core.replicas[r].next_of_task
    for w in range(core.n_workers):
        n_here = 0
        before = NONE
        r = core.workers[w].replicas if core.workers[w].alive else NONE
        while r != NONE:
            demand(core.replicas[r].worker == w, "a replica is in the list of another worker", w, r)
            demand(core.replicas[r].prev_of_worker == before, "a worker's list of replicas is torn", w, r)
            n_here += 1
            demand(n_here <= core.n_replicas, "a worker's list of replicas has a cycle", w)
            before = r
            r = core.replicas[r].next_of_worker
        if core.workers[w].alive:
            demand(n_here == core.workers[w].n_replicas, "a worker's number of replicas is wrong", w, n_here)
        n_back += n_here
    demand(n_replicas == n_back, "a replica is in one list only", n_replicas, n_back)
    r = core.free_replicas
    while r != NONE:
        n_replicas += 1
        demand(n_replicas <= core.n_replicas, "the list of free replicas has a cycle")
        r = core.replicas[r].next_of_task
    return demand(n_replicas == core.n_replicas, "a replica was leaked")


cdef int check_states(Core *core) except -1:
    """What _core_transitions.pxi promises of each row."""
    cdef int64_t row
    cdef Task *task
    cdef bint computable
    for row in range(core.n_rows):
        task = core.tasks + row
        if task.state == S_FREE:
            continue
        computable = not task.flags & F_EXTERNAL
        demand(task.wants >= 0, "wants below 0", row, task.wants)
        demand((task.state == S_RELEASED) != is_needed(core, <int32_t> row),
               "RELEASED but needed, or the other way round", row)
        demand(task.state != S_RELEASED or task.dependents != NONE or task.flags & (F_YOUNG | F_HELD),
               "a row should have been forgotten", row)
        demand(task.state != S_READY or (task.unmet == 0 and computable), "READY without its inputs", row)
        demand(task.state != S_WAITING or task.unmet > 0 or not computable, "WAITING for nothing", row)
        demand(task.state not in (S_WAITING, S_READY) or not computable or not failed_input(core, <int32_t> row),
               "waits for an input that erred", row)
        demand(task.state not in (S_WAITING, S_READY) or not computable or task.only != ONLY_GONE,
               "waits for a worker that is gone", row)
        demand((task.state == S_ERRED) == (task.cause != 0), "ERRED without cause, or a cause without", row)
        demand((task.state == S_READY) == (task.ready_at != NONE), "READY but not queued, or the other way round", row)
        demand((task.state == S_ASSIGNED) == (task.worker != NONE), "ASSIGNED to nobody, or the other way round", row)
        demand(task.state != S_ASSIGNED or computable, "an EXTERNAL row was ASSIGNED", row)
        demand(not task.flags & F_SECEDED or task.state == S_ASSIGNED, "SECEDED but not ASSIGNED", row)
        demand(not task.flags & F_REJOINING or task.flags & F_SECEDED, "rejoining but not SECEDED", row)
        demand(not task.flags & F_AWAITED or task.state == S_ASSIGNED, "awaited but not ASSIGNED", row)
        if task.flags & F_EARLY:
            check_early(core, <int32_t> row)
        demand(not task.flags & F_HANDED or not computable, "handed over but not EXTERNAL", row)
        demand(task.only < core.n_workers, "restricted to a worker that never was", row, task.only)
    return 0


cdef int check_early(Core *core, int32_t row) except -1:
    """What an early row waits for is on the desk of its worker."""
    cdef Task *task = core.tasks + row
    cdef Task *above
    cdef int32_t e = task.dependencies
    demand(task.state == S_ASSIGNED and not task.flags & F_SECEDED, "early but not ASSIGNED with a slot to come", row)
    demand(task.unmet > 0, "early, but its inputs are there", row)
    while e != NONE:
        above = core.tasks + core.edges[e].dependency
        if above.state != S_MEMORY:
            demand(above.state == S_ASSIGNED and above.worker == task.worker, "early at the wrong place", row, task.worker)
            demand((above.flags & F_AWAITED) != 0, "an input does not know that a row is early because of it", row)
        e = core.edges[e].next_dependency
    return 0


cdef int check_item(Core *core, ReadyItem *item, int64_t ready_at, int32_t only) except -1:
    """A row knows where it is queued, and its key there is its own."""
    cdef Task *task = core.tasks + item.row
    demand(task.ready_at == ready_at, "a queued row does not know its place", item.row, ready_at)
    demand(task.state == S_READY, "a row in a queue is not READY", item.row)
    demand((task.only if only != NONE else NONE) == only, "a row is in the wrong queue", item.row, only)
    return demand(item.priority == task.priority and item.order == task.order, "a key is stale", item.row)


cdef int check_queue(Core *core, ReadyQueue *queue, int32_t only) except -1:
    cdef int64_t at, queued, gaps = 0
    cdef ReadyItem *item
    cdef ReadyItem *before = NULL
    for at in range(queue.n_heap):
        item = queue.heap + at
        check_item(core, item, at, only)
        demand(at == 0 or goes_before(core, queue.heap + ((at - 1) >> 2), item),
               "the heap is out of order", item.row, at)
    demand(0 <= queue.head <= queue.tail <= queue.lane_room, "the lane has lost its bounds")
    for at in range(queue.head, queue.tail):
        item = queue.lane + at
        if item.row == NONE:
            gaps += 1
            demand(queue.head < at < queue.tail - 1, "the lane begins or ends with a gap")
            continue
        check_item(core, item, -2 - at, only)
        demand(before == NULL or goes_before(core, before, item), "the lane is out of order", item.row, at)
        before = item
    demand(gaps == queue.gaps, "the number of gaps in the lane is wrong", gaps, queue.gaps)
    queued = queue.n_heap + queue.tail - queue.head - gaps
    return demand(queue.n == queued, "the number of queued rows is wrong", queue.n, queued)


cdef int check_queues(Core *core) except -1:
    cdef int64_t n_own = 0
    cdef int32_t w
    check_queue(core, &core.ready, NONE)
    for w in range(core.n_workers):
        demand(core.workers[w].alive or core.workers[w].own.n == 0, "a removed worker has tasks of its own", w)
        check_queue(core, &core.workers[w].own, w)
        n_own += core.workers[w].own.n
    demand(n_own == core.n_own, "the number of tasks in own queues is wrong", n_own, core.n_own)
    return demand(core.ready.n + n_own == core.counts[S_READY], "a READY row is in no queue")


cdef int check_list(Core *core, RowList *rows, int32_t w, bint rejoining, uint8_t flag) except -1:
    """The rows of a worker's list; returns how many have the flag."""
    cdef int32_t row = rows.first, before = NONE
    cdef int n = 0, flagged = 0
    while row != NONE:
        demand(core.tasks[row].worker == w, "a row is in the list of another worker", row, w)
        demand(core.tasks[row].prev == before, "a worker's list of rows is torn", row, w)
        demand(((core.tasks[row].flags & F_REJOINING) != 0) == rejoining,
               "a rejoining row is in the wrong list", row, w)
        flagged += (core.tasks[row].flags & flag) != 0
        n += 1
        demand(n <= core.n_rows, "a worker's list of rows has a cycle", w)
        before = row
        row = core.tasks[row].next
    demand(rows.last == before and rows.n == n, "a worker's list of rows is torn", w)
    return flagged


cdef int check_unlooked(Core *core, int32_t w) except -1:
    """The first row whose dependents were not looked at is in the list, and the worker is known to have one."""
    cdef Worker *worker = core.workers + w
    cdef int32_t row = worker.assigned.first
    if worker.unlooked == NONE:
        return 0
    while row != NONE and row != worker.unlooked:
        row = core.tasks[row].next
    demand(row != NONE, "a worker would look at a row that it does not have", w, worker.unlooked)
    return demand(worker.looking or not has_room_for_early(worker), "a worker with room does not look", w)


cdef int check_workers(Core *core) except -1:
    cdef int32_t w, at, n_flagged
    cdef int64_t row, n_only, n_assigned = 0, idle = 0, n_room = 0, n_alive = 0
    cdef Worker *worker
    for w in range(core.n_workers):
        worker = core.workers + w
        if not worker.alive:
            demand(worker.load_at == NONE and worker.assigned.n == 0 and worker.rejoining.n == 0,
                   "a removed worker has tasks", w)
            continue
        n_alive += 1
        demand(0 <= worker.slots <= worker.limit, "limit below slots", w)
        n_flagged = check_list(core, &worker.assigned, w, False, F_SECEDED)
        n_flagged += check_list(core, &worker.rejoining, w, True, F_SECEDED)
        demand(n_flagged == worker.seceded, "the number of seceded tasks is wrong", w, n_flagged)
        n_flagged = check_list(core, &worker.assigned, w, False, F_EARLY)
        demand(n_flagged == worker.n_early, "the number of early tasks is wrong", w, n_flagged)
        check_unlooked(core, w)
        n_assigned += worker.assigned.n + worker.rejoining.n
        demand((worker.load_at != NONE) == has_room(worker), "in the heap without room, or the other way round", w)
        n_room += has_room(worker)
        idle += max(0, worker.slots - occupancy_of(worker)) if worker.open else 0
        n_only = 0
        for row in range(core.n_rows):
            n_only += core.tasks[row].state != S_FREE and core.tasks[row].only == w
        demand(n_only == worker.n_only, "the number of restricted tasks is wrong", w, n_only)
    demand(n_alive == core.n_alive, "the number of workers is wrong", n_alive)
    demand(n_assigned == core.counts[S_ASSIGNED], "an ASSIGNED row is in no worker's list", n_assigned)
    demand(idle == core.idle_slots, "the number of idle slots is wrong", idle, core.idle_slots)
    demand(n_room == core.n_loads, "the heap of workers is wrong", n_room, core.n_loads)
    for at in range(core.n_loads):
        w = core.loads[at]
        demand(core.workers[w].load_at == at, "a worker does not know its place in the heap", w)
        demand(at == 0 or not less_loaded(core, w, core.loads[(at - 1) >> 1]), "the heap of workers is out of order", w)
    return 0
