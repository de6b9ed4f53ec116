# The types of seek.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.books cimport Books
from fastsched.scheduler.records cimport ClientRecord, WorkerRecord
from fastsched.scheduler.task cimport TaskRecord
from fastsched.wire.items cimport quoted

cdef int _WAITING
cdef int _SEEK
cdef int _CANCELLED
cdef int _DATA_LOST
cdef int64_t MOST_ROUNDS


@cython.final
cdef class Search:
    cdef readonly int64_t task_id
    cdef readonly int64_t number
    cdef readonly dict waiting
    cdef readonly bint again
    cdef readonly int64_t rounds


@cython.final
cdef class Seeking:
    cdef Books _books
    cdef int64_t _last
    cdef readonly dict sought
    cdef readonly dict open
    cdef readonly dict condemned

    @cython.locals(books=Books, record=TaskRecord)
    cpdef enter(self, ClientRecord client, int64_t fid, str key)
    cpdef bint is_sought(self, TaskRecord record) except -1

    @cython.locals(search=Search)
    cpdef wanted_again(self, TaskRecord record)

    @cython.locals(core=SchedulerCore)
    cpdef bint condemn(self, ClientRecord client, TaskRecord record, str text) except -1

    @cython.locals(text=str)
    cpdef bint may_be(self, TaskRecord record, ClientRecord client, object sources) except -1

    @cython.locals(search=Search)
    cpdef bint found(self, TaskRecord record) except -1

    @cython.locals(search=Search)
    cpdef ask(self, TaskRecord record)

    @cython.locals(search=Search)
    cpdef ended(self, TaskRecord record)

    @cython.locals(search=Search)
    cpdef forget(self, TaskRecord record)

    cpdef unfounded(self, TaskRecord record)

    @cython.locals(search=Search, number=int64_t)
    cpdef answered(self, WorkerRecord worker, object numbers)

    @cython.locals(search=Search)
    cpdef gone(self, WorkerRecord worker)

    @cython.locals(worker=WorkerRecord)
    cpdef look(self)

    @cython.locals(client=ClientRecord, worker=WorkerRecord, askers=set)
    cdef _ask(self, Search search, TaskRecord record)

    @cython.locals(core=SchedulerCore, task_id=int64_t, record=TaskRecord)
    cdef _go_on_without(self, Search search, WorkerRecord worker)

    @cython.locals(worker=WorkerRecord)
    cdef _close(self, Search search)
    cdef _give_up(self, TaskRecord record)

    @cython.locals(books=Books, wants=int64_t)
    cdef bint _is_used(self, TaskRecord record) except -1

    @cython.locals(source=TaskRecord, other=TaskRecord, seen=set, todo=list, further=list)
    cdef bint _is_among(self, TaskRecord record, object sources) except -1
