"""Workers: occupancy, idle slots, and the heap of workers with room, the least loaded on top.

Load is occupancy / slots.
"""

cdef inline int32_t occupancy_of(Worker *worker) noexcept nogil:
    """Tasks that hold a slot, or wait there for one. A report of lent slots may be older than the tasks it counts.

    Early ones do not count: they can use no slot before their inputs are there, and a chain of them uses one.
    """
    return max(0, worker.assigned.n + worker.rejoining.n - worker.seceded - worker.n_early - worker.lent)


cdef inline bint has_room(Worker *worker) noexcept nogil:
    return worker.alive and worker.open and worker.slots > 0 and occupancy_of(worker) < worker.limit


cdef inline bint has_room_for_early(Worker *worker) noexcept nogil:
    return worker.n_early < worker.early and worker.alive and worker.open and worker.slots > 0


cdef inline int64_t excess_load(Core *core, int32_t a, int32_t b) noexcept nogil:
    """Below, at or above 0, as the load of `a` is to that of `b`. Compared as fractions, without dividing."""
    cdef Worker *first = core.workers + a
    cdef Worker *second = core.workers + b
    return <int64_t> occupancy_of(first) * second.slots - <int64_t> occupancy_of(second) * first.slots


cdef inline bint less_loaded(Core *core, int32_t a, int32_t b) noexcept nogil:
    """A total order: equal loads go by row."""
    cdef int64_t excess = excess_load(core, a, b)
    return excess < 0 or (excess == 0 and a < b)


cdef inline void put_load(Core *core, int32_t at, int32_t w) noexcept nogil:
    core.loads[at] = w
    core.workers[w].load_at = at


cdef inline void settle_load(Core *core, int32_t at) noexcept nogil:
    """Move the worker at this place of the heap to where its load belongs."""
    cdef int32_t w = core.loads[at]
    cdef int32_t other
    while at > 0:
        other = (at - 1) >> 1
        if not less_loaded(core, w, core.loads[other]):
            break
        put_load(core, at, core.loads[other])
        at = other
    while True:
        other = 2 * at + 1
        if other >= core.n_loads:
            break
        if other + 1 < core.n_loads and less_loaded(core, core.loads[other + 1], core.loads[other]):
            other += 1
        if not less_loaded(core, core.loads[other], w):
            break
        put_load(core, at, core.loads[other])
        at = other
    put_load(core, at, w)


cdef inline int watch(Core *core, int32_t w) except -1 nogil:
    """Let the next drain look at this worker's own and rejoining tasks."""
    if not core.workers[w].watched:
        core.workers[w].watched = True
        push(&core.watched, w)
    return 0


cdef inline int worker_changed(Core *core, int32_t w) except -1 nogil:
    """Call after anything that its occupancy or its being a candidate depends on."""
    cdef Worker *worker = core.workers + w
    cdef int32_t at = worker.load_at
    cdef int32_t idle = max(0, worker.slots - occupancy_of(worker)) if worker.alive and worker.open else 0
    assert 0 <= worker.seceded + worker.n_early <= worker.assigned.n + worker.rejoining.n
    core.idle_slots += idle - worker.idle
    worker.idle = idle
    if has_room(worker):
        if at == NONE:
            at = core.n_loads
            core.n_loads += 1
            put_load(core, at, w)
        settle_load(core, at)
    elif at != NONE:
        worker.load_at = NONE
        core.n_loads -= 1
        if at < core.n_loads:
            put_load(core, at, core.loads[core.n_loads])
            settle_load(core, at)
    if worker.own.n or worker.rejoining.n:
        watch(core, w)
    if worker.unlooked != NONE and not worker.looking and has_room_for_early(worker):
        worker.looking = True
        push(&core.lookers, w)
    return 0


cdef int32_t new_worker(Core *core) except -1 nogil:
    """A row for a worker: a free one, or a new one."""
    cdef int32_t w
    cdef ReadyQueue own
    cdef int64_t room = core.worker_room
    cdef Worker *worker
    if core.free_workers.n:
        w = pop(&core.free_workers)
    else:
        w = core.n_workers
        if w == room:
            grow(<void **> &core.workers, &core.worker_room, w + 1, sizeof(Worker))
            grow(<void **> &core.loads, &room, core.worker_room, sizeof(int32_t))
        core.n_workers += 1
        memset(core.workers + w, 0, sizeof(Worker))
    worker = core.workers + w
    own = worker.own  # empty, but it has memory
    memset(worker, 0, sizeof(Worker))
    worker.own = own
    worker.assigned.first = worker.assigned.last = NONE
    worker.rejoining.first = worker.rejoining.last = NONE
    worker.replicas = NONE
    worker.load_at = NONE
    worker.unlooked = NONE
    worker.alive = True
    worker.open = True
    core.n_alive += 1
    return w
