# The types of jobs.py. What is `public` or `readonly` is read by interpreted modules (`context`) and tests.

cimport cython
from libc.stdint cimport int64_t


@cython.final
cdef class Function:
    cdef readonly bytes fn
    cdef readonly tuple frames
    cdef public object call
    cdef public double micros

    cpdef note(self, double micros)


cdef class Entry:
    cdef readonly object id
    cdef readonly str key
    cdef public object row
    cdef public bint held


@cython.final
cdef class Job(Entry):
    cdef public object attempt
    cdef readonly Function function
    cdef readonly tuple args
    cdef readonly object priority
    cdef readonly object order
    cdef public object inputs
    cdef public object values
    cdef public int64_t run
    cdef public bint wanted
    cdef public bint seceded
    cdef public bint started

    cpdef int lends(self) except -2
    cpdef release(self)


@cython.final
cdef class Input(Entry):
    pass
