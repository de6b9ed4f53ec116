"""What happens to a row, and what follows for its neighbours.

Theory of operation. A value is *needed* while somebody outside wants it or an active dependent (WAITING, READY or
ASSIGNED, and to be computed here) waits for it. A transition changes one row and keeps the counters of its neighbours
right; a neighbour whose need changed is noted in one of two lists, and `settle` works them off. So no transition calls
itself through its neighbours, and a chain of a million rows needs no C stack. A row is looked at as it is by then: it
may be noted twice.

Activations go before releases. A release never leads to an activation, so each verb has two phases, and the states
that it ends with do not depend on the order within a phase: what is needed in the end is computed, and an error is
seen by all who need it before it is dropped.

After `settle`, for every row:

    RELEASED              <=>  not needed
    READY                 ==>  every input is in MEMORY; the row is in exactly one ready queue
    ASSIGNED, early       ==>  some input is not in MEMORY, and all those are ASSIGNED to the same worker
    WAITING, computable   ==>  some input is not in MEMORY, and none has ERRED
    MEMORY                <=>  some worker holds the value
    forgotten             <=>  RELEASED, without dependent rows (and neither held nor added in this turn)
"""

# ---- settling ------------------------------------------------------------------------------------------------------

cdef inline int settle(Core *core) except -1 nogil:
    """Every verb that changes a need ends with this.

    First in, first out: rows become READY in the order in which they came.
    """
    cdef int64_t i = 0
    cdef int32_t row
    while i < core.to_activate.n:
        row = core.to_activate.rows[i]
        i += 1
        if core.tasks[row].state == S_RELEASED and is_needed(core, row):
            activate(core, row)
    core.to_activate.n = 0
    i = 0
    while i < core.to_release.n:
        row = core.to_release.rows[i]
        i += 1
        if core.tasks[row].state != S_FREE and not is_needed(core, row):
            release(core, row)
    core.to_release.n = 0
    assert core.to_activate.n == 0
    return 0


# ---- need passes from a row to its inputs --------------------------------------------------------------------------

cdef inline int need_inputs(Core *core, int32_t row) except -1 nogil:
    cdef int32_t e = core.tasks[row].dependencies
    cdef int32_t above
    while e != NONE:
        above = core.edges[e].dependency
        core.tasks[above].needed += 1
        if core.tasks[above].state == S_RELEASED:
            push(&core.to_activate, above)
        e = core.edges[e].next_dependency
    return 0


cdef inline int unneed_inputs(Core *core, int32_t row) except -1 nogil:
    cdef int32_t e = core.tasks[row].dependencies
    cdef int32_t above
    while e != NONE:
        above = core.edges[e].dependency
        assert core.tasks[above].needed > 0
        core.tasks[above].needed -= 1
        if not is_needed(core, above):
            push(&core.to_release, above)
        e = core.edges[e].next_dependency
    return 0


cdef inline int64_t failed_input(Core *core, int32_t row) noexcept nogil:
    """The cause of an input's failure, or 0."""
    cdef int32_t e = core.tasks[row].dependencies
    while e != NONE:
        if core.tasks[core.edges[e].dependency].state == S_ERRED:
            return core.tasks[core.edges[e].dependency].cause
        e = core.edges[e].next_dependency
    return 0


cdef int activate(Core *core, int32_t row) except -1 nogil:
    """RELEASED -> READY, WAITING or ERRED: its value is needed."""
    cdef Task *task = core.tasks + row
    cdef int64_t cause = 0
    assert task.state == S_RELEASED and is_needed(core, row)
    if task.flags & F_EXTERNAL:
        set_state(core, row, S_WAITING)
        return effect(core, E_FETCH, id_of(core, row), 0, 0)
    if task.only == ONLY_GONE:
        cause = id_of(core, row)
    elif task.unmet:
        cause = failed_input(core, row)
    if cause:
        return fail_row(core, row, cause)
    set_state(core, row, S_WAITING)
    need_inputs(core, row)
    if task.unmet == 0:
        return make_ready(core, row)
    return consider(core, row)


cdef int release(Core *core, int32_t row) except -1 nogil:
    """Any state -> RELEASED: its value is not needed any more; and -> FREE if no dependent may ever ask for it."""
    cdef Task *task = core.tasks + row
    if task.state != S_RELEASED:
        leave_state(core, row)
        task.cause = 0
        set_state(core, row, S_RELEASED)
    if task.dependents == NONE and not task.flags & (F_YOUNG | F_HELD):
        recycle(core, row)
    return 0


