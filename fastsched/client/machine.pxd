# Types for the compiled machine.py.

cimport cython

from fastsched.client.recipes cimport Recipes
from fastsched.client.record cimport FutureRecord
from fastsched.wire.items cimport fields, make, quoted
from fastsched.wire.runs cimport as_messages

cdef int _BY_CANCEL
cdef int _DATA_LOST
cdef int _SCHEDULER_LOST
cdef int _SERIALIZATION


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
    cdef Recipes _recipes
    cdef bint _away
    cdef dict _strays
    cdef list _later
    cdef list _out
    cdef list _actions

    cpdef submit(self, FutureRecord record, object item, object function)

    @cython.locals(record=FutureRecord)
    cpdef release(self, object fid)
    cpdef receive(self, object peer, object message, double now)
    cpdef bint has_deadline(self)

    cpdef list drain(self)
    cpdef bint has_actions(self)
    cpdef bint has_outgoing(self)
    cpdef list outgoing(self)

    @cython.locals(record=FutureRecord)
    cpdef ended(self, object finished, object erred)
    cdef _end_all(self, object error)
    cdef _end_calls(self, object error)
    cdef tuple _known(self, tuple fids)

    @cython.locals(record=FutureRecord)
    cdef bint _depends_on_stray(self, object fid, object item) except -1
    cdef object _without_strays(self, object item)
    cdef object _pinned_by_known(self, object message)
    cdef bint _enter(self, FutureRecord record) except -1
    cdef _intern(self, object fn, object frames)

    @cython.locals(record=FutureRecord)
    cdef _report(self, object finished, object erred, object lost)

    @cython.locals(record=FutureRecord)
    cdef _finish(self, object item, bint always)
    cdef _cancelled(self, FutureRecord record, str text)
    cdef _end(self, FutureRecord record, object status, object error)
    cdef _answer_fetch(self, FutureRecord record, object frames)
    cdef _locate(self, FutureRecord record)

    @cython.locals(record=FutureRecord)
    cdef _located(self, object fid, object id, object frames, object addresses, double now)
    cdef _resume_fetch(self, FutureRecord record)
