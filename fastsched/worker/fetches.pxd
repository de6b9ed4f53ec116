# The types of fetches.py.

cimport cython

from fastsched.wire.items cimport make


@cython.final
cdef class _Fetching:
    cdef readonly list addresses
    cdef readonly str asked
    cdef readonly object nbytes
    cdef readonly object row


@cython.final
cdef class Fetches:
    cdef dict _fetching
    cdef list _asks
    cdef object _random

    @cython.locals(fetching=_Fetching)
    cpdef add(self, object id, object row, object nbytes, list addresses)

    @cython.locals(fetching=_Fetching)
    cpdef bint ask(self, object id) except -1

    @cython.locals(fetching=_Fetching)
    cpdef drop(self, object id)

    @cython.locals(fetching=_Fetching)
    cpdef object answered(self, object id, str address)

    @cython.locals(fetching=_Fetching)
    cpdef object row(self, object id)
    cpdef list take(self)
