# Types for the compiled calls.py.

cimport cython

from fastsched.wire.payload.futures cimport flat, is_future, plain, resolving, scalar
from fastsched.wire.payload.pickling cimport plainly, unpickled

cpdef tuple dumps_call(tuple args, dict kwargs, object what)
cpdef tuple loads_call(object frames, object inputs=*, object what=*)
cdef bint _plain(object arguments) except -1
cdef list _put_back(list values, object spots, object inputs)


@cython.final
cdef class _Apart:
    cdef list futures
    cdef dict _places
    cdef set _known

    @cython.locals(values=list, spots=list, found=tuple)
    cdef tuple taken(self, object parts, bint inside)

    cdef object index(self, object future)
