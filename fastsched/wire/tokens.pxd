# Types for the compiled tokens.py.

from fastsched.wire.payload.futures cimport flat, scalar

cpdef bytes plain_token(object value)
cdef object _ordered(object value)
