# Types for the compiled tokens.py.

cimport cython

from fastsched.wire.payload.futures cimport flat, scalar

cpdef bytes plain_token(object value)
cdef object _ordered(object value)
cdef bytes _leaf(bytes data)
cdef bytes _digest(object buffer)

cdef class _Open:
    cdef bytes tag
    cdef object parts
    cdef object order
    cdef list tokens
    cdef public object place
    cdef bytes closed(self)

cdef class _Writer:
    cdef bint numbered
    cdef dict known
    cdef list alive

    @cython.locals(stack=list, top=_Open, tokens=list, known=dict)
    cdef bytes token(self, object value)
    cdef object opened(self, object kind, object value)
    cdef object mapping(self, dict value)
    cdef _Open array(self, object numpy, object value)
    cdef _Open reduced(self, object kind, object value)
