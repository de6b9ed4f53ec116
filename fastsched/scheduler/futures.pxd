# The types of futures.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.books cimport Books, weigh
from fastsched.scheduler.task cimport TaskRecord, extras_of
from fastsched.scheduler.records cimport ClientRecord, Function
from fastsched.scheduler.seek cimport Seeking
from fastsched.wire.items cimport make

cdef int _ASSIGNED
cdef int _IN_MEMORY
cdef int _ERRED
cdef int _LOCATED
cdef int _CANCELLED
cdef int _NO_WORKERS
cdef int64_t MOST_RETRIES


@cython.final
cdef class Futures:
    cdef Books _books
    cdef Seeking _seeking
    cdef double _due

    @cython.locals(
        books=Books, record=TaskRecord, function=Function, fid=int64_t, inputs=tuple, pinned=tuple, priority=int64_t,
        retries=int64_t, parent=int64_t,
    )
    cpdef submit(self, ClientRecord client, object message)

    @cython.locals(books=Books, record=TaskRecord, fid=int64_t)
    cpdef want(self, ClientRecord client, object items)

    @cython.locals(books=Books, fid=int64_t)
    cpdef release(self, ClientRecord client, object fids)

    @cython.locals(books=Books, record=TaskRecord, fid=int64_t, state=int)
    cpdef keep(self, ClientRecord client, object fids)

    @cython.locals(books=Books, record=TaskRecord, fid=int64_t)
    cpdef cancel(self, ClientRecord client, object message)

    @cython.locals(books=Books, record=TaskRecord, fid=int64_t, weight=Py_ssize_t)
    cpdef locate(self, ClientRecord client, object fids)

    @cython.locals(books=Books, record=TaskRecord)
    cpdef gone(self, ClientRecord client, bint at_once, double now)

    @cython.locals(client=ClientRecord, leaving=list)
    cpdef tick(self, double now)
    cpdef next_deadline(self)
    cdef tuple _tasks_of(self, ClientRecord client, object fids)

    @cython.locals(books=Books, core=SchedulerCore)
    cpdef enter(self, TaskRecord record, int64_t priority, int64_t retries, int64_t parent, int wants)

    @cython.locals(books=Books, condemned=tuple, args=tuple, priority=int64_t, retries=int64_t, parent=int64_t)
    cpdef bint find(
        self, TaskRecord record, Function function, object item, tuple inputs, tuple pinned, int worker=*,
        int64_t nbytes=*
    ) except -1

    @cython.locals(books=Books)
    cdef _cancel_one(self, TaskRecord record, str text)

    @cython.locals(core=SchedulerCore)
    cdef int64_t _order(self, TaskRecord record, int64_t parent) except? -1

    @cython.locals(function=Function)
    cpdef Function function_of(self, ClientRecord client, object key, object fn)

    @cython.locals(books=Books, core=SchedulerCore, task_id=int64_t, dependent=TaskRecord)
    cdef _cancel_running(self, TaskRecord record)


@cython.locals(dependency=TaskRecord)
cdef object _ids_of(tuple inputs)
