# The types of runner.py.

cimport cython
from libc.stdint cimport int64_t

from fastsched._wait cimport monotonic
from fastsched.wire.payload.calls cimport loads_call
from fastsched.wire.payload.pickling cimport frames_and_futures, type_name
from fastsched.worker.jobs cimport Function, Job
from fastsched.worker.store cimport Value


@cython.final
cdef class Outcome:
    cdef readonly object end
    cdef readonly int64_t micros
    cdef readonly tuple pins
    cdef public object result


@cython.locals(began=double, args=tuple, kwargs=dict)
cpdef Outcome run_job(Job job, str worker, object config)


@cython.locals(value=Value, frames=tuple, futures=tuple)
cpdef Outcome returned(Job job, str worker, object config, object result, int64_t micros)


cdef int64_t _micros_since(double began) except -1


@cython.locals(futures=list)
cdef object _load(Function function)


@cython.locals(frames=tuple)
cdef _ensure_it_can_travel(Value value, object config)
cpdef Outcome raised(Job job, str worker, object error, int64_t micros, int frames)
cdef Outcome _unusable(Job job, str worker, object what, object error)
cpdef Outcome dropped_before(Job job, str worker)
cpdef object could_not_start(Job job, str worker, object error)
