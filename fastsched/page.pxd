# The types of page.py.

cimport cython

cdef int _ASLEEP
cdef int _JOINED
cdef int _SIGUSR1


@cython.final
cdef class Page:
    cdef readonly str path
    cdef object _map
    cdef long long[:] _ids
    cdef list _free

    cpdef join(self)
    cpdef Py_ssize_t take(self) except? -1
    cpdef give(self, Py_ssize_t seat)
    cpdef write(self, Py_ssize_t seat, long long task)
    cpdef stir(self)
