# The types of effects.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.books cimport Books, weigh
from fastsched.scheduler.prefill cimport Prefill
from fastsched.scheduler.seek cimport Seeking
from fastsched.scheduler.task cimport TaskRecord, args_of
from fastsched.scheduler.records cimport Function, WorkerRecord
from fastsched.wire.items cimport make

cdef int _ASSIGN
cdef int _DROP
cdef int _FREE
cdef int _MEMORY
cdef int _ERR
cdef int _LOST
cdef int _FORGET
cdef int _FETCH
cdef int _WAITING
cdef int _READY
cdef int _IN_MEMORY
cdef int _ERRED
cdef int _TELL_RUN
cdef int _TELL_FREE
cdef int _TELL_DROP
cdef int _TELL_FINISHED
cdef int _TELL_ERRED
cdef int _TELL_LOST
cdef int _CANCELLED
cdef int _DATA_LOST


@cython.final
cdef class Effects:
    cdef Books _books
    cdef object _scattering
    cdef Seeking _seeking
    cdef Prefill _prefill

    @cython.locals(core=SchedulerCore, kind=int)
    cpdef apply(self)
    cdef _apply_one(self, int kind, int64_t task_id, int64_t a, int64_t b)

    @cython.locals(
        books=Books, core=SchedulerCore, record=TaskRecord, worker=WorkerRecord, function=Function, weight=Py_ssize_t,
        args=tuple, inputs=tuple, dependency=TaskRecord, priority=int64_t, order=int64_t,
    )
    cpdef assign(self, int64_t task_id, int handle, int64_t run)

    @cython.locals(books=Books, core=SchedulerCore, addresses=tuple)
    cdef _input(self, TaskRecord record, WorkerRecord worker)

    @cython.locals(books=Books, record=TaskRecord)
    cdef _free(self, int64_t task_id, int handle)

    @cython.locals(books=Books, record=TaskRecord)
    cdef _memory(self, int64_t task_id)

    @cython.locals(books=Books, record=TaskRecord)
    cdef _erred(self, int64_t task_id, int64_t cause)

    @cython.locals(record=TaskRecord)
    cdef _lost(self, int64_t task_id)

    @cython.locals(record=TaskRecord)
    cdef _forget(self, int64_t task_id)

    @cython.locals(books=Books, record=TaskRecord)
    cdef _fetch(self, int64_t task_id)
    cdef _done(self, TaskRecord record)

    @cython.locals(core=SchedulerCore, dependency=TaskRecord)
    cdef _inherited(self, TaskRecord record, int64_t cause)
    cdef _unexplained(self, TaskRecord record)
