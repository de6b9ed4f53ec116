# The types of demand.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched.scheduler.books cimport Books
from fastsched.scheduler.records cimport ClientRecord, WorkerRecord
from fastsched.wire.items cimport make


@cython.final
cdef class Demand:
    cdef Books _books
    cdef object _deadline
    cdef readonly dict surplus
    cdef readonly dict granted

    cpdef offered(self, WorkerRecord worker, int64_t tasks)
    cpdef answered(self, ClientRecord client)
    cpdef gone(self, WorkerRecord worker)

    @cython.locals(surplus=dict, idle=int64_t, worker=WorkerRecord, slots=int64_t)
    cpdef look(self, double now, int64_t expected=*)
    cpdef next_deadline(self)

    @cython.locals(best=WorkerRecord, worker=WorkerRecord, tasks=int64_t, most=int64_t)
    cdef WorkerRecord _richest(self)

    @cython.locals(taken=int64_t, slots=int64_t, until=double)
    cdef int64_t _taken(self, double now) except -1
    cdef _wake(self, double when)
