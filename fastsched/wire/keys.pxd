# Types for the compiled keys.py.

from fastsched.wire.payload.futures cimport flat, plain, scalar, scalars_and_futures
from fastsched.wire.tokens cimport plain_token

cpdef str task_key(str name, bytes fn_id, tuple args, dict kwargs)
cdef str _key(str name, bytes data)
cdef str _key_by_token(str name, bytes fn_id, tuple args, dict kwargs)
cdef bint _sequences(tuple args) except -1
