# The types of server.py. What is `public` or `readonly` is what tasks and tests ask of a worker.

cimport cython

from fastsched._wait cimport TurnLock, Waiter, monotonic
from fastsched.net._pulse cimport Heart
from fastsched.net._pump cimport Pump
from fastsched.page cimport Page
from fastsched.worker.channel cimport WorkerClientChannel
from fastsched.worker.context cimport CurrentTask
from fastsched.worker.desk cimport Desk
from fastsched.worker.drops cimport end_unwanted
from fastsched.worker.executor cimport Executor
from fastsched.worker.limits cimport ensure_it_can_leave
from fastsched.worker.machine cimport WorkerMachine
from fastsched.worker.nest cimport Nest
from fastsched.worker.waits cimport Waits


@cython.final
cdef class WorkerServer:
    cdef readonly str name
    cdef readonly str scheduler
    cdef readonly object nthreads
    cdef readonly object config
    cdef readonly object loop
    cdef readonly str address
    cdef readonly object closed
    cdef readonly bint refused
    cdef readonly TurnLock lock
    cdef readonly Pump pump
    cdef object _settings
    cdef WorkerMachine _machine
    cdef Page _page
    cdef Executor _executor
    cdef Waits _waits
    cdef double _flushed
    cdef WorkerClientChannel _client
    cdef object _peers
    cdef object _listener
    cdef object _scheduler
    cdef object _readers
    cdef Heart _heart  # None before it has started, and if it is to have no pulse
    cdef bint _ending
    cdef object _looking
    cdef object _comebacks

    @cython.locals(machine=WorkerMachine, lock=TurnLock, now=double, for_client=list, others=list)
    cpdef _received(self, object channel, list messages)

    @cython.locals(lock=TurnLock, starts=list, news=bint)
    cpdef round_ended(self)
    cpdef before_wait(self)
    cpdef tick(self)

    @cython.locals(lock=TurnLock, rest=list, packet=list)
    cpdef flush(self)

    cdef _send(self, object scheduler, list packet)
    cpdef _carry_out(self, list actions)
    cpdef _leave(self)

    @cython.locals(machine=WorkerMachine, packet=list, rest=list)
    cpdef _forward(self, list items)

    cdef _end_unwanted(self)

    @cython.locals(nest=Nest)
    cpdef tell_client(self)
    cpdef bint open_block(self, CurrentTask task) except -1
    cpdef close_block(self, CurrentTask task)
    cpdef bint begin_wait(self, CurrentTask task, Waiter waiter) except -1
    cpdef bint tell_wait(self, CurrentTask task, list fids, bint first) except -1

    @cython.locals(desk=Desk)
    cpdef str end_wait(self, CurrentTask task, bint had)
    cpdef run_children(self, CurrentTask task, object fids, bint until_error, Py_ssize_t most)
