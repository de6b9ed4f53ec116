# The types of machine.py. The class is not final: the simulation plants bugs in subclasses of it.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.wire.items cimport make, quoted
from fastsched.worker.copies cimport Copies
from fastsched.worker.jobs cimport Brood, Child, Entry, Function, Input, Job
from fastsched.worker.joins cimport Joins
from fastsched.worker.keepsakes cimport Keepsakes
from fastsched.worker.lineage cimport awaited_by
from fastsched.worker.nest cimport Nest
from fastsched.worker.news cimport News
from fastsched.worker.rows cimport Rows
from fastsched.worker.store cimport Value

cdef int _ASSIGN
cdef int _FREE
cdef int _FORGET
cdef int _FETCH
cdef int _REJOIN
cdef int _ERR
cdef int _WAITING
cdef int _READY
cdef int _ASSIGNED


cdef class WorkerMachine:
    cdef public str name
    cdef readonly Py_ssize_t stale
    cdef readonly Py_ssize_t overdrawn
    cdef readonly Py_ssize_t executed
    cdef readonly int64_t executed_micros
    cdef readonly Py_ssize_t inline
    cdef readonly int64_t inline_micros
    cdef Rows _rows
    cdef dict _functions
    cdef list _starts
    cdef list _answers
    cdef readonly News _news
    cdef Py_ssize_t _most_functions
    cdef Py_ssize_t _inline_bytes
    cdef dict _orders
    cdef readonly Nest nest
    cdef Joins _joins
    cdef Copies _copies
    cdef Keepsakes _keepsakes

    # -- orders
    @cython.locals(job=Job)
    cpdef receive(self, object peer, object message, object now)
    cdef _on_run(self, object message)

    @cython.locals(function=Function)
    cdef _learn(self, object item)

    @cython.locals(rows=Rows, function=Function, job=Job, key=str, text=str, child=Child)
    cdef _accept(self, object item)
    cpdef child_finished(self, Child child, Value value, object micros, tuple pins)
    cpdef child_failed(self, Child child, object error)
    cdef _no_order(self, Job job)

    @cython.locals(rows=Rows, old=Job, value=Value)
    cdef bint _replace(self, object id, object attempt) except -1
    cdef _give_way(self, Input entry)

    # -- inputs
    @cython.locals(rows=Rows, entry=Input)
    cdef _start_fetch(self, object row)

    @cython.locals(rows=Rows, job=Job)
    cdef _miss(self, Input entry)

    @cython.locals(rows=Rows)
    cpdef fetched(self, str address, object items, object now)
    cdef _fetched(self, Input entry, Value value)

    # -- the scheduler changes its mind
    @cython.locals(job=Job)
    cdef Job _current(self, object id, object attempt)

    @cython.locals(rows=Rows)
    cdef _forsake(self, Job job)

    @cython.locals(rows=Rows, entry=Entry)
    cdef _on_free(self, object message)

    @cython.locals(job=Job)
    cdef _on_retract(self, object message)

    @cython.locals(rows=Rows, job=Job)
    cdef _on_drop(self, object message)

    # -- news of the executor
    cpdef finished(self, Job job, Value value, object micros, tuple pins)

    @cython.locals(nbytes=Py_ssize_t)
    cdef _announce(self, Job job, Value value, object micros, tuple pins)
    cpdef failed(self, Job job, object error)
    cpdef bint has_room(self) except -1
    cpdef bint secede(self, Job job) except -1
    cpdef bint rejoin(self, Job job) except -1
    cpdef bint overdraw(self, Job job) except -1

    @cython.locals(core=SchedulerCore, jobs=dict)
    cpdef bint is_stuck(self, Brood brood, double seconds) except -1

    @cython.locals(job=Job, core=SchedulerCore, names=set)
    cpdef bint claim(self, Brood brood) except -1
    cdef _resumed(self, Job job)

    # -- what the turn brought
    @cython.locals(core=SchedulerCore, kind=int)
    cdef _settle(self)

    @cython.locals(rows=Rows, job=Job, entry=Entry)
    cdef _follow(self, int kind, object row, int64_t run)
    cdef _start(self, Job job, int64_t run)
    cpdef list starts(self)
    cpdef bint has_news(self) except -1
    cpdef list reports(self)
    cpdef list errands(self)
    cpdef list drain(self)

    @cython.locals(job=Job)
    cpdef part(self, set going, object mark, object error)
    cpdef list brought(self)

    # -- questions
    cpdef object frames_of(self, object id)
    cpdef tuple read(self, object ids)
