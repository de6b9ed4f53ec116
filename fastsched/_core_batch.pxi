"""What takes many ids: checked as a whole before anything is changed. A batch of tasks; inputs of a row that had none."""

cdef int32_t known_row(Core *core, int64_t id) except -1:
    """For verbs of ownership: the row, or KeyError."""
    cdef int32_t row = find_row(core, id)
    if row == NONE:
        raise KeyError(f"unknown task id {id}")
    return row


cdef int look_up_inputs(Core *core, object deps) except -1:
    """Put the rows of these ids in core.inputs."""
    cdef int64_t i
    cdef const int64_t[:] ids
    core.inputs.n = 0
    if isinstance(deps, (tuple, list)):
        for id in deps:
            push(&core.inputs, known_row(core, id))
    else:
        ids = deps
        for i in range(ids.shape[0]):
            push(&core.inputs, known_row(core, ids[i]))
    return 0


cdef bint specify_task(
    SchedulerCore face, int64_t id, object deps, int64_t priority, int64_t order, int worker, int64_t nbytes
) except -1:
    """Give inputs to a row that had none, if it may have them, and let it be needed; or put its value there."""
    cdef Core *core = &face.core
    cdef int32_t row = known_row(core, id)
    if worker != NONE:
        face.worker_of(worker)
    if not may_be_specified(core, row):
        return False
    look_up_inputs(core, deps)
    reserve_edges(core, core.inputs.n)
    while core.inputs.n:
        add_edge(core, pop(&core.inputs), row)
    specify_row(core, row, priority, order)
    if worker != NONE and is_needed(core, row):
        publish_row(core, row, worker, nbytes)
    elif is_needed(core, row):
        activate(core, row)
    settle(core)
    return True


cdef int check_batch(Core *core, const int64_t[:] indptr, const int64_t[:] deps) except -1:
    """Do these describe a graph? Each task may depend on known ids, and on earlier tasks of the batch."""
    cdef int64_t i, k, n = indptr.shape[0] - 1
    if n < 0 or indptr[0] != 0 or indptr[n] != deps.shape[0]:
        raise ValueError("indptr must start at 0 and end at the number of dependencies")
    for i in range(n):
        if indptr[i + 1] < indptr[i]:
            raise ValueError("indptr must not decrease")
    for i in range(n):
        for k in range(indptr[i], indptr[i + 1]):
            if deps[k] >= 0:
                known_row(core, deps[k])
            elif deps[k] < -i:
                raise ValueError(f"task {i} of the batch may only depend on earlier ones, not on {-deps[k] - 1}")
    return 0


cdef int check_wants(const int64_t[:] wants) except -1:
    cdef int64_t i
    for i in range(wants.shape[0]):
        if not 0 <= wants[i] <= MOST_ROWS:
            raise ValueError(f"wants must be >= 0, not {wants[i]}")
    return 0


cdef object add_batch(
    SchedulerCore face, const int64_t[:] priorities, const int64_t[:] indptr, const int64_t[:] deps,
    const int64_t[:] wants, const int64_t[:] orders
):
    """Add them all; a table of their ids."""
    cdef Core *core = &face.core
    cdef int64_t n = indptr.shape[0] - 1
    cdef int64_t i, k, dep
    cdef int64_t *ids
    cdef int32_t row
    cdef bint with_priorities = priorities is not None
    cdef bint with_wants = wants is not None
    cdef bint with_orders = orders is not None
    check_batch(core, indptr, deps)
    if ((with_priorities and priorities.shape[0] != n) or (with_wants and wants.shape[0] != n)
            or (with_orders and orders.shape[0] != n)):
        raise ValueError(f"priorities, wants and orders must have {n} entries, one for each task")
    if with_wants:
        check_wants(wants)
    face.reserve_rows(n)
    reserve_edges(core, deps.shape[0])
    ids = <int64_t *> malloc(max(1, n) * sizeof(int64_t))
    if ids == NULL:
        raise MemoryError("no room for the ids of a batch")
    block = Block.adopt(ids)
    for i in range(n):
        row = new_row(core, priorities[i] if with_priorities else 0, orders[i] if with_orders else -1,
                      <int32_t> wants[i] if with_wants else 1, NONE)
        ids[i] = id_of(core, row)
        for k in range(indptr[i + 1] - 1, indptr[i] - 1, -1):
            dep = deps[k]
            add_edge(core, <int32_t> <uint32_t> (ids[-dep - 1] if dep < 0 else dep), row)
        face.start(row)
    return table(block, n, 1)
