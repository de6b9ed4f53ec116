# The types of machine.py. The class is not final: the simulation plants bugs in subclasses of it.

cimport cython
from libc.stdint cimport int64_t

from fastsched._core cimport SchedulerCore
from fastsched.wire.items cimport make, quoted
from fastsched.worker.fetches cimport Fetches
from fastsched.worker.jobs cimport Entry, Function, Input, Job
from fastsched.worker.news cimport News
from fastsched.worker.store cimport Store, Value

cdef int _ASSIGN
cdef int _FREE
cdef int _FORGET
cdef int _FETCH
cdef int _REJOIN
cdef int _ERR
cdef int _RELEASED
cdef int _WAITING
cdef int _READY
cdef int _ASSIGNED
cdef int _IN_MEMORY


cdef class WorkerMachine:
    cdef public str name
    cdef public str address
    cdef readonly Py_ssize_t stale
    cdef SchedulerCore _core
    cdef int _me
    cdef dict _jobs
    cdef dict _inputs
    cdef dict _ids
    cdef Store _store
    cdef dict _functions
    cdef Fetches _fetches
    cdef Py_ssize_t _lent
    cdef list _starts
    cdef list _answers
    cdef readonly News _news
    cdef Py_ssize_t _most_functions
    cdef Py_ssize_t _inline_bytes

    # -- orders
    cpdef receive(self, object peer, object message, object now)
    cdef _on_run(self, object message)

    @cython.locals(function=Function)
    cdef _learn(self, object item)

    @cython.locals(function=Function, job=Job, key=str, text=str)
    cdef _accept(self, object item)

    @cython.locals(old=Job, value=Value)
    cdef bint _replace(self, object id, object attempt) except -1
    cdef _give_way(self, Input entry)

    # -- inputs
    cdef bint _obtainable(self, object item) except -1
    cdef list _elsewhere(self, object addresses)
    cdef object _input_row(self, object item)
    cdef _fill(self, object row, object item)
    cdef bint _keep(self, object row, Value value) except -1

    @cython.locals(entry=Input)
    cdef _start_fetch(self, object row)

    @cython.locals(job=Job)
    cdef _miss(self, Input entry)
    cpdef fetched(self, str address, object items, object now)
    cdef _fetched(self, Input entry, Value value)
    cpdef fetch_failed(self, str address, object ids, object now)

    # -- the scheduler changes its mind
    cdef _hold(self, Entry entry)
    cdef _let_go(self, Entry entry)

    @cython.locals(job=Job)
    cdef Job _current(self, object id, object attempt)
    cdef _forsake(self, Job job)

    @cython.locals(entry=Entry)
    cdef _on_free(self, object message)

    @cython.locals(job=Job)
    cdef _on_retract(self, object message)

    @cython.locals(job=Job)
    cdef _on_drop(self, object message)
    cdef _on_put(self, object message)

    @cython.locals(value=Value)
    cdef _put(self, object item)

    # -- news of the executor
    cpdef finished(self, Job job, Value value, object micros, tuple pins)

    @cython.locals(nbytes=Py_ssize_t)
    cdef _announce(self, Job job, Value value, object micros, tuple pins)
    cpdef failed(self, Job job, object error)
    cpdef bint secede(self, Job job) except -1
    cpdef bint rejoin(self, Job job) except -1
    cdef _resumed(self, Job job)

    # -- what the turn brought
    @cython.locals(core=SchedulerCore, kind=int)
    cdef _settle(self)

    @cython.locals(job=Job)
    cdef _follow(self, int kind, object row, int64_t run)
    cdef _start(self, Job job, int64_t run)

    @cython.locals(entry=Entry)
    cdef _forget(self, object row)
    cdef _unmap(self, Entry entry)
    cpdef list starts(self)
    cpdef bint has_news(self) except -1
    cpdef list reports(self)
    cpdef list errands(self)
    cpdef list drain(self)

    # -- questions
    @cython.locals(value=Value)
    cpdef object frames_of(self, object id)
    cpdef tuple read(self, object ids)
