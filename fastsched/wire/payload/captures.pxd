# Types for the compiled captures.py.

cpdef bint unchanged(list watches) except -1
