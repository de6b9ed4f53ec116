# The types of reports.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.books cimport Books, weigh
from fastsched.scheduler.prefill cimport Prefill
from fastsched.scheduler.silence cimport Silence
from fastsched.scheduler.task cimport TaskRecord
from fastsched.scheduler.records cimport WorkerRecord
from fastsched.wire.items cimport make

cdef int _WAITING
cdef int _ASSIGNED
cdef int _FREE
cdef int _DATA_LOST


@cython.final
cdef class Reports:
    cdef Books _books
    cdef Prefill _prefill
    cdef Silence _silence
    cdef list _resting

    @cython.locals(seconds=double, lent=int64_t)
    cpdef done(self, WorkerRecord worker, object message, double now)
    cpdef next_deadline(self)
    cdef _rarer(self, WorkerRecord worker, object message, double now)

    @cython.locals(
        books=Books, core=SchedulerCore, handle=int, total=double, task_id=int64_t, run=int64_t, again=int64_t,
        nbytes=int64_t, micros=int64_t, record=TaskRecord,
    )
    cdef double _finished(self, WorkerRecord worker, object items) except? -1

    @cython.locals(core=SchedulerCore, books=Books, task_id=int64_t, run=int64_t, record=TaskRecord)
    cdef _erred(self, WorkerRecord worker, object report)
    cdef _disbelieve(self, TaskRecord record, WorkerRecord witness, bint everybody)

    @cython.locals(core=SchedulerCore, record=TaskRecord, waiting=bint)
    cdef _replica(self, WorkerRecord worker, int64_t task_id, int64_t nbytes)

    @cython.locals(core=SchedulerCore, handle=int)
    cdef _stale(self, WorkerRecord worker, int64_t task_id, int64_t run)

    @cython.locals(core=SchedulerCore, current=int64_t)
    cdef _check_claim(self, WorkerRecord worker, int64_t task_id, int64_t run)
