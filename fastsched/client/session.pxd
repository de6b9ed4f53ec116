# Types for the compiled session.py.

cimport cython

from fastsched._wait cimport TurnLock, Waiter, in_turn, monotonic
from fastsched.client.machine cimport ClientMachine
from fastsched.client.record cimport FutureRecord
from fastsched.net._pump cimport Pump
from fastsched.wire.runs cimport as_messages


cdef class Session:
    cdef object __weakref__
    cdef readonly object config
    cdef ClientMachine _machine
    cdef object _loop
    cdef Pump _pump
    cdef TurnLock _lock
    cdef object _channel
    cdef object _items_go
    cdef object _data
    cdef object _inbox
    cdef object _requests
    cdef object _fids
    cdef dict _replies
    cdef dict _fetches
    cdef object _callbacks
    cdef object _alarm
    cdef readonly str ended
    cdef bint _dead
    cdef public bint forked

    cpdef FutureRecord new_record(self, str key)
    cpdef release(self, FutureRecord record)
    cpdef ensure_open(self)
    cpdef bint wait(self, Waiter waiter, object timeout) except -1

    @cython.locals(lock=TurnLock)
    cpdef received(self, object channel, object messages)
    cpdef take(self, object channel, object messages)

    cpdef ended_here(self, object finished, object erred)

    @cython.locals(machine=ClientMachine, packet=list, items=list)
    cpdef flush_machine(self)
    cdef _send(self, list packet)
    cdef _send_items(self, list items)
    cdef _take_inbox(self)
