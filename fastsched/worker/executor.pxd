# The types of executor.py.

cimport cython

from fastsched._wait cimport TurnLock, Waiter, may_wait
from fastsched.net._pump cimport Pump
from fastsched.page cimport Page
from fastsched.worker.context cimport CurrentTask, Place, take_place
from fastsched.worker.jobs cimport Job
from fastsched.worker.machine cimport WorkerMachine
from fastsched.worker.runner cimport Outcome, run_job
from fastsched.worker.store cimport Value

cdef Py_ssize_t NO_SEAT
cdef frozenset PLAIN


@cython.final
cdef class Executor:
    cdef WorkerMachine _machine
    cdef TurnLock _lock
    cdef Pump _pump
    cdef Page _page
    cdef object _host
    cdef object _flush
    cdef object _leave
    cdef double _idle_seconds
    cdef dict _parked
    cdef dict _rejoining
    cdef object _numbers
    cdef bint _stopped

    @cython.locals(desk=_Desk, job=Job, more=list)
    cpdef begin(self, list starts)

    @cython.locals(desk=_Desk)
    cdef _Desk _next_parked(self)
    cdef list _begin_in_new_thread(self, Job job)

    @cython.locals(desk=_Desk)
    cpdef stop(self)

    @cython.locals(desk=_Desk)
    cpdef secede(self, CurrentTask task)

    @cython.locals(desk=_Desk, here=bint)
    cpdef rejoin(self, CurrentTask task)

    @cython.locals(place=Place, job=Job, outcome=Outcome)
    cpdef _work(self, _Desk desk)

    @cython.locals(machine=WorkerMachine, lock=TurnLock, following=Job, starts=list, at=Py_ssize_t, plain=bint)
    cdef Job _settle(self, _Desk desk, Job job, Outcome outcome)

    @cython.locals(waiter=Waiter, parked=dict, surplus=bint)
    cdef Job _park(self, _Desk desk)


@cython.final
cdef class _Desk:
    cdef readonly Waiter waiter
    cdef public Job job
    cdef public Py_ssize_t seat

    cdef Job take_job(self)
