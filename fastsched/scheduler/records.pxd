# The types of records.py. `public` and `readonly`: for `invariants` and for tests.

cimport cython
from libc.stdint cimport int32_t, int64_t

from fastsched.scheduler.outbox cimport Outbox


@cython.final
cdef class Function:
    cdef readonly bytes fn
    cdef readonly object frames
    cdef public Py_ssize_t users


@cython.final
cdef class TaskRecord:
    # -- the specification
    cdef public int64_t id
    cdef readonly str key
    cdef readonly Function function
    cdef readonly object args
    cdef readonly tuple dependencies
    cdef readonly tuple pins
    # -- who is to be told
    cdef public ClientRecord client
    cdef public object fid
    cdef public int64_t inlined
    cdef public list others
    # -- the outcome
    cdef public str type_name
    cdef public int64_t nbytes
    cdef public object frames
    cdef public tuple value_pins
    cdef public object error
    # -- the attempts
    cdef public int64_t retries
    cdef public int32_t failures
    cdef public int32_t misses
    # -- how it stands
    cdef public unsigned char keyed
    cdef public unsigned char kept
    cdef public unsigned char settled


@cython.final
cdef class ClientRecord:
    cdef readonly object peer
    cdef readonly str name
    cdef readonly Outbox outbox
    cdef public dict futures
    cdef public object functions
    cdef readonly dict inlined
    cdef public int64_t inlined_bytes


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
    cdef public bint suspect
    cdef public int64_t limit
    cdef public int64_t lent
    cdef public double mean
    cdef public double heard
    cdef public double asked
    cdef public double patience
