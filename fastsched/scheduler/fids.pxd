# A client's futures, by number: see fids.pyi.

cimport cython
from libc.stdint cimport int32_t, int64_t

cdef enum:
    BITS = 6
    SPAN = 1 << BITS  # numbers on a page
    NO_ROW = -1


@cython.final
cdef class Page:
    cdef int64_t number          # its first fid is number * SPAN
    cdef int32_t n               # rows on it
    cdef int32_t rows[SPAN]      # NO_ROW: there is no such future


@cython.final
cdef class Fids:
    cdef Py_ssize_t _n
    cdef dict _pages             # Page, by its number
    cdef Page _last              # that was looked at: the next fid is most often on it, too
    cdef int64_t _newest         # the largest number of a page: that one stays though it is empty

    cpdef int32_t row(self, int64_t fid) except -2
    cpdef int put(self, int64_t fid, int32_t row) except -1
    cpdef int32_t take(self, int64_t fid) except -2
    cpdef list items(self)
    cpdef list some(self, Py_ssize_t most)
    cdef Page _page(self, int64_t number)
    cdef _outdated(self)
    cdef _remove(self, Page page)
