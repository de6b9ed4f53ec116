# The types of books.py. What is `public` or `readonly` is read by interpreted modules (`server`, `invariants`) and tests.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.scheduler.fids cimport Fids
from fastsched.scheduler.outbox cimport Outbox
from fastsched.scheduler.task cimport Extras, TaskRecord, extras_of, specify
from fastsched.scheduler.records cimport ClientRecord, Function, WorkerRecord
from fastsched.wire.items cimport make

cdef int _TELL_FINISHED
cdef int _TELL_ERRED
cdef int _RELEASED
cdef int _WAITING
cdef int _READY
cdef int _ASSIGNED
cdef int _IN_MEMORY
cdef int _ERRED
cdef int64_t _ROW
cdef int64_t MOST_INLINED

cpdef Py_ssize_t row_of(int64_t task_id) noexcept


@cython.locals(total=Py_ssize_t)
cpdef Py_ssize_t weigh(object frames) except -1


@cython.final
cdef class Books:
    cdef readonly object config
    cdef readonly SchedulerCore core
    cdef readonly list records
    cdef readonly dict keys
    cdef readonly dict holds
    cdef readonly dict functions
    cdef readonly dict clients
    cdef readonly list leaving
    cdef readonly dict workers
    cdef readonly dict names
    cdef readonly dict handles
    cdef readonly list dirty
    cdef public int64_t retained
    cdef readonly list passing
    cdef readonly int64_t inline_bytes
    cdef readonly int64_t inline_budget
    cdef readonly int64_t retain_budget
    cdef public object hopeless
    cdef public bint gathering

    # -- tasks
    @cython.locals(row=Py_ssize_t)
    cpdef enter(self, TaskRecord record, int64_t task_id)
    cpdef specify(self, TaskRecord record, Function function, tuple args, tuple dependencies, tuple pins)

    @cython.locals(pin=TaskRecord)
    cdef _use(self, TaskRecord record)

    cpdef TaskRecord record(self, int64_t task_id)

    @cython.locals(record=TaskRecord)
    cpdef TaskRecord at(self, Py_ssize_t row)

    @cython.locals(record=TaskRecord)
    cpdef TaskRecord task_of(self, object key)

    @cython.locals(pin=TaskRecord, task=TaskRecord)
    cpdef forget(self, TaskRecord record)
    cpdef unwant(self, TaskRecord record)

    @cython.locals(task_id=int64_t)
    cpdef hold(self, TaskRecord record)

    @cython.locals(task_id=int64_t, holds=int64_t)
    cpdef let_go(self, TaskRecord record)
    cpdef unkey(self, TaskRecord record)
    cpdef fail(self, TaskRecord record, object kind, object text, object worker=*)

    # -- values at hand
    @cython.locals(size=int64_t)
    cpdef keep_value(self, TaskRecord record, object frames)
    cpdef lose_value(self, TaskRecord record)

    @cython.locals(pin=TaskRecord, extras=Extras, pins=tuple)
    cpdef drop_value(self, TaskRecord record)

    @cython.locals(pin=TaskRecord, extras=Extras, fresh=list)
    cpdef pin_value(self, TaskRecord record, object pins)

    @cython.locals(record=TaskRecord)
    cpdef let_pass(self)

    @cython.locals(worker=WorkerRecord)
    cpdef tuple addresses(self, TaskRecord record, WorkerRecord but=*)

    # -- futures
    @cython.locals(extras=Extras, others=list, length=Py_ssize_t)
    cpdef attach(self, ClientRecord client, int64_t fid, TaskRecord record)

    @cython.locals(record=TaskRecord, row=Py_ssize_t)
    cpdef TaskRecord detach(self, ClientRecord client, int64_t fid)

    @cython.locals(futures=Fids, record=TaskRecord, tasks=list)
    cpdef list detach_all(self, ClientRecord client)

    @cython.locals(row=Py_ssize_t)
    cpdef TaskRecord future(self, ClientRecord client, int64_t fid)

    @cython.locals(pairs=list)
    cpdef list listeners(self, TaskRecord record)

    @cython.locals(extras=Extras, row=Py_ssize_t, client=ClientRecord, fid=int64_t, found=list)
    cdef list _others(self, TaskRecord record)
    cpdef tell(self, int kind, TaskRecord record)

    @cython.locals(size=int64_t)
    cpdef tell_one(self, int kind, TaskRecord record, ClientRecord client, int64_t fid)

    @cython.locals(size=int64_t)
    cdef _tell_finished(self, TaskRecord record, ClientRecord client, int64_t fid)

    @cython.locals(first=bint)
    cdef bint _spend(self, TaskRecord record, ClientRecord client, int64_t fid, int64_t size) except -1

    @cython.locals(state=int)
    cpdef tell_present(self, ClientRecord client, int64_t fid, TaskRecord record)

    # -- functions
    @cython.locals(function=Function)
    cpdef learn(self, ClientRecord client, object items)
    cpdef trim(self, ClientRecord client)
    cpdef unlearn(self, ClientRecord client)
    cdef _disuse(self, Function function)
    cpdef send_function(self, WorkerRecord worker, Function function)

    # -- peers
    cpdef WorkerRecord worker(self, int handle)

    @cython.locals(shut=bint)
    cpdef settle_open(self, WorkerRecord worker)
    cpdef Outbox outbox(self, object peer)
