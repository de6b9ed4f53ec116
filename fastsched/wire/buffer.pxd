# A buffer is a C struct with one field.

cimport cython


@cython.final
cdef class Buffer:
    cdef readonly object view  # a memoryview of bytes
