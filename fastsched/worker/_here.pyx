"""One object per thread, found without a lookup.

`threading.local` looks up a dictionary, and then an attribute in it, each time; tasks ask several times for each child that
they launch. Used by `context` alone; what the object is, it says there. See _here.pyi.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF, Py_XDECREF

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #define FASTSCHED_THREAD_LOCAL __declspec(thread)
    #else
    #define FASTSCHED_THREAD_LOCAL __thread
    #endif
    static FASTSCHED_THREAD_LOCAL PyObject *fastsched_here = NULL;
    """
    PyObject *fastsched_here


cpdef object here():
    if fastsched_here is NULL:
        return None
    return <object>fastsched_here


cpdef stay(object place):
    global fastsched_here
    cdef PyObject *before = fastsched_here
    if place is None:
        fastsched_here = NULL
    else:
        Py_INCREF(place)
        fastsched_here = <PyObject *>place
    Py_XDECREF(before)
