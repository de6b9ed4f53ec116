"""A system call: to be killed when one's parent dies.

One concern: this call, which the standard library lacks; `ctypes` takes 3 ms to import, at the start of each cluster.
Called by `helper`. Described in _fate.pyi. Imports nothing.
"""

from cpython.exc cimport PyErr_SetFromErrno

cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/prctl.h>
    static int fastsched_die_with_parent(int number) {
        return prctl(PR_SET_PDEATHSIG, number, 0, 0, 0);
    }
    #else
    static int fastsched_die_with_parent(int number) { return 0; }
    #endif
    """
    int fastsched_die_with_parent(int number) nogil


def die_with_parent(int number):
    if fastsched_die_with_parent(number) != 0:
        PyErr_SetFromErrno(OSError)
