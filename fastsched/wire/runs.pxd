# Types for the compiled runs.py.

cimport cython

from fastsched.wire.items cimport make

cdef dict _GROUPS


@cython.locals(start=Py_ssize_t, stop=Py_ssize_t, total=Py_ssize_t, end=Py_ssize_t, messages=list)
cpdef list as_messages(list queue, Py_ssize_t most)
cpdef list as_items(object message)
cdef object _kind_of_run(list queue, Py_ssize_t start)
cdef bint _joins(object kind, object before, object group) except -1


@cython.locals(functions=list, items=list, at=Py_ssize_t)
cdef object _message(object group, list queue, Py_ssize_t start, Py_ssize_t stop)
