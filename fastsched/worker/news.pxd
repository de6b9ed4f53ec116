# The types of news.py. The lists are public: the machine and its joins append to them.

cimport cython

from fastsched.wire.items cimport make


@cython.final
cdef class News:
    cdef readonly list finished
    cdef readonly list erred
    cdef readonly list returned
    cdef readonly list missing
    cdef readonly list replicas
    cdef public Py_ssize_t lent
    cdef Py_ssize_t _told_lent
    cdef Py_ssize_t _batch_items
    cdef Py_ssize_t _slots

    cpdef bint waits(self)
    cpdef forget(self)

    @cython.locals(finished=list, erred=list, returned=list, missing=list, replicas=list, most=Py_ssize_t, lent=Py_ssize_t, at=Py_ssize_t)
    cpdef list take(self)
