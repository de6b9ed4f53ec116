# The types of drops.py.

cimport cython

from fastsched.wire.items cimport make
from fastsched.worker.children cimport Children
from fastsched.worker.context cimport CurrentTask
from fastsched.worker.desk cimport Desk
from fastsched.worker.jobs cimport Brood, Child, Job
from fastsched.worker.lineage cimport can_leave

cdef int RUNNING
cdef int AWAY


@cython.locals(desk=Desk, task=CurrentTask, brood=Brood, chain=list, over=set, child=Child, in_vain=list)
cpdef end_unwanted(object desks, Children children)


@cython.locals(job=Job, wanted=bint)
cpdef list unwanted_coroutines(object jobs)
cpdef list chain_of(CurrentTask task)


@cython.locals(job=Job, wanted=bint, any_wanted=bint)
cdef bint _mark(list chain, Brood brood, list in_vain) except -1
cdef bint _is_wanted(Child child, bint wanted, Brood brood) except -1


@cython.locals(dependent=Child, todo=list, seen=set)
cdef bint _others_want(Child child, Brood brood) except -1


@cython.locals(job=Job, child=Child)
cdef _let_go(list chain, Brood brood, Children children)


@cython.locals(child=Child, theirs=list)
cdef _end_children(set broods, Children children)


@cython.locals(dependent=Child, found=dict, todo=list)
cdef list _with_dependents(Child child)


@cython.locals(child=Child, unfinished=list, text=str)
cdef _end_all(list chosen, Children children)
cdef _release(Child child, Children children)
