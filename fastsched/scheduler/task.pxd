# What the scheduler knows of one task: see task.pyi. The fields are in an order that leaves no gaps: 128 bytes.

cimport cython
from libc.stdint cimport int32_t, int64_t

from fastsched.scheduler.records cimport ClientRecord, Function


@cython.final
cdef class Extras:
    cdef readonly tuple pins
    cdef public tuple value_pins
    cdef public tuple held
    cdef public list others
    cdef public int64_t parent


@cython.final
cdef class TaskRecord:
    # -- the specification: written once, when the record is made or by `specify`
    cdef readonly str key
    cdef readonly Function function
    cdef readonly object args  # to be read by args_of
    cdef readonly tuple dependencies
    # -- who is to be told
    cdef public ClientRecord client
    # -- the outcome
    cdef public str type_name
    cdef public object frames
    cdef public object error
    cdef readonly Extras extras
    cdef public int64_t nbytes
    # -- numbers
    cdef public int64_t id
    cdef public int64_t fid
    cdef public int32_t inlined
    # -- the attempts
    cdef public int32_t retries
    cdef public int32_t failures
    cdef public unsigned char misses
    # -- how it stands
    cdef public unsigned char keyed
    cdef public unsigned char kept
    cdef public unsigned char told


cpdef Extras extras_of(TaskRecord record)
cpdef tuple args_of(TaskRecord record)
cpdef specify(TaskRecord record, Function function, tuple args, tuple dependencies, tuple pins)
