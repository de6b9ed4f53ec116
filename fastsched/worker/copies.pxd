# The types of copies.py.

cimport cython

from fastsched.worker.jobs cimport Entry
from fastsched.worker.news cimport News
from fastsched.worker.rows cimport Rows
from fastsched.worker.store cimport Value


@cython.final
cdef class Copies:
    cdef Rows _rows
    cdef News _news

    @cython.locals(stale=Py_ssize_t)
    cdef Py_ssize_t put(self, object message) except -1

    @cython.locals(stale=Py_ssize_t)
    cdef Py_ssize_t replicate(self, object message) except -1

    @cython.locals(rows=Rows, value=Value)
    cdef bint _put(self, object item) except -1

    @cython.locals(rows=Rows, value=Value, entry=Entry)
    cdef bint _replicate(self, object item) except -1
