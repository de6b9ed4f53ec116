# The types of records.py. `public` and `readonly`: for `invariants` and for tests.

cimport cython
from libc.stdint cimport int64_t

from fastsched.scheduler.fids cimport Fids
from fastsched.scheduler.outbox cimport Outbox


@cython.final
cdef class Function:
    cdef readonly bytes fn
    cdef readonly object frames
    cdef public Py_ssize_t users


@cython.final
cdef class ClientRecord:
    cdef readonly object peer
    cdef readonly str name
    cdef readonly Outbox outbox
    cdef public Fids futures
    cdef public object functions
    cdef readonly dict inlined
    cdef public int64_t inlined_bytes
    cdef public double heard
    cdef public bint answered
    cdef public bint beats
    cdef public bint silent


@cython.final
cdef class WorkerRecord:
    cdef readonly object peer
    cdef readonly int handle
    cdef readonly Outbox outbox
    cdef readonly str name
    cdef readonly object pid
    cdef readonly int slots
    cdef readonly str address
    cdef readonly object memory_limit
    cdef readonly object functions
    cdef readonly ClientRecord client
    cdef public bint suspect
    cdef public bint full
    cdef public bint retiring
    cdef readonly object comebacks
    cdef public bint brings
    cdef public bint watched
    cdef public double returns
    cdef public dict moved
    cdef public int64_t owes
    cdef public int64_t limit
    cdef public int64_t lent
    cdef public double mean
    cdef public double heard
    cdef public double asked
    cdef public double patience
