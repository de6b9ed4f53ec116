# The types of news.py. The lists are public: the machine appends to them.

cimport cython

from fastsched.wire.items cimport make


@cython.final
cdef class News:
    cdef readonly list finished
    cdef readonly list erred
    cdef readonly list returned
    cdef readonly list missing
    cdef readonly list replicas
    cdef Py_ssize_t _told_lent
    cdef Py_ssize_t _batch_items

    cpdef bint waits(self, Py_ssize_t lent)

    @cython.locals(finished=list, erred=list, returned=list, missing=list, replicas=list, most=Py_ssize_t, at=Py_ssize_t)
    cpdef list take(self, Py_ssize_t lent)
