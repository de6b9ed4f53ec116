# The types of context.py. What is `public` or `readonly` is read by `nested`.

cimport cython

from fastsched.worker._here cimport here, stay
from fastsched.worker.jobs cimport Job


@cython.final
cdef class CurrentTask:
    cdef readonly Job job
    cdef readonly object host
    cdef readonly object thread
    cdef readonly Job root
    cdef readonly CurrentTask outer
    cdef public bint inline
    cdef readonly bint on_loop
    cdef readonly bint over
    cdef public object awaits

    cpdef tuple keys(self)


@cython.final
cdef class Place:
    cdef readonly object host
    cdef public CurrentTask task
    cdef readonly bint shared


@cython.locals(place=Place, task=CurrentTask)
cpdef CurrentTask current()


@cython.locals(place=Place)
cpdef bint is_on_loop()


@cython.locals(place=Place)
cpdef object host()


@cython.locals(place=Place)
cpdef Place take_place(object worker, bint shared=*)
cpdef leave_place()
