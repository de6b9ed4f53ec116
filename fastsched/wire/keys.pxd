# Types for the compiled keys.py.

from fastsched.wire.payload.futures cimport flat, is_future, plain, scalar, scalars_and_futures
from fastsched.wire.tokens cimport plain_token

cdef list _random

cpdef str task_key(str name, bytes fn_id, tuple args, dict kwargs)
cpdef str unique_key(str name)
cpdef str function_name(object fn)
cdef str _key(str name, bytes data)
cdef bint _sequences(tuple args) except -1
cdef bint _with_futures(object values) except -1
