# Types for the compiled results.py.

cimport cython

from fastsched.client.handle cimport Handle
from fastsched.client.record cimport CountDown, FutureRecord


@cython.locals(future=Handle, found=list)
cpdef list at_hand(list futures)


@cython.locals(future=Handle, values=list)
cpdef list loaded(list futures, list found, object client)


@cython.locals(record=FutureRecord, waiting=CountDown)
cpdef object awaited(Handle future, object timeout, object otherwise)


cdef tuple _arrived(FutureRecord record)
cdef object _value(FutureRecord record, tuple frames)
