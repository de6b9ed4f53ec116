# Types for the compiled calls.py.

from fastsched.wire.payload.futures cimport flat, plain, scalar, scalars_and_futures
from fastsched.wire.payload.pickling cimport plainly, unpickled

cpdef tuple dumps_call(tuple args, dict kwargs, object what)
cdef bint _plain(object arguments) except -1
cdef tuple _with_futures(tuple args, dict kwargs)
