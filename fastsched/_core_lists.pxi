"""Answers that are lists: each walks one list of the core and names its members."""

cdef list ids_in(Core *core, RowList *rows):
    cdef list ids = []
    cdef int32_t row = rows.first
    while row != NONE:
        ids.append(id_of(core, row))
        row = core.tasks[row].next
    return ids


cdef list ids_held_by(Core *core, Worker *worker):
    cdef list ids = []
    cdef int32_t r = worker.replicas
    while r != NONE:
        ids.append(id_of(core, core.replicas[r].task))
        r = core.replicas[r].next_of_worker
    return ids


cdef list holders_of(Core *core, int32_t row):
    cdef list workers = []
    cdef int32_t r = core.tasks[row].holders
    while r != NONE:
        workers.append(core.replicas[r].worker)
        r = core.replicas[r].next_of_task
    return workers


cdef int n_holders_of(Core *core, int32_t row) noexcept:
    cdef int n = 0
    cdef int32_t r = core.tasks[row].holders
    while r != NONE:
        n += 1
        r = core.replicas[r].next_of_task
    return n


cdef list dependencies_of(Core *core, int32_t row):
    cdef list ids = []
    cdef int32_t e = core.tasks[row].dependencies
    while e != NONE:
        ids.append(id_of(core, core.edges[e].dependency))
        e = core.edges[e].next_dependency
    return ids


cdef list dependents_of(Core *core, int32_t row):
    cdef list ids = []
    cdef int32_t e = core.tasks[row].dependents
    while e != NONE:
        ids.append(id_of(core, core.edges[e].dependent))
        e = core.edges[e].next_dependent
    return ids


cdef list latest_beyond_slots(Core *core, int32_t w, int n):
    """(id, run) of at most `n` tasks that hold no slot yet, the latest assignment first.

    Not those that follow their inputs: they would be placed there again at once, and so on without an end. Nor early
    ones: nobody else could run them, and they come back with the input that they wait for.
    """
    cdef list found = []
    cdef Worker *worker = core.workers + w
    cdef int32_t row = worker.assigned.last
    cdef int beyond = occupancy_of(worker) - worker.slots
    while row != NONE and beyond > 0 and n > 0:
        if not core.tasks[row].flags & (F_SECEDED | F_EARLY):
            beyond -= 1
            if not follows_inputs_to(core, row, w):
                found.append((id_of(core, row), core.tasks[row].run))
                n -= 1
        row = core.tasks[row].prev
    return found


cdef list first_ready(Core *core, int64_t n):
    """Take them out and put them back, the last first: keys are total, so the order stays."""
    cdef list rows = []
    cdef int32_t row
    while len(rows) < n and core.ready.n:
        row = first_item(core, &core.ready).row
        dequeue(core, &core.ready, row)
        rows.append(row)
    for row in reversed(rows):
        enqueue(core, &core.ready, row)
    return [id_of(core, row) for row in rows]


cdef list effects_as_tuples(Core *core):
    cdef list effects = []
    cdef int64_t i
    cdef EffectRow *row
    for i in range(core.n_effects):
        row = core.effects + i
        effects.append((row.kind, row.id, row.a, row.b))
    core.n_effects = 0
    return effects


cdef object effects_as_table(Core *core):
    """Their memory is given away, not copied."""
    cdef int64_t n = core.n_effects
    block = Block.adopt(core.effects)
    core.effects = NULL
    core.n_effects = 0
    core.effect_room = 0
    return table(block, n, 4)
