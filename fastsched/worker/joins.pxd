# The types of joins.py.

cimport cython

from fastsched.wire.items cimport make
from fastsched.worker.jobs cimport Child
from fastsched.worker.lineage cimport held_keys
from fastsched.worker.nest cimport Nest
from fastsched.worker.news cimport News
from fastsched.worker.rows cimport Rows
from fastsched.worker.store cimport Value

cdef int _WAITING
cdef int _READY
cdef int _RUNNING
cdef int _DONE


@cython.final
cdef class Joins:
    cdef Rows _rows
    cdef Nest _nest
    cdef News _news
    cdef Py_ssize_t _inline_bytes
    cdef readonly dict joined

    cdef bint takes(self, Child child, object id, object attempt) except -1

    @cython.locals(child=Child)
    cdef adopted(self, object message)
    cdef bint finished(self, Child child, Value value, object micros, tuple pins) except -1
    cdef failed(self, Child child, object error)

    cdef drop(self, object id, object attempt)
    cdef give_back(self)
    cdef _part(self, object asked)
    cdef _answer(self, Child child, Value value, object asked, object micros, tuple pins)
