# Types for the compiled table.py.

cimport cython

from fastsched.wire.payload.captures cimport unchanged


@cython.final
cdef class _Known:
    cdef object ref
    cdef tuple sent
    cdef list watches


@cython.final
cdef class FunctionTable:
    cdef dict _known

    @cython.locals(known=_Known)
    cpdef tuple identified(self, object fn)

    @cython.locals(known=_Known)
    cpdef register(self, bytes fn_id, object fn, tuple frames=*, object futures=*)
