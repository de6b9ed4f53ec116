# Types for the compiled machine.py.

cimport cython

from fastsched.client.record cimport FutureRecord
from fastsched.wire.items cimport make, quoted

cdef int _BY_CANCEL
cdef int _DATA_LOST
cdef int _SCHEDULER_LOST
cdef int _SERIALIZATION
cdef dict _GROUPS


cdef class ClientMachine:
    cdef object _config
    cdef readonly dict records
    cdef object _functions
    cdef dict _fetching
    cdef dict _misses
    cdef dict _resting
    cdef set _calls
    cdef set _kept
    cdef object _ended
    cdef list _out
    cdef list _actions

    cpdef submit(self, FutureRecord record, object item, object function)

    @cython.locals(record=FutureRecord)
    cpdef release(self, object fid)
    cpdef receive(self, object peer, object message, double now)
    cpdef bint has_deadline(self)

    @cython.locals(actions=list)
    cpdef list drain(self)
    cdef bint _enter(self, FutureRecord record) except -1
    cdef _intern(self, object fn, object frames)

    @cython.locals(record=FutureRecord)
    cdef _report(self, object finished, object erred, object lost)
    cdef _cancelled(self, FutureRecord record, str text)
    cdef _end(self, FutureRecord record, object status, object error)
    cdef _answer_fetch(self, FutureRecord record, object frames)
    cdef _locate(self, FutureRecord record)

    @cython.locals(record=FutureRecord)
    cdef _located(self, object fid, object id, object frames, object addresses)
    cdef _resume_fetch(self, FutureRecord record)

    @cython.locals(out=list, actions=list, entry=tuple, most=Py_ssize_t, start=Py_ssize_t, stop=Py_ssize_t, total=Py_ssize_t)
    cdef list _messages(self)


@cython.locals(functions=list, items=list, at=Py_ssize_t)
cdef object _message(object group, list out, Py_ssize_t start, Py_ssize_t stop)
