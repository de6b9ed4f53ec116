"""Who runs what where: the part of a drain that decides.

Also secede and rejoin, because rejoiners and ready tasks compete for slots.
"""

cdef inline bint has_free_slot(Worker *worker) noexcept nogil:
    return occupancy_of(worker) < worker.slots


cdef inline bint own_goes_first(Core *core, Worker *worker) noexcept nogil:
    """Is the worker's own first task before the first of the common queue? (It has one.)"""
    return core.ready.n == 0 or goes_before(core, first_item(core, &worker.own), first_item(core, &core.ready))


cdef inline int place(Core *core, int32_t row, int32_t w) except -1 nogil:
    assert has_room(core.workers + w)
    assign(core, row, w)
    core.workers[w].rejoins = 0
    return effect(core, E_ASSIGN, id_of(core, row), w, core.tasks[row].run)


cdef int32_t biggest_holder(Core *core, int32_t row, int64_t *most, int32_t home) noexcept nogil:
    """The open worker that holds the most bytes of the row's inputs, or NONE.

    Of equals: `home` (NONE: no preference), else the least loaded. Looks at a bounded number of inputs and holders.
    """
    cdef int32_t holders[LOOK_AT_INPUTS * LOOK_AT_HOLDERS]
    cdef int64_t nbytes[LOOK_AT_INPUTS * LOOK_AT_HOLDERS]
    cdef int n = 0, inputs = 0, looked, i, best = NONE
    cdef int32_t e = core.tasks[row].dependencies
    cdef int32_t r, w, above
    while e != NONE and inputs < LOOK_AT_INPUTS:
        above = core.edges[e].dependency
        r = core.tasks[above].holders
        looked = 0
        while r != NONE and looked < LOOK_AT_HOLDERS:
            w = core.replicas[r].worker
            i = 0
            while i < n and holders[i] != w:
                i += 1
            if i == n:
                holders[n] = w
                nbytes[n] = 0
                n += 1
            nbytes[i] += core.tasks[above].nbytes
            r = core.replicas[r].next_of_task
            looked += 1
        e = core.edges[e].next_dependency
        inputs += 1
    for i in range(n):
        if not core.workers[holders[i]].open or core.workers[holders[i]].slots == 0:
            continue
        if best == NONE or nbytes[i] > nbytes[best] or (
                nbytes[i] == nbytes[best] and holders[best] != home and (
                    holders[i] == home or less_loaded(core, holders[i], holders[best]))):
            best = i
    if best == NONE:
        return NONE
    most[0] = nbytes[best]
    return holders[best]


cdef inline bint follows_inputs_to(Core *core, int32_t row, int32_t w) noexcept nogil:
    """Is so much of its inputs there that it goes there however loaded the worker is, if there is room?

    Also if another worker has as much: it was not sent there when this one was.
    """
    cdef int64_t nbytes = 0
    return (core.tasks[row].dependencies != NONE and biggest_holder(core, row, &nbytes, w) == w
            and nbytes >= core.locality_bytes)


cdef inline int32_t choose_worker(Core *core, int32_t row) noexcept nogil:
    """Where its inputs are, if that costs no waiting or saves much copying; else the least loaded.

    There is a worker with room.
    """
    cdef int32_t least = core.loads[0]
    cdef int32_t home
    cdef int64_t nbytes = 0
    if core.n_loads == 1 or core.tasks[row].dependencies == NONE:
        return least
    home = biggest_holder(core, row, &nbytes, NONE)
    if home == NONE or home == least or not has_room(core.workers + home):
        return least
    if nbytes >= core.locality_bytes or has_free_slot(core.workers + home) or excess_load(core, home, least) <= 0:
        return home
    return least


cdef inline bint ready_task_is_due(Core *core, Worker *worker) noexcept nogil:
    """Were there so many rejoins in a row that a ready task goes first? Only if there is one that may."""
    return worker.rejoins >= REJOINS_IN_A_ROW and has_room(worker) and (core.ready.n > 0 or worker.own.n > 0)


cdef inline int lend_slot(Core *core, int32_t row) except -1 nogil:
    """An ASSIGNED row holds no slot from now on."""
    cdef int32_t w = core.tasks[row].worker
    core.tasks[row].flags |= F_SECEDED
    core.workers[w].seceded += 1
    return worker_changed(core, w)


cdef inline int give_slot(Core *core, int32_t row) except -1 nogil:
    """A SECEDED row holds a slot again. It is an old task by now: never the first to be retracted."""
    cdef Task *task = core.tasks + row
    cdef Worker *worker = core.workers + task.worker
    if task.flags & F_REJOINING:
        leave_worker(core, row)
        prepend_row(core, &worker.assigned, row)
    task.flags &= ~(F_SECEDED | F_REJOINING)
    worker.seceded -= 1
    return worker_changed(core, task.worker)


cdef inline bint rejoin_row(Core *core, int32_t row) except -1 nogil:
    """A SECEDED row wants a slot: it has one at once, or waits in its worker's list."""
    cdef int32_t w = core.tasks[row].worker
    cdef Worker *worker = core.workers + w
    if worker.rejoining.n == 0 and has_free_slot(worker) and not ready_task_is_due(core, worker):
        worker.rejoins += 1
        give_slot(core, row)
        return True
    leave_worker(core, row)
    append_row(core, &worker.rejoining, row)
    core.tasks[row].flags |= F_REJOINING
    watch(core, w)
    return False


cdef int grant_rejoins(Core *core, int32_t w) except -1 nogil:
    """Rejoiners before ready tasks, FIFO; but after some in a row one ready task."""
    cdef Worker *worker = core.workers + w
    cdef int32_t row
    cdef bint own
    while worker.rejoining.n and has_free_slot(worker):
        if ready_task_is_due(core, worker):
            own = worker.own.n > 0 and own_goes_first(core, worker)
            place(core, first_item(core, &worker.own if own else &core.ready).row, w)
        else:
            row = worker.rejoining.first
            worker.rejoins += 1
            give_slot(core, row)
            effect(core, E_REJOIN, id_of(core, row), w, core.tasks[row].run)
    return 0


cdef int place_own(Core *core, int32_t w) except -1 nogil:
    """What may run only there, as far as there is room."""
    cdef Worker *worker = core.workers + w
    while worker.own.n and has_room(worker):
        place(core, first_item(core, &worker.own).row, w)
    return 0


cdef int place_ready(Core *core) except -1 nogil:
    """Empty the common queue, the first first, while any worker has room.

    A worker's own tasks take part by their keys.
    """
    cdef int32_t row, w
    while core.ready.n and core.n_loads:
        row = first_item(core, &core.ready).row
        w = choose_worker(core, row)
        if core.n_own and core.workers[w].own.n and own_goes_first(core, core.workers + w):
            row = first_item(core, &core.workers[w].own).row
        place(core, row, w)
    return 0
