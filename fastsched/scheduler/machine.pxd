# The types of machine.py.

cimport cython

from fastsched.scheduler.books cimport Books
from fastsched.scheduler.claims cimport Claims
from fastsched.scheduler.circles cimport Circles
from fastsched.scheduler.demand cimport Demand
from fastsched.scheduler.effects cimport Effects
from fastsched.scheduler.futures cimport Futures
from fastsched.scheduler.outbox cimport Outbox
from fastsched.scheduler.prefill cimport Prefill
from fastsched.scheduler.publish cimport Publishing
from fastsched.scheduler.records cimport ClientRecord, WorkerRecord
from fastsched.scheduler.reports cimport Reports
from fastsched.scheduler.seek cimport Seeking
from fastsched.scheduler.silence cimport Silence
from fastsched.wire.items cimport make, quoted

cdef int _WAITING
cdef int _READY
cdef int _ASSIGNED
cdef int _CLIENT
cdef int _WORKER
cdef int _WORKER_LOST
cdef int _NO_WORKERS

cdef class SchedulerMachine:
    cdef object _config
    cdef object _name
    cdef object _version
    cdef double _now
    cdef object _given_up
    cdef list _actions
    cdef readonly Books books
    cdef Prefill _prefill
    cdef object _scattering
    cdef Seeking _seeking
    cdef Futures _futures
    cdef Publishing _publishing
    cdef Demand _demand
    cdef Circles _circles
    cdef Reports _reports
    cdef Effects _effects
    cdef Claims _claims
    cdef object _calls
    cdef object _retirement
    cdef Silence _silence
    cdef object _heritage

    @cython.locals(client=ClientRecord)
    cpdef receive(self, object peer, object message, double now)

    @cython.locals(worker=WorkerRecord)
    cpdef congested(self, object peer, bint full, double now)
    cpdef next_deadline(self)

    @cython.locals(client=ClientRecord)
    cpdef heard(self, object peer, double now)
    cdef _hear(self, ClientRecord client, double now)

    @cython.locals(books=Books, actions=list, staying=list, dirty=list, outbox=Outbox, worker=WorkerRecord)
    cpdef list drain(self, bint patient=*)
    cpdef bint has_left(self)

    @cython.locals(worker=WorkerRecord, brings=Py_ssize_t)
    cdef bint _may_stay(self, Outbox outbox) except -1
    cdef _take_in(self, ClientRecord client, object message, double now)

    @cython.locals(worker=WorkerRecord)
    cdef _pulse(self, ClientRecord client, double now)
    cdef _claim(self, ClientRecord client, object message)
    cdef WorkerRecord _worker(self, ClientRecord client)
