# The types of prefill.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.books cimport Books
from fastsched.scheduler.records cimport WorkerRecord

cdef int _RETRACT


@cython.final
cdef class Prefill:
    cdef Books _books
    cdef object _deadline
    cdef double _prefill_seconds
    cdef int64_t _prefill_most
    cdef int64_t _prefill_unknown
    cdef dict _asked
    cdef readonly set crowded

    cpdef joined(self, WorkerRecord worker)
    cpdef gone(self, WorkerRecord worker)

    @cython.locals(sample=double, part=double)
    cpdef heard(self, WorkerRecord worker, Py_ssize_t finished, double seconds, double now)
    cpdef returned(self, WorkerRecord worker)

    @cython.locals(core=SchedulerCore)
    cpdef assigned(self, WorkerRecord worker)

    @cython.locals(
        core=SchedulerCore, crowded=set, idle=int64_t, loads=list, load=int64_t, n=int64_t, worker=WorkerRecord,
        when=double, share=int64_t, attempts=list,
    )
    cpdef look(self, double now)

    @cython.locals(worker=WorkerRecord, tasks=int64_t, asked=int64_t, until=double)
    cpdef int64_t expected(self, double now) except -1
    cpdef next_deadline(self)

    @cython.locals(ahead=int64_t)
    cpdef int64_t limit_of(self, WorkerRecord worker) except -1
    cdef double _when(self, WorkerRecord worker, int64_t surplus) except? -1

    @cython.locals(limit=int64_t)
    cdef _set_limit(self, WorkerRecord worker)
