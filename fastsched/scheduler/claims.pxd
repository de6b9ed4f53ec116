# The types of claims.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.books cimport Books
from fastsched.scheduler.effects cimport Effects
from fastsched.scheduler.records cimport WorkerRecord
from fastsched.scheduler.task cimport TaskRecord

cdef int _WAITING
cdef int _READY
cdef int _ASSIGNED
cdef int _TELL_RETRACT


@cython.final
cdef class Claims:
    cdef Books _books
    cdef Effects _effects
    cdef readonly dict asked

    @cython.locals(core=SchedulerCore, dependency=TaskRecord, state=int)
    cpdef claim(self, TaskRecord record, WorkerRecord worker)

    @cython.locals(worker=WorkerRecord)
    cpdef returned(self, object attempts)
    cpdef gone(self, WorkerRecord worker)

    @cython.locals(core=SchedulerCore, run=int64_t)
    cdef _send(self, int64_t task_id, WorkerRecord worker)

    @cython.locals(core=SchedulerCore, run=int64_t)
    cdef bint _ask_back(self, int64_t task_id, WorkerRecord worker) except -1
