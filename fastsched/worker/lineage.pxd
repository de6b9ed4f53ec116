# The types of lineage.py.

cimport cython

from fastsched.worker.jobs cimport Brood, Child

cdef int WAITING
cdef int READY
cdef int RUNNING
cdef int DONE
cdef int FAILED
cdef int AWAY
cdef int GONE


@cython.locals(source=Child, unwanted=list)
cpdef list let_inputs_go(Child child)


@cython.locals(unwanted=list)
cpdef list drop_held(Child child)
cpdef tuple held_keys(Child child)


@cython.locals(source=Child, root=Child, roots=dict)
cpdef keep_roots(Child child)


@cython.locals(unwanted=list)
cpdef list drop_roots(Child child)
cpdef bint need_less(Child child) except -1


@cython.locals(source=Child, todo=list, seen=set)
cpdef Child first_to_run(Child child)


@cython.locals(source=Child)
cpdef list origin_of(Child child)


@cython.locals(child=Child, names=set, away=list, todo=list)
cpdef set awaited_by(Brood brood, object children)
cpdef tuple made_from(Child child)
cpdef bint can_leave(Child child) except -1


@cython.locals(source=Child, nbytes=double)
cpdef bint is_light(Child child) except -1
