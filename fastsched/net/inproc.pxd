# Types for the compiled inproc.py.

cimport cython

from fastsched.net._pump cimport Pump


@cython.final
cdef class InprocEnd:
    cdef public object on_message
    cdef public object on_closed
    cdef public object on_turn
    cdef public object on_full
    cdef public object on_drained
    cdef readonly str label
    cdef Pump _pump
    cdef InprocEnd _peer
    cdef bint _open
    cdef bint _reported

    cpdef send(self, object message)
    cpdef send_all(self, list messages)
    cpdef shut(self)
