# The types of circles.py.

cimport cython

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.books cimport Books
from fastsched.scheduler.records cimport ClientRecord, WorkerRecord
from fastsched.scheduler.task cimport TaskRecord
from fastsched.wire.items cimport make

cdef int _WAITING
cdef int _READY
cdef int _ASSIGNED
cdef int _EARLY


@cython.final
cdef class Wait:
    cdef readonly WorkerRecord worker
    cdef readonly object number
    cdef readonly tuple attempts
    cdef readonly tuple targets
    cdef readonly bint first
    cdef readonly object age


@cython.final
cdef class Circles:
    cdef Books _books
    cdef object _ages
    cdef readonly dict waits
    cdef readonly dict waiting

    @cython.locals(waits=dict, known=Wait, books=Books, targets=tuple, wait=Wait)
    cpdef report(self, ClientRecord client, WorkerRecord worker, object message)

    @cython.locals(wait=Wait)
    cpdef gone(self, WorkerRecord worker)

    @cython.locals(wait=Wait)
    cpdef look_again(self)

    @cython.locals(waits=dict)
    cdef _forget(self, Wait wait)

    @cython.locals(youngest=Wait, found=Wait, circle=list)
    cdef _look(self, Wait wait)

    @cython.locals(core=SchedulerCore, wait=Wait)
    cdef Wait _wait_of(self, object task_id)

    @cython.locals(core=SchedulerCore, state=int, wait=Wait)
    cdef tuple _needs(self, object task_id)

    cdef bint _is_open(self, object task_id) except -1

    @cython.locals(needs=dict, missing=dict, waiters=dict, moving=list, todo=list, found=tuple, first=bint)
    cdef list _circle(self, Wait wait)

    @cython.locals(home=Wait, before=dict, todo=list, way=list)
    cdef list _way_round(self, object start, dict needs, dict missing)

    @cython.locals(way=list, places=dict)
    cdef list _way_into(self, object start, dict needs, dict missing)
