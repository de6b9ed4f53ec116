# The types of silence.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.books cimport Books
from fastsched.scheduler.records cimport ClientRecord, WorkerRecord
from fastsched.scheduler.task cimport TaskRecord

cdef int _WAITING
cdef int _READY
cdef int _ASSIGNED
cdef int _TELL_DROP
cdef int _TELL_FREE


@cython.final
cdef class Silence:
    cdef Books _books
    cdef double _beat
    cdef double _limit
    cdef double _ttl
    cdef object _due
    cdef readonly int64_t n_silent

    cpdef begins(self, WorkerRecord worker, double now)
    cpdef told(self, WorkerRecord worker, double now)
    cpdef returned(self, WorkerRecord worker, double now)
    cpdef gone(self, WorkerRecord worker)

    @cython.locals(core=SchedulerCore, moved=dict, other=int, run=int64_t)
    cpdef int64_t reclaim(self, WorkerRecord worker, int64_t task_id, int64_t attempt) except -1
    cpdef next_deadline(self)

    @cython.locals(late=double, worker=WorkerRecord, client=ClientRecord)
    cpdef list tick(self, double now)

    cdef _watch(self, WorkerRecord worker, double now)

    @cython.locals(heard=double)
    cdef _forgive(self, ClientRecord client, double now, double late)

    @cython.locals(core=SchedulerCore, handle=int)
    cdef bint _is_quiet(self, WorkerRecord worker) except -1

    @cython.locals(client=ClientRecord, when=double)
    cdef _judge(self, WorkerRecord worker, double now)
    cdef _wake(self, double when)
    cdef _take_back(self, WorkerRecord worker, double now)

    @cython.locals(worker=WorkerRecord, others=bint)
    cdef _move(self)

    @cython.locals(core=SchedulerCore, handle=int, begun=int64_t, flags=int, task_id=int64_t, run=int64_t, idle=int64_t)
    cdef _move_tasks(self, WorkerRecord worker)

    @cython.locals(
        books=Books, core=SchedulerCore, handle=int, other=int, record=TaskRecord, task_id=int64_t, dependent=int64_t,
        run=int64_t, state=int, blocked=bint,
    )
    cdef _move_values(self, WorkerRecord worker)

    @cython.locals(handle=int, audible=int)
    cdef bint _is_audible(self, int64_t task_id) except -1
