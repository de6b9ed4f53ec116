# The types of channel.py. What is public is set by the client inside the worker.

cimport cython

from fastsched.wire.runs cimport as_items


@cython.final
cdef class WorkerClientChannel:
    cdef object _forward
    cdef bint _open
    cdef public object on_message
    cdef public object on_closed
    cdef public object on_turn
    cdef public object on_ends
    cdef public object on_parted
    cdef public object flush_client

    cpdef send(self, object message)
    cpdef send_all(self, list messages)
    cpdef send_items(self, list items)
    cpdef part(self, str text)
    cpdef deliver(self, list messages)
    cpdef tell_ends(self, list finished, list erred)
