# The types of desk.py.

cimport cython

from fastsched._wait cimport Waiter
from fastsched.worker.context cimport Place
from fastsched.worker.jobs cimport Brood, Job

cdef Py_ssize_t NO_SEAT


@cython.final
cdef class Desk:
    cdef readonly Waiter waiter
    cdef public Job job
    cdef public Py_ssize_t seat
    cdef public object relay
    cdef public Job root
    cdef public Place place
    cdef public Brood brood
    cdef public Waiter blocked
    cdef public object wait
    cdef public str circle
    cdef public bint lendable
    cdef public bint listed
    cdef public bint deep
    cdef public int depth
    cdef public double away
    cdef public double since
    cdef public double moved
    cdef public long long steps
    cdef public long long moves
    cdef public long long seen
    cdef public long long still
    cdef public long long still_at

    cdef Desk passed_on(self)
    cdef Job take_job(self)
