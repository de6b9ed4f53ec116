# The types of nested.py: only what each wait of a task passes through.

cimport cython

from fastsched._wait cimport Waiter, may_wait, monotonic
from fastsched.client.record cimport FutureRecord
from fastsched.client.session cimport Session
from fastsched.worker cimport context
from fastsched.worker.context cimport CurrentTask


@cython.locals(record=FutureRecord)
cdef list _fids(object records)


cdef class _InTask:
    @cython.locals(task=CurrentTask, had=bint, over=bint)
    cpdef bint wait(self, Session session, Waiter waiter, object timeout) except -1

    @cython.locals(pause=double, waited=double, deadline=double, limited=bint)
    cdef bint _wait(self, CurrentTask task, Session session, Waiter waiter, object timeout) except -1

    @cython.locals(task=CurrentTask)
    cpdef run_children(self, object records, object timeout, bint until_error=*, Py_ssize_t most=*)

    @cython.locals(task=CurrentTask, record=FutureRecord, keys=tuple)
    cdef CurrentTask _waiting(self, object records)

    @cython.locals(task=CurrentTask)
    cpdef parent(self)
