# The types of post.py.

cimport cython

from fastsched.wire.items cimport make
from fastsched.wire.runs cimport as_messages
from fastsched.worker.jobs cimport Function


@cython.final
cdef class Post:
    cdef Py_ssize_t _most_functions
    cdef Py_ssize_t _batch_items
    cdef list _queue
    cdef object _sent
    cdef object _mark

    cpdef add(self, object kind, object item)
    cpdef need(self, Function function)
    cpdef forget(self, object mark)
    cpdef bint any_strays(self, tuple fids) except -1
    cpdef bint waits(self)
    cpdef list take(self)
