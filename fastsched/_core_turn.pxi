"""The end of a turn: what a drain does before it hands out the effects."""

cdef int forget_young(Core *core) except -1 nogil:
    """Rows added without wants in this turn that nothing came to depend on."""
    cdef int64_t i
    for i in range(core.young.n):
        core.tasks[core.young.rows[i]].flags &= ~F_YOUNG
    while core.young.n:
        push(&core.to_release, pop(&core.young))
    return settle(core)


cdef int end_turn(Core *core) except -1 nogil:
    """Rejoiners, then ready rows, then early ones."""
    cdef int64_t i
    if core.young.n:
        forget_young(core)
    for i in range(core.watched.n):
        grant_rejoins(core, core.watched.rows[i])
    place_ready(core)
    i = 0
    while i < core.watched.n:  # placing may let more workers be watched
        place_own(core, core.watched.rows[i])
        i += 1
    for i in range(core.watched.n):
        core.workers[core.watched.rows[i]].watched = False
    core.watched.n = 0
    if core.early:
        place_early(core)
    free_resting_rows(core)
    while core.gone_workers.n:
        push(&core.free_workers, pop(&core.gone_workers))
    return 0


cdef int64_t take_effects(Core *core) noexcept nogil:
    """Put the effects of the turn where they are looked at; new ones go to the other memory. Returns their number."""
    cdef EffectRow *spare = core.taken
    cdef int64_t room = core.taken_room
    core.taken = core.effects
    core.taken_room = core.effect_room
    core.n_taken = core.n_effects
    core.next_taken = 0
    core.effects = spare
    core.effect_room = room
    core.n_effects = 0
    return core.n_taken
