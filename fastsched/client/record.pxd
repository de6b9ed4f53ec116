# Types for the compiled record.py: what is made for every future, and asked for its state again and again.

from fastsched._wait cimport Waiter


cdef class FutureRecord:
    cdef readonly object fid
    cdef readonly str key
    cdef public object status
    cdef public str type_name
    cdef public object nbytes
    cdef public tuple frames
    cdef public object error
    cdef public dict observers
    cdef public bint released

    cpdef unwatch(self, object observer)


cdef class CountDown(Waiter):
    cdef bint _first_error
    cdef bint _first
    cdef set _missing


cdef class Next(Waiter):
    cdef dict _open


cdef class Reply(Waiter):
    cdef readonly bint ok
    cdef readonly object value
