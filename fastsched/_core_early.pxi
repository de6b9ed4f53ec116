"""Tasks placed early: on the worker that is computing what they wait for, before that is there.

A worker that runs short tasks then finds the next link of a chain on its own desk, where the scheduler would need a
round trip to put it. `set_early` says how many a worker may have; an early row holds no slot and waits for none, since
it cannot run yet, so being early takes no room from rows that are ready.

Who is placed early gives up the choice of a worker. So an input takes along one dependent, which gets the slot that the
input leaves; others may run elsewhere, and are placed when they are ready. A row goes early only if it is its turn: no
ready row that goes before it waits for room.

Nothing is searched. Rows get early where something changes: the dependents of a row are looked at once for each time
that it is assigned (`Worker.unlooked` stops there while there is no room), and a row when it begins to wait or an input
of it comes to memory (`Core.candidates`; without room by the end of the turn its inputs bring it in the usual way).
"""

cdef inline bint is_its_turn(Core *core, int32_t row, int32_t w) noexcept nogil:
    """Does no ready row wait for room that goes before it?"""
    cdef ReadyItem item
    item.priority = core.tasks[row].priority
    item.order = core.tasks[row].order
    item.row = row
    if core.ready.n and goes_before(core, first_item(core, &core.ready), &item):
        return False
    return core.workers[w].own.n == 0 or goes_before(core, &item, first_item(core, &core.workers[w].own))


cdef bint may_be_early(Core *core, int32_t row, int32_t w) noexcept nogil:
    """May this row be placed on the worker now, before its inputs are in memory?"""
    cdef Task *task = core.tasks + row
    cdef Task *above
    cdef int32_t e = task.dependencies
    cdef bint large = False
    cdef int64_t nbytes = 0
    if task.state != S_WAITING or not is_active(core, row) or task.only not in (NONE, w):
        return False
    if task.unmet > INPUTS_EARLY or early_home(core, row) != w or not is_its_turn(core, row, w):
        return False
    while e != NONE:
        above = core.tasks + core.edges[e].dependency
        if above.flags & F_AWAITED:
            return False  # that input has taken one along
        large |= above.state == S_MEMORY and above.nbytes >= core.locality_bytes
        e = core.edges[e].next_dependency
    return not large or biggest_holder(core, row, &nbytes, NONE) == w


cdef inline bint goes_along_before(Core *core, int32_t a, int32_t b) noexcept nogil:
    """Of two dependents of one input: whom shall it take along? The one that others wait for, if both may."""
    cdef Task *first = core.tasks + a
    cdef Task *second = core.tasks + b
    if first.priority != second.priority:
        return first.priority > second.priority
    if (first.dependents == NONE) != (second.dependents == NONE):
        return first.dependents != NONE
    if first.order != second.order:
        return first.order < second.order
    return first.seq < second.seq


cdef int32_t best_dependent(Core *core, int32_t row) noexcept nogil:
    """Whom an ASSIGNED row takes along, or NONE."""
    cdef int32_t best = NONE
    cdef int32_t e = core.tasks[row].dependents
    cdef int32_t below
    while e != NONE:
        below = core.edges[e].dependent
        if (best == NONE or goes_along_before(core, below, best)) and may_be_early(core, below, core.tasks[row].worker):
            best = below
        e = core.edges[e].next_dependent
    return best


cdef int place_one_early(Core *core, int32_t row, int32_t w) except -1 nogil:
    """WAITING -> ASSIGNED, early."""
    cdef int32_t e = core.tasks[row].dependencies
    cdef Task *above
    while e != NONE:
        above = core.tasks + core.edges[e].dependency
        if above.state == S_ASSIGNED:
            above.flags |= F_AWAITED
        e = core.edges[e].next_dependency
    core.tasks[row].flags |= F_EARLY
    core.workers[w].n_early += 1
    enter_assigned(core, row, w)
    return effect(core, E_ASSIGN, id_of(core, row), w, core.tasks[row].run)


cdef int look_at_dependents(Core *core, int32_t w) except -1 nogil:
    """Of rows that were assigned there, the first first. Rows that are placed by this are looked at in their turn."""
    cdef Worker *worker = core.workers + w
    cdef int32_t row, below
    while worker.unlooked != NONE and has_room_for_early(worker):
        row = worker.unlooked
        worker.unlooked = core.tasks[row].next
        if core.tasks[row].flags & F_AWAITED:
            continue
        below = best_dependent(core, row)
        if below != NONE:
            place_one_early(core, below, w)
    return 0


cdef int place_early(Core *core) except -1 nogil:
    """The last step of placing: whatever is ready and has room was placed."""
    cdef int64_t i
    cdef int32_t row, w
    for i in range(core.candidates.n):
        row = core.candidates.rows[i]
        if core.tasks[row].state == S_WAITING:
            w = early_home(core, row)
            if w != NONE and has_room_for_early(core.workers + w) and may_be_early(core, row, w):
                place_one_early(core, row, w)
    core.candidates.n = 0
    for i in range(core.lookers.n):  # rows that are placed by this are assigned to the same worker
        look_at_dependents(core, core.lookers.rows[i])
        core.workers[core.lookers.rows[i]].looking = False
    core.lookers.n = 0
    return 0
