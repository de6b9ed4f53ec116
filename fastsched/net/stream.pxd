# Types for the compiled stream.py.

cimport cython

from fastsched._wait cimport TurnLock, monotonic
from fastsched.net._pump cimport Pump
from fastsched.net._socket cimport Seam

cdef int _OPEN
cdef int _FLUSHING
cdef int _CLOSED


cdef class Stream:
    cdef object __weakref__
    cdef public object on_message
    cdef public object on_closed
    cdef public object on_full
    cdef public object on_drained
    cdef readonly object role
    cdef readonly str label
    cdef object _sock
    cdef int _fd
    cdef object _loop
    cdef Pump _pump
    cdef object _scratch
    cdef object _room  # as much of it as is read at once
    cdef object _config
    cdef object _decoder
    cdef TurnLock _lock
    cdef object _backlog
    cdef Py_ssize_t _buffered
    cdef bint _full
    cdef bint _writer_armed
    cdef int _state
    cdef readonly bint paused
    cdef readonly bint broken
    cdef bint _given_up  # nothing more is read, and the loop's thread will end it
    cdef object _deadline
    cdef Seam _seam  # where beats may be put in, if any are
    cdef readonly Py_ssize_t reads

    cpdef send(self, object message)

    @cython.locals(pieces=list)
    cpdef send_all(self, list messages)

    @cython.locals(rest=list)
    cdef _send(self, list pieces)
    cdef _keep(self, list pieces)

    @cython.locals(messages=list)
    cdef _take(self, object data)

    @cython.locals(room=Py_ssize_t)
    cdef _learn(self, Py_ssize_t size, double seconds)


@cython.locals(size=Py_ssize_t)
cdef list _joined(list pieces)


@cython.locals(sent=Py_ssize_t, size=Py_ssize_t, index=Py_ssize_t)
cdef list _write(int fd, list pieces, Seam seam)
