# Types for the compiled pickling.py.

from fastsched.wire.items cimport make
from fastsched.wire.payload.futures cimport plain

cdef dict _NAMES

cpdef tuple frames_and_futures(object obj, object what, bint snapshot=*)
cpdef tuple plainly(object obj)
cpdef str type_name(object value)
cpdef object unpickled(object frames, bint own=*)
