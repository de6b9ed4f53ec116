# Types for the compiled calls.py.

cimport cython

from fastsched.client.handle cimport Handle
from fastsched.client.record cimport FutureRecord
from fastsched.client.session cimport Session
from fastsched.wire.items cimport make
from fastsched.wire.keys cimport function_name, task_key, unique_key
from fastsched.wire.payload.calls cimport dumps_call
from fastsched.wire.payload.table cimport FunctionTable


cdef FunctionTable _functions


@cython.final
cdef class Calls:
    cdef object _client
    cdef Session _session
    cdef bytes _fn
    cdef readonly tuple function
    cdef str _name
    cdef tuple _held
    cdef object _priority
    cdef object _retries
    cdef object _parent

    @cython.locals(record=FutureRecord, frames=tuple, dependencies=list, pins=list, needed=tuple, pinned=tuple)
    cpdef tuple task(self, str key, tuple args, dict kwargs, bint pure)

    @cython.locals(future=Handle, session=Session)
    cpdef object submit(self, str key, tuple args, dict kwargs, bint pure)

    @cython.locals(args=tuple, items=list, futures=list)
    cpdef tuple tasks(self, list keys, list arguments, dict kwargs, bint pure)


@cython.locals(future=Handle, record=FutureRecord, fids=list)
cpdef tuple fids_of(object futures, object client)
