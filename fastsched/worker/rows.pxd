# The types of rows.py.

cimport cython

from fastsched._core cimport SchedulerCore
from fastsched.worker.fetches cimport Fetches
from fastsched.worker.jobs cimport Entry, Input
from fastsched.worker.store cimport Store, Value


@cython.final
cdef class Rows:
    cdef public str address
    cdef readonly SchedulerCore core
    cdef readonly int me
    cdef readonly dict jobs
    cdef readonly dict inputs
    cdef readonly dict ids
    cdef readonly Store store
    cdef readonly Fetches fetches

    # -- what the scheduler knows to be here
    cdef Entry entry(self, object row)
    cdef object add_held(self, object id, str key)
    cdef hold(self, Entry entry)
    cdef let_go(self, Entry entry)
    cdef unmap(self, Entry entry)

    @cython.locals(entry=Entry)
    cdef forget(self, object row)

    # -- inputs and values
    cdef bint obtainable(self, object item) except -1
    cdef list elsewhere(self, object addresses)
    cdef object input_row(self, object item)
    cdef fill(self, object row, object item)
    cdef bint keep(self, object row, Value value) except -1
    cdef house(self, str key, object id, Value value)

    @cython.locals(value=Value)
    cpdef object frames_of(self, object id)