cdef int recycle(Core *core, int32_t row) except -1 nogil:
    """RELEASED -> FREE. Its edges go, and with them perhaps the last reason to keep its inputs' rows."""
    cdef Task *task = core.tasks + row
    cdef int32_t e = task.dependencies
    cdef int32_t above, following
    assert task.state == S_RELEASED and task.dependents == NONE and not is_needed(core, row)
    effect(core, E_FORGET, id_of(core, row), 0, 0)
    while e != NONE:
        following = core.edges[e].next_dependency
        above = core.edges[e].dependency
        remove_edge(core, e)
        if core.tasks[above].dependents == NONE and not is_needed(core, above):
            push(&core.to_release, above)
        e = following
    task.dependencies = NONE
    if task.only >= 0:
        core.workers[task.only].n_only -= 1
    set_state(core, row, S_FREE)
    task.flags = 0
    if task.generation == core.last_generation:
        return 0  # an id is never used twice: this row has had its last task
    task.generation += 1
    return push(&core.resting, row)


# ---- leaving a state -----------------------------------------------------------------------------------------------

cdef inline int leave_state(Core *core, int32_t row) except -1 nogil:
    """Undo what being in its state means: queue, worker, replicas, need of inputs. The caller sets the next state."""
    cdef uint8_t state = core.tasks[row].state
    if is_active(core, row):
        unneed_inputs(core, row)
    if state == S_READY:
        leave_queue(core, row)
    elif state == S_ASSIGNED:
        effect(core, E_DROP, id_of(core, row), core.tasks[row].worker, core.tasks[row].run)
        detach(core, row)
    elif state == S_MEMORY:
        leave_memory(core, row)
        free_replicas(core, row)
    return 0


cdef inline int make_ready(Core *core, int32_t row) except -1 nogil:
    """WAITING or RELEASED -> READY."""
    cdef int32_t only = core.tasks[row].only
    set_state(core, row, S_READY)
    if only >= 0:
        core.n_own += 1
        enqueue(core, &core.workers[only].own, row)
        return watch(core, only)
    return enqueue(core, &core.ready, row)


cdef inline int leave_queue(Core *core, int32_t row) except -1 nogil:
    """READY: take it from its queue. The caller sets the next state."""
    assert core.tasks[row].state == S_READY
    if core.tasks[row].only >= 0:
        core.n_own -= 1
    dequeue(core, queue_of(core, row), row)
    return 0


cdef inline void leave_worker(Core *core, int32_t row) noexcept nogil:
    """ASSIGNED: take it out of the list of its worker that it is in."""
    cdef Task *task = core.tasks + row
    cdef Worker *worker = core.workers + task.worker
    if worker.unlooked == row:
        worker.unlooked = task.next
    unlink_row(core, &worker.rejoining if task.flags & F_REJOINING else &worker.assigned, row)


cdef inline int detach(Core *core, int32_t row) except -1 nogil:
    """ASSIGNED: take it from its worker. The caller sets the next state."""
    cdef Task *task = core.tasks + row
    cdef int32_t w = task.worker
    cdef Worker *worker = core.workers + w
    assert task.state == S_ASSIGNED and w != NONE
    leave_worker(core, row)
    worker.seceded -= (task.flags & F_SECEDED) != 0
    worker.n_early -= (task.flags & F_EARLY) != 0
    task.flags &= ~(F_SECEDED | F_REJOINING | F_EARLY | F_AWAITED)
    task.worker = NONE
    return worker_changed(core, w)


cdef inline int free_replicas(Core *core, int32_t row) except -1 nogil:
    """Tell every holder to free the value."""
    cdef int32_t r = core.tasks[row].holders
    while r != NONE:
        effect(core, E_FREE, id_of(core, row), core.replicas[r].worker, 0)
        remove_replica(core, r)
        r = core.tasks[row].holders
    return 0


# ---- memory --------------------------------------------------------------------------------------------------------

