# Types for the compiled handle.py.

cimport cython

from fastsched.client.record cimport FutureRecord

cdef class Handle:
    cdef readonly object client
    cdef readonly FutureRecord record

    @cython.locals(record=FutureRecord)
    cpdef release(self)
