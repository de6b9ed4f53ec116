# The types of relays.py.

cimport cython

from fastsched._wait cimport TurnLock, monotonic
from fastsched.net._pump cimport Pump
from fastsched.worker.context cimport CurrentTask
from fastsched.worker.desk cimport Desk
from fastsched.worker.nest cimport Nest

cdef Py_ssize_t NO_SEAT


@cython.final
cdef class Relay:
    cdef readonly CurrentTask task
    cdef readonly list fids
    cdef readonly bint until_error
    cdef readonly Py_ssize_t most


@cython.final
cdef class Relays:
    cdef Nest _nest
    cdef object _host
    cdef TurnLock _lock
    cdef Pump _pump
    cdef dict _parked
    cdef object _threads

    @cython.locals(desk=Desk, other=Desk, began=double)
    cpdef pass_on(self, CurrentTask task, list fids, bint until_error, Py_ssize_t most)

    @cython.locals(relay=Relay, outer=CurrentTask, task=CurrentTask, waiting=Desk)
    cpdef carry_on(self, Desk desk)
    cdef _move(self, Desk desk, Desk other)