cdef inline int enter_memory(Core *core, int32_t row, int32_t worker, int64_t nbytes) except -1 nogil:
    """WAITING, RELEASED or detached -> MEMORY; dependents that waited for this alone become READY, or are early no more."""
    cdef int32_t e = core.tasks[row].dependents
    cdef int32_t below
    assert core.tasks[row].holders == NONE
    core.tasks[row].nbytes = nbytes
    set_state(core, row, S_MEMORY)
    add_replica(core, row, worker)
    effect(core, E_MEMORY, id_of(core, row), worker, 0)
    while e != NONE:
        below = core.edges[e].dependent
        assert core.tasks[below].unmet > 0
        core.tasks[below].unmet -= 1
        if core.tasks[below].state == S_WAITING and is_active(core, below):
            if core.tasks[below].unmet == 0:
                make_ready(core, below)
            else:
                consider(core, below)
        elif core.tasks[below].unmet == 0 and core.tasks[below].flags & F_EARLY:
            core.tasks[below].flags &= ~F_EARLY
            core.workers[core.tasks[below].worker].n_early -= 1
            worker_changed(core, core.tasks[below].worker)
        e = core.edges[e].next_dependent
    return 0


cdef bint bring_replica(Core *core, int32_t row, int32_t worker, int64_t nbytes) except -1 nogil:
    """MEMORY, or EXTERNAL and WAITING -> MEMORY: one more worker holds the value. False: it is not wanted."""
    if not 0 <= worker < core.n_workers or not core.workers[worker].alive:
        return False
    if core.tasks[row].state == S_WAITING and core.tasks[row].flags & F_EXTERNAL:
        enter_memory(core, row, worker, nbytes)
        return True
    if core.tasks[row].state == S_MEMORY and find_replica(core, row, worker) == NONE:
        add_replica(core, row, worker)
    return core.tasks[row].state == S_MEMORY


cdef inline int leave_memory(Core *core, int32_t row) except -1 nogil:
    """MEMORY: dependents that were READY go back to WAITING, early ones too. The caller sets the next state."""
    cdef int32_t e = core.tasks[row].dependents
    cdef int32_t below
    assert core.tasks[row].state == S_MEMORY
    while e != NONE:
        below = core.edges[e].dependent
        core.tasks[below].unmet += 1
        if core.tasks[below].state == S_READY:
            leave_queue(core, below)
            set_state(core, below, S_WAITING)
        elif core.tasks[below].flags & F_EARLY:
            recall(core, below)
        e = core.edges[e].next_dependent
    return 0


cdef int lose(Core *core, int32_t row) except -1 nogil:
    """MEMORY without a holder -> RELEASED, to be computed (or fetched) again if it is needed; scattered data errs."""
    cdef Task *task = core.tasks + row
    assert task.holders == NONE
    effect(core, E_LOST, id_of(core, row), 0, 0)
    leave_memory(core, row)
    set_state(core, row, S_RELEASED)
    if task.flags & F_EXTERNAL and not task.flags & F_HANDED:
        return fail_row(core, row, id_of(core, row))
    return push(&core.to_activate if is_needed(core, row) else &core.to_release, row)


# ---- failure -------------------------------------------------------------------------------------------------------

cdef inline int enter_erred(Core *core, int32_t row, int64_t cause) except -1 nogil:
    leave_state(core, row)
    set_state(core, row, S_ERRED)
    core.tasks[row].cause = cause
    effect(core, E_ERRED, id_of(core, row), cause, 0)
    return push(&core.failing, row)


cdef int fail_row(Core *core, int32_t row, int64_t cause) except -1 nogil:
    """Any state -> ERRED, and with it whoever waits for it, and so on.

    An ASSIGNED dependent is left alone, unless it is early: it had its inputs when it was placed. If it comes back it
    will find the error.
    """
    cdef int32_t e, below
    enter_erred(core, row, cause)
    while core.failing.n:
        e = core.tasks[pop(&core.failing)].dependents
        while e != NONE:
            below = core.edges[e].dependent
            if is_active(core, below) and (
                    core.tasks[below].state != S_ASSIGNED or core.tasks[below].flags & F_EARLY):
                enter_erred(core, below, cause)
            e = core.edges[e].next_dependent
    return 0


# ---- assignment ----------------------------------------------------------------------------------------------------

cdef inline int enter_assigned(Core *core, int32_t row, int32_t w) except -1 nogil:
    """READY without a queue, or WAITING -> ASSIGNED."""
    cdef Task *task = core.tasks + row
    cdef Worker *worker = core.workers + w
    assert worker.alive and (task.only == NONE or task.only == w)
    set_state(core, row, S_ASSIGNED)
    task.run += 1
    task.worker = w
    append_row(core, &worker.assigned, row)
    if worker.unlooked == NONE:
        worker.unlooked = row
    return worker_changed(core, w)


