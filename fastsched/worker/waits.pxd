# The types of waits.py.

cimport cython

from fastsched.wire.items cimport make
from fastsched.worker.children cimport Children
from fastsched.worker.context cimport CurrentTask
from fastsched.worker.desk cimport Desk
from fastsched.worker.drops cimport chain_of
from fastsched.worker.jobs cimport Child, Job

cdef int WAITING
cdef int READY
cdef int RUNNING
cdef int AWAY


@cython.final
cdef class Told:
    cdef Desk desk
    cdef tuple attempts
    cdef set fids


@cython.final
cdef class Waits:
    cdef Children _children
    cdef object _numbers
    cdef readonly dict told

    @cython.locals(desk=Desk, awaited=list, attempts=tuple, due=bint, known=Told)
    cpdef bint tell(self, CurrentTask task, list fids, bint first) except -1
    cpdef str over(self, Desk desk)

    @cython.locals(told=Told, desk=Desk)
    cpdef found(self, object message)

    @cython.locals(children=Children, job=Job, child=Child, due=bint, attempts=list)
    cdef tuple _attempts(self, CurrentTask task)

    @cython.locals(child=Child, found=list, open=bint)
    cdef list _awaited(self, list fids, bint first)
