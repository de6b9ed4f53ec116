# The types of publish.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.books cimport Books, weigh
from fastsched.scheduler.futures cimport Futures
from fastsched.scheduler.records cimport ClientRecord, Function, WorkerRecord
from fastsched.scheduler.seek cimport Seeking
from fastsched.scheduler.task cimport Extras, TaskRecord, extras_of
from fastsched.wire.items cimport make

cdef int _LINEAGE
cdef int _RUNNING
cdef int _FINISHED
cdef int _FAILED
cdef int _IN_MEMORY
cdef int _ADOPT


@cython.final
cdef class Publishing:
    cdef Books _books
    cdef Futures _futures
    cdef Seeking _seeking
    cdef readonly dict open

    @cython.locals(lineage=dict)
    cpdef publish(self, ClientRecord client, WorkerRecord worker, object message)

    @cython.locals(lineage=dict, record=TaskRecord)
    cpdef close(self, ClientRecord client)

    @cython.locals(
        books=Books, core=SchedulerCore, fid=int64_t, stage=int, record=TaskRecord, sought=TaskRecord, is_new=bint,
        is_found=bint, is_there=bint, is_free=bint, task_id=int64_t, run=int64_t,
    )
    cdef _publish_one(self, ClientRecord client, WorkerRecord worker, dict lineage, object item)

    @cython.locals(
        function=Function, record=TaskRecord, inputs=tuple, pinned=tuple, held=tuple, task=TaskRecord, handle=int
    )
    cdef TaskRecord _enter(
        self, ClientRecord client, WorkerRecord worker, dict lineage, object item, TaskRecord sought
    )
    cdef tuple _tasks_of(self, ClientRecord client, dict lineage, object fids)
    cdef _hold(self, ClientRecord client, dict lineage, int64_t fid, TaskRecord record)

    @cython.locals(books=Books)
    cdef _take_value(self, TaskRecord record, object item, bint is_new)
    cdef _take_error(self, TaskRecord record, object item)


@cython.locals(stage=int64_t, nbytes=int64_t)
cdef _check_item(object item)
