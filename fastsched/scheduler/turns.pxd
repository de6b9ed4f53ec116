# Types for the compiled turns.py.

cimport cython

from fastsched._wait cimport TurnLock, monotonic
from fastsched.net._pump cimport Pump
from fastsched.scheduler.machine cimport SchedulerMachine


@cython.final
cdef class Peer:
    cdef readonly object number
    cdef readonly object role
    cdef readonly object channel
    cdef public object timer
    cdef public str worker
    cdef public bint registered
    cdef public list early
    cdef public str page
    cdef public Py_ssize_t reads


@cython.final
cdef class Turns:
    cdef readonly SchedulerMachine machine
    cdef readonly TurnLock lock
    cdef readonly dict peers
    cdef readonly dict channels
    cdef public bint closed
    cdef public object alarm_at
    cdef Pump _pump
    cdef object _troubles
    cdef bint _due
    cdef bint _left
    cdef bint _turning

    @cython.locals(lock=TurnLock)
    cpdef received(self, object channel, list messages)
    cpdef round_ended(self)

    @cython.locals(lock=TurnLock)
    cpdef turn_over(self)

    @cython.locals(peer=Peer, machine=SchedulerMachine, now=double)
    cpdef take(self, object channel, list messages)

    cpdef before_wait(self)
    cpdef tick(self)
    cpdef turn(self)

    @cython.locals(machine=SchedulerMachine)
    cdef _turn(self, bint patient)

    @cython.locals(packet=list)
    cdef _carry_out(self, list actions)

    @cython.locals(peer=Peer)
    cdef _send(self, object number, list packet)
