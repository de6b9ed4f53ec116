# The types of jobs.py. What is `public` or `readonly` is read by interpreted modules (`context`) and tests.

cimport cython
from libc.stdint cimport int64_t


cdef double COARSE_MICROS
cdef double FINE_MICROS
cdef double MOST_MICROS
cdef double NEVER_RUN


@cython.final
cdef class Function:
    cdef readonly bytes fn
    cdef readonly tuple frames
    cdef public object call
    cdef public double micros
    cdef public bint coarse

    cpdef note(self, double micros)


cdef Py_ssize_t SMALL_CALL


@cython.locals(size=Py_ssize_t)
cpdef Py_hash_t call_of(bytes fn, tuple args) except? -1


cdef class Entry:
    cdef public object id
    cdef readonly str key
    cdef public object row
    cdef public bint held


cdef class Job(Entry):
    cdef public object attempt
    cdef public Function function
    cdef public tuple args
    cdef readonly object priority
    cdef readonly object order
    cdef public object inputs
    cdef public object values
    cdef public int64_t run
    cdef public bint wanted
    cdef public bint seceded
    cdef public bint started
    cdef public bint dropped
    cdef public bint on_loop
    cdef public Py_hash_t call

    cpdef int lends(self) except -2
    cpdef release(self)


@cython.final
cdef class Input(Entry):
    pass


@cython.final
cdef class Brood:
    cdef public list claimed
    cdef readonly dict ready
    cdef public long long progress
    cdef public long long seen
    cdef public bint over


@cython.final
cdef class Child(Job):
    cdef public int stage
    cdef readonly list fids
    cdef public object public
    cdef public object item
    cdef public tuple lineage
    cdef public tuple roots
    cdef public tuple pinned
    cdef public list dependents
    cdef public Py_ssize_t unmet
    cdef public bint ended
    cdef public Py_ssize_t needs
    cdef public Py_ssize_t retries
    cdef public tuple holds
    cdef public object value
    cdef public object error
    cdef public str type_name
    cdef public object nbytes
    cdef public Brood brood
    cdef public bint foreign
    cdef public list origin
    cdef public list asked
