# The types of store.py.

cimport cython


@cython.final
cdef class Value:
    cdef readonly tuple frames
    cdef readonly str type_name
    cdef readonly Py_ssize_t nbytes
    cdef public bint pins


@cython.final
cdef class Store:
    cdef dict _values
    cdef readonly Py_ssize_t nbytes

    cpdef put(self, object row, Value value)
    cpdef Value get(self, object row)

    @cython.locals(value=Value)
    cpdef Value pop(self, object row)
