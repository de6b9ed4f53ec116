# The types of keepsakes.py.

cimport cython

from fastsched.wire.items cimport make
from fastsched.worker.jobs cimport Entry, Job
from fastsched.worker.news cimport News
from fastsched.worker.rows cimport Rows
from fastsched.worker.store cimport Value


@cython.final
cdef class Keepsakes:
    cdef Rows _rows
    cdef News _news
    cdef Py_ssize_t _batch_items
    cdef readonly dict values
    cdef readonly dict orphans

    @cython.locals(rows=Rows, entry=Entry, value=Value, job=Job, ending=list)
    cdef list part(self, object jobs, set going)
    cdef parted(self)
    cdef finished(self, Job job, Value value, tuple pins)
    cdef failed(self, Job job)

    @cython.locals(value=Value, at=Py_ssize_t)
    cdef list brought(self)

    @cython.locals(rows=Rows, news=News, value=Value, job=Job)
    cdef list accepted(self, object items)