cdef inline int assign(Core *core, int32_t row, int32_t w) except -1 nogil:
    """READY -> ASSIGNED. The effect, if any, is the caller's."""
    leave_queue(core, row)
    return enter_assigned(core, row, w)


cdef inline bint may_be_claimed(Core *core, int32_t row, int32_t w) noexcept nogil:
    """Is it not placed yet, and does nothing forbid this worker?"""
    cdef Task *task = core.tasks + row
    return is_active(core, row) and task.state != S_ASSIGNED and (task.only == NONE or task.only == w)


cdef int finish_row(Core *core, int32_t row, int64_t nbytes) except -1 nogil:
    """ASSIGNED -> MEMORY."""
    cdef int32_t w = core.tasks[row].worker
    detach(core, row)
    enter_memory(core, row, w, nbytes)
    return unneed_inputs(core, row)


cdef inline bint may_be_published(Core *core, int32_t row) noexcept nogil:
    """Is it to be computed, and nobody's yet?"""
    cdef uint8_t state = core.tasks[row].state
    return (state == S_RELEASED or state == S_WAITING or state == S_READY) and not core.tasks[row].flags & F_EXTERNAL


cdef int publish_row(Core *core, int32_t row, int32_t worker, int64_t nbytes) except -1 nogil:
    """RELEASED, WAITING or READY -> MEMORY: its first run was somewhere else, unasked."""
    leave_state(core, row)
    core.tasks[row].run += 1
    return enter_memory(core, row, worker, nbytes)


cdef int fail_run(Core *core, int32_t row) except -1 nogil:
    """ASSIGNED -> ERRED: it raised."""
    detach(core, row)
    set_state(core, row, S_WAITING)
    return fail_row(core, row, id_of(core, row))


cdef int requeue(Core *core, int32_t row) except -1 nogil:
    """ASSIGNED -> READY, WAITING or ERRED, as its inputs are now. They stay needed."""
    cdef int64_t cause
    cdef bint awaited = core.tasks[row].flags & F_AWAITED
    detach(core, row)
    set_state(core, row, S_WAITING)
    if awaited:
        recall_followers(core, row)
    if core.tasks[row].only == ONLY_GONE:
        return fail_row(core, row, id_of(core, row))
    if core.tasks[row].unmet == 0:
        return make_ready(core, row)
    cause = failed_input(core, row)
    if cause:
        return fail_row(core, row, cause)
    return 0


# ---- early rows ----------------------------------------------------------------------------------------------------

cdef inline int32_t early_home(Core *core, int32_t row) noexcept nogil:
    """The worker that all missing inputs of a row are assigned to, or NONE. Looks at a bounded number of inputs."""
    cdef int32_t home = NONE
    cdef int32_t e = core.tasks[row].dependencies
    cdef int inputs = 0
    cdef Task *above
    while e != NONE:
        above = core.tasks + core.edges[e].dependency
        inputs += 1
        if inputs > INPUTS_EARLY:
            return NONE
        if above.state != S_MEMORY:
            if above.state != S_ASSIGNED or (home != NONE and above.worker != home):
                return NONE
            home = above.worker
        e = core.edges[e].next_dependency
    return home


cdef inline int consider(Core *core, int32_t row) except -1 nogil:
    """WAITING, and its inputs have changed: may it be placed early at the end of this turn?"""
    if core.early and core.tasks[row].unmet <= INPUTS_EARLY and early_home(core, row) != NONE:
        push(&core.candidates, row)
    return 0


cdef inline int recall_followers(Core *core, int32_t row) except -1 nogil:
    """A row left its worker without a value: rows that were placed early because of it have no business there."""
    cdef int32_t e = core.tasks[row].dependents
    while e != NONE:
        if core.tasks[core.edges[e].dependent].flags & F_EARLY:
            recall(core, core.edges[e].dependent)
        e = core.edges[e].next_dependent
    return 0


