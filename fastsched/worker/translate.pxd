# The types of translate.py.

cimport cython

from fastsched.wire.items cimport make
from fastsched.worker.children cimport Children
from fastsched.worker.jobs cimport Child
from fastsched.worker.store cimport Value

cdef int RUNNING
cdef int FAILED
cdef int AWAY


@cython.final
cdef class Translator:
    cdef Children _children

    cpdef list translated(self, object messages)

    @cython.locals(child=Child)
    cdef object _report(self, object message)

    @cython.locals(child=Child)
    cdef object _located(self, object message)
