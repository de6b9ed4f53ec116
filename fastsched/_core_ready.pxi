"""The ready queue: an indexed four-ary heap, and a lane beside it.

Higher priority first, then lower order, then arrival; all keys differ.

Most rows come in the order in which they go: a batch, a chain, one submit after the other. Such a row is appended to
the lane, a sorted array, and taken from its front: O(1), where a heap of 100,000 rows costs eight levels of cache
misses (placing took 75-150 ns a task, now 30). Whoever belongs elsewhere goes to the heap; a row that was given back
often belongs in front. The first row is the better of two.

Four children to a node: half the levels of a binary heap, and the children's keys lie side by side in memory.
"""

cdef inline bint goes_before(Core *core, ReadyItem *a, ReadyItem *b) noexcept nogil:
    if a.priority != b.priority:
        return a.priority > b.priority
    if a.order != b.order:
        return a.order < b.order
    return core.tasks[a.row].seq < core.tasks[b.row].seq


cdef inline void put_at(Core *core, ReadyQueue *queue, int64_t at, ReadyItem item) noexcept nogil:
    queue.heap[at] = item
    core.tasks[item.row].ready_at = <int32_t> at


cdef inline void sift_up(Core *core, ReadyQueue *queue, int64_t at, ReadyItem item) noexcept nogil:
    cdef int64_t parent
    while at > 0:
        parent = (at - 1) >> 2
        if not goes_before(core, &item, queue.heap + parent):
            break
        put_at(core, queue, at, queue.heap[parent])
        at = parent
    put_at(core, queue, at, item)


cdef inline void sift_down(Core *core, ReadyQueue *queue, int64_t at, ReadyItem item) noexcept nogil:
    cdef int64_t child, best, last
    while True:
        best = 4 * at + 1
        if best >= queue.n_heap:
            break
        last = min(best + 4, queue.n_heap)
        for child in range(best + 1, last):
            if goes_before(core, queue.heap + child, queue.heap + best):
                best = child
        if not goes_before(core, queue.heap + best, &item):
            break
        put_at(core, queue, at, queue.heap[best])
        at = best
    put_at(core, queue, at, item)


cdef inline void put_in_lane(Core *core, ReadyQueue *queue, int64_t at, ReadyItem item) noexcept nogil:
    queue.lane[at] = item
    core.tasks[item.row].ready_at = <int32_t> (-2 - at)


cdef int make_room_in_lane(Core *core, ReadyQueue *queue) except -1 nogil:
    """The tail is at the end: close the gaps if that frees half of the lane, else grow."""
    cdef int64_t at, kept = 0
    if (queue.tail - queue.head - queue.gaps) * 2 > queue.lane_room or queue.lane_room == 0:
        return grow(<void **> &queue.lane, &queue.lane_room, queue.tail + 1, sizeof(ReadyItem))
    for at in range(queue.head, queue.tail):
        if queue.lane[at].row != NONE:
            put_in_lane(core, queue, kept, queue.lane[at])
            kept += 1
    queue.head = 0
    queue.tail = kept
    queue.gaps = 0
    return 0


cdef inline int enqueue(Core *core, ReadyQueue *queue, int32_t row) except -1 nogil:
    cdef ReadyItem item
    assert core.tasks[row].state == S_READY and core.tasks[row].ready_at == NONE
    item.priority = core.tasks[row].priority
    item.order = core.tasks[row].order
    item.row = row
    queue.n += 1
    if queue.head == queue.tail or goes_before(core, queue.lane + queue.tail - 1, &item):
        if queue.tail == queue.lane_room:
            make_room_in_lane(core, queue)
        put_in_lane(core, queue, queue.tail, item)
        queue.tail += 1
        return 0
    if queue.head > 0 and goes_before(core, &item, queue.lane + queue.head):
        queue.head -= 1
        put_in_lane(core, queue, queue.head, item)
        return 0
    if queue.n_heap == queue.heap_room:
        grow(<void **> &queue.heap, &queue.heap_room, queue.n_heap + 1, sizeof(ReadyItem))
    queue.n_heap += 1
    sift_up(core, queue, queue.n_heap - 1, item)
    return 0


cdef inline ReadyItem *first_item(Core *core, ReadyQueue *queue) noexcept nogil:
    """The row that goes first. There is one."""
    if queue.head == queue.tail:
        return queue.heap
    if queue.n_heap and goes_before(core, queue.heap, queue.lane + queue.head):
        return queue.heap
    return queue.lane + queue.head


cdef inline void leave_lane(ReadyQueue *queue, int64_t at) noexcept nogil:
    """Both ends of a lane are always rows; gaps are only between them."""
    queue.lane[at].row = NONE
    queue.gaps += 1
    while queue.head < queue.tail and queue.lane[queue.head].row == NONE:
        queue.head += 1
        queue.gaps -= 1
    while queue.head < queue.tail and queue.lane[queue.tail - 1].row == NONE:
        queue.tail -= 1
        queue.gaps -= 1


cdef inline void leave_heap(Core *core, ReadyQueue *queue, int64_t at) noexcept nogil:
    cdef ReadyItem moved
    queue.n_heap -= 1
    if at == queue.n_heap:
        return
    moved = queue.heap[queue.n_heap]
    if at > 0 and goes_before(core, &moved, queue.heap + ((at - 1) >> 2)):
        sift_up(core, queue, at, moved)
    else:
        sift_down(core, queue, at, moved)


cdef inline void dequeue(Core *core, ReadyQueue *queue, int32_t row) noexcept nogil:
    """Take a row out, from wherever it is."""
    cdef int64_t at = core.tasks[row].ready_at
    core.tasks[row].ready_at = NONE
    queue.n -= 1
    if at < NONE:
        leave_lane(queue, -2 - at)
    else:
        leave_heap(core, queue, at)


cdef inline ReadyQueue *queue_of(Core *core, int32_t row) noexcept nogil:
    """Where this row waits when it is READY: the common queue, or that of the only worker that may run it."""
    cdef int32_t only = core.tasks[row].only
    return &core.ready if only < 0 else &core.workers[only].own
