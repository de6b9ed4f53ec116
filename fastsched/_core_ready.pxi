"""The ready queue: an indexed four-ary heap. Higher priority first, then lower order, then arrival; all keys differ.

Four children to a node: half the levels of a binary heap, and the children's keys lie side by side in memory.
"""

cdef inline bint goes_before(Core *core, ReadyItem *a, ReadyItem *b) noexcept nogil:
    if a.priority != b.priority:
        return a.priority > b.priority
    if a.order != b.order:
        return a.order < b.order
    return core.tasks[a.row].seq < core.tasks[b.row].seq


cdef inline void put_at(Core *core, ReadyQueue *queue, int64_t at, ReadyItem item) noexcept nogil:
    queue.items[at] = item
    core.tasks[item.row].ready_at = <int32_t> at


cdef inline void sift_up(Core *core, ReadyQueue *queue, int64_t at, ReadyItem item) noexcept nogil:
    cdef int64_t parent
    while at > 0:
        parent = (at - 1) >> 2
        if not goes_before(core, &item, queue.items + parent):
            break
        put_at(core, queue, at, queue.items[parent])
        at = parent
    put_at(core, queue, at, item)


cdef inline void sift_down(Core *core, ReadyQueue *queue, int64_t at, ReadyItem item) noexcept nogil:
    cdef int64_t child, best, last
    while True:
        best = 4 * at + 1
        if best >= queue.n:
            break
        last = min(best + 4, queue.n)
        for child in range(best + 1, last):
            if goes_before(core, queue.items + child, queue.items + best):
                best = child
        if not goes_before(core, queue.items + best, &item):
            break
        put_at(core, queue, at, queue.items[best])
        at = best
    put_at(core, queue, at, item)


cdef inline int enqueue(Core *core, ReadyQueue *queue, int32_t row) except -1 nogil:
    cdef ReadyItem item
    if queue.n == queue.room:
        grow(<void **> &queue.items, &queue.room, queue.n + 1, sizeof(ReadyItem))
    item.priority = core.tasks[row].priority
    item.order = core.tasks[row].order
    item.row = row
    queue.n += 1
    sift_up(core, queue, queue.n - 1, item)
    return 0


cdef inline void dequeue(Core *core, ReadyQueue *queue, int32_t row) noexcept nogil:
    """Take a row out, from wherever it is."""
    cdef int64_t at = core.tasks[row].ready_at
    cdef ReadyItem moved
    core.tasks[row].ready_at = NONE
    queue.n -= 1
    if at == queue.n:
        return
    moved = queue.items[queue.n]
    if at > 0 and goes_before(core, &moved, queue.items + ((at - 1) >> 2)):
        sift_up(core, queue, at, moved)
    else:
        sift_down(core, queue, at, moved)


cdef inline ReadyQueue *queue_of(Core *core, int32_t row) noexcept nogil:
    """The queue in which this row waits when it is READY: the common one, or that of the only worker that may run it."""
    cdef int32_t only = core.tasks[row].only
    return &core.ready if only < 0 else &core.workers[only].own
