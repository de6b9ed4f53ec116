# The types of limits.py.

cimport cython

from fastsched.wire.items cimport fields, make
from fastsched.wire.runs cimport as_messages


@cython.locals(key=str, args=tuple)
cpdef ensure_it_can_leave(object kind, object item, object config)

cdef bint _is_small(tuple frames) except -1
