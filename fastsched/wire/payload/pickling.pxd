# Types for the compiled pickling.py.

from fastsched.wire.items cimport make
from fastsched.wire.payload.futures cimport plain

cpdef tuple plainly(object obj)
cpdef object unpickled(object frames, bint own=*)
