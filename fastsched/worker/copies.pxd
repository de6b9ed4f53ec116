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

    @cython.locals(rows=Rows, value=Value)
    cdef bint put(self, object item) except -1

    @cython.locals(rows=Rows, value=Value, entry=Entry)
    cdef bint replicate(self, object item) except -1
