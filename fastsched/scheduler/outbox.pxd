# The types of outbox.py.

cimport cython

from fastsched.wire.items cimport make

cdef int _RUN
cdef int _FREE
cdef int _DROP
cdef int _RETRACT
cdef int _PUT
cdef int _FINISHED
cdef int _ERRED
cdef int _LOST
cdef int _LOCATED
cdef int _ADOPT
cdef int _SEEK
cdef int _NONE


@cython.final
cdef class Outbox:
    cdef readonly object peer
    cdef public bint closed
    cdef Py_ssize_t _most
    cdef list _dirty
    cdef int _kind
    cdef list _batch
    cdef Py_ssize_t _weight
    cdef list _functions
    cdef list _messages

    cpdef add(self, int kind, object item, Py_ssize_t weight=*)
    cpdef add_function(self, object item, Py_ssize_t weight, bint evicts)
    cpdef send(self, object message)
    cpdef list take(self)
    cdef Py_ssize_t only_brings(self) except -2
    cdef _open(self, int kind)

    @cython.locals(kind=int, items=tuple, most=Py_ssize_t, functions=tuple, first=Py_ssize_t)
    cdef _seal(self)

cdef object _message(int kind, tuple functions, tuple items)
