# The types of executor.py.

cimport cython

from fastsched._wait cimport TurnLock, Waiter, is_deep, may_wait, monotonic
from fastsched.net._pump cimport Pump
from fastsched.page cimport Page
from fastsched.worker.context cimport CurrentTask, Place, current, leave_place, take_place
from fastsched.worker.desk cimport Desk
from fastsched.worker.jobs cimport Brood, Child, Job
from fastsched.worker.machine cimport WorkerMachine
from fastsched.worker.nest cimport Nest
from fastsched.worker.relays cimport Relays
from fastsched.worker.reporting cimport report, report_child
from fastsched.worker.runner cimport Outcome, dropped_before, run_job

cdef Py_ssize_t NO_SEAT
cdef frozenset PLAIN


cdef int _READY


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
    cdef str _name
    cdef object _config
    cdef dict _parked
    cdef dict _rejoining
    cdef readonly dict desks
    cdef dict _lenders
    cdef dict _deep
    cdef readonly object coroutines
    cdef Relays _relays
    cdef object _numbers
    cdef Py_ssize_t _lends
    cdef bint _stopped

    @cython.locals(desk=Desk, job=Job, more=list)
    cpdef begin(self, list starts)

    @cython.locals(desk=Desk)
    cpdef Desk next_parked(self)
    cdef list _begin_in_new_thread(self, Job job)
    cpdef new_thread(self, Desk desk)

    @cython.locals(desk=Desk)
    cpdef stop(self)

    cpdef Brood brood(self)

    cpdef may_lend(self, Desk desk)
    cdef _strike(self, Desk desk)

    @cython.locals(desk=Desk)
    cpdef bint open_block(self, CurrentTask task) except -1

    @cython.locals(desk=Desk, lent=bint, lock=TurnLock)
    cpdef close_block(self, CurrentTask task)

    @cython.locals(desk=Desk, lock=TurnLock)
    cpdef bint begin_wait(self, CurrentTask task, Waiter waiter) except -1

    @cython.locals(desk=Desk)
    cpdef end_wait(self, CurrentTask task, bint had)

    @cython.locals(desk=Desk, child=Child, stack=list, lock=TurnLock, nest=Nest, lendable=bint, had=bint)
    cpdef run_children(self, CurrentTask task, object fids, bint until_error, Py_ssize_t most)
    cdef _as_before(self, CurrentTask task, bint had)

    @cython.locals(desk=Desk, away=double, lock=TurnLock, outcome=Outcome, failed=bint, ends=bint, nest=Nest, micros=double)
    cdef Child _run_child(self, CurrentTask task, Child child, list stack, bint until_error, bint last)

    @cython.locals(desk=Desk, machine=WorkerMachine, brood=Brood, now=double, moves=Py_ssize_t, asked=bint)
    cpdef bint unstick(self, CurrentTask task) except -1
    cdef Py_ssize_t _moves(self) except -1
    cdef bint _has_slot(self, Desk desk) except -1
    cdef _sit(self, Desk desk)
    cdef _stand_up(self, Desk desk)
    cdef list _secede(self, Desk desk)
    cpdef hand_over(self, object fids)

    @cython.locals(desk=Desk)
    cpdef tick(self)
    cdef _lend(self, Desk desk)

    @cython.locals(desk=Desk, again=bint, task=CurrentTask)
    cdef bint _look_at_long_ones(self) except -1

    @cython.locals(desk=Desk)
    cpdef secede(self, CurrentTask task)

    @cython.locals(desk=Desk, here=bint)
    cpdef rejoin(self, CurrentTask task)

    @cython.locals(moves=cython.Py_ssize_t)
    cdef _wait_for_slot(self, Desk desk, Job root)

    cpdef _work(self, Desk desk)

    @cython.locals(place=Place, job=Job, outcome=Outcome)
    cdef _run_jobs(self, Desk desk)

    @cython.locals(machine=WorkerMachine, lock=TurnLock, following=Job, starts=list, at=Py_ssize_t, plain=bint)
    cdef Job _settle(self, Desk desk, Job job, Outcome outcome)

    @cython.locals(waiter=Waiter, parked=dict, seconds=double)
    cdef Job _park(self, Desk desk)
