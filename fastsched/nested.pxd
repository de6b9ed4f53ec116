# The types of nested.py: only what each wait of a task passes through.

cimport cython

from fastsched._wait cimport Waiter, may_wait
from fastsched.client.record cimport FutureRecord
from fastsched.client.session cimport Session
from fastsched.worker cimport context
from fastsched.worker.context cimport CurrentTask


cdef class _InTask:
    @cython.locals(task=CurrentTask, had=bint, over=bint)
    cpdef bint wait(self, Session session, Waiter waiter, object timeout) except -1

    @cython.locals(pause=double, waited=double)
    cdef bint _wait(self, CurrentTask task, Session session, Waiter waiter, object timeout) except -1

    @cython.locals(task=CurrentTask, record=FutureRecord, fids=list, keys=tuple)
    cpdef run_children(self, object records, object timeout, bint until_error, Py_ssize_t most)

    @cython.locals(task=CurrentTask)
    cpdef parent(self)