cdef int recall(Core *core, int32_t row) except -1 nogil:
    """An early row -> WAITING, and with it whoever is there because of it, and so on."""
    cdef int32_t e
    cdef Task *task
    push(&core.recalled, row)
    while core.recalled.n:
        row = pop(&core.recalled)
        task = core.tasks + row
        if not task.flags & F_EARLY:
            continue  # it came here by two ways
        e = task.dependents if task.flags & F_AWAITED else NONE
        effect(core, E_DROP, id_of(core, row), task.worker, task.run)
        detach(core, row)
        set_state(core, row, S_WAITING)
        while e != NONE:
            if core.tasks[core.edges[e].dependent].flags & F_EARLY:
                push(&core.recalled, core.edges[e].dependent)
            e = core.edges[e].next_dependent
    return 0


# ---- computed elsewhere --------------------------------------------------------------------------------------------

cdef int hand_over_row(Core *core, int32_t row) except -1 nogil:
    """WAITING or READY -> WAITING, EXTERNAL: its inputs are not needed for it."""
    leave_state(core, row)
    set_state(core, row, S_WAITING)
    core.tasks[row].flags |= F_EXTERNAL | F_HANDED
    return 0


cdef int take_back_row(Core *core, int32_t row) except -1 nogil:
    """Undo a hand-over whose value has not come."""
    core.tasks[row].flags &= ~(F_EXTERNAL | F_HANDED)
    set_state(core, row, S_RELEASED)
    return activate(core, row)


cdef inline bint may_be_specified(Core *core, int32_t row) noexcept nogil:
    """Did it come from elsewhere, has not come, and was nothing said of how to compute it?"""
    cdef Task *task = core.tasks + row
    if task.flags & F_HANDED or not task.flags & F_EXTERNAL:
        return False
    return task.state == S_RELEASED or task.state == S_WAITING


cdef int specify_row(Core *core, int32_t row, int64_t priority, int64_t order) except -1 nogil:
    """RELEASED or WAITING, EXTERNAL -> RELEASED, computable. It may be needed: the caller sees to that."""
    cdef Task *task = core.tasks + row
    task.flags &= ~F_EXTERNAL
    task.priority = priority
    task.order = task.seq if order < 0 else order
    set_state(core, row, S_RELEASED)
    return 0


# ---- the loss of a worker ------------------------------------------------------------------------------------------

cdef int orphan_restricted(Core *core, int32_t w) except -1 nogil:
    """Rows that may run only there can run nowhere now. A scan of all rows, but only if there are such."""
    cdef int64_t row
    if core.workers[w].n_only == 0:
        return 0
    for row in range(core.n_rows):
        if core.tasks[row].state != S_FREE and core.tasks[row].only == w:
            if core.tasks[row].state == S_READY:
                leave_queue(core, <int32_t> row)  # while `only` still tells which queue it is in
                set_state(core, <int32_t> row, S_WAITING)
            elif core.tasks[row].flags & F_EARLY:
                recall(core, <int32_t> row)
            core.tasks[row].only = ONLY_GONE
    for row in range(core.n_rows):
        if core.tasks[row].only == ONLY_GONE and core.tasks[row].state == S_WAITING and is_active(core, <int32_t> row):
            fail_row(core, <int32_t> row, id_of(core, <int32_t> row))
    core.workers[w].n_only = 0
    return 0


cdef void forget_effects_for(Core *core, int32_t w) noexcept nogil:
    """Nothing more is told to this worker."""
    cdef int64_t i, kept = 0
    cdef int64_t kind
    for i in range(core.n_effects):
        kind = core.effects[i].kind
        if core.effects[i].a == w and (kind == E_ASSIGN or kind == E_DROP or kind == E_FREE or kind == E_REJOIN):
            continue
        core.effects[kept] = core.effects[i]
        kept += 1
    core.n_effects = kept


cdef int lose_worker(Core *core, int32_t w) except -1 nogil:
    """Its tasks are queued again, its replicas are gone."""
    cdef Worker *worker = core.workers + w
    cdef int32_t row
    worker.alive = False
    core.n_alive -= 1
    worker_changed(core, w)
    orphan_restricted(core, w)
    # First take every replica away, then look who lost its last one: a row must not be computed again from an input
    # that is gone as well.
    while worker.replicas != NONE:
        row = core.replicas[worker.replicas].task
        remove_replica(core, worker.replicas)
        if core.tasks[row].holders == NONE:
            push(&core.lost, row)
    while core.lost.n:
        lose(core, pop(&core.lost))
    while worker.rejoining.n:
        requeue(core, worker.rejoining.first)
    while worker.assigned.n:
        requeue(core, worker.assigned.first)
    settle(core)
    forget_effects_for(core, w)
    return push(&core.gone_workers, w)
