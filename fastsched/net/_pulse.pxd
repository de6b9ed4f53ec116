# The pulse of a process: see _pulse.pyi.

from fastsched.net._socket cimport Seam, fastsched_seam

cdef extern from *:
    """
    #include <pthread.h>
    #include <stdint.h>
    #include <sys/types.h>
    #ifndef FASTSCHED_PULSE
    #define FASTSCHED_PULSE
    typedef struct {
        fastsched_seam *seam;
        double every;
        int bell[2];
        int64_t holds;  /* these are shared with Python's threads: */
        int told;
        int rests;
        int stops;
        pthread_t thread;
        pid_t process;  /* 0: there is no thread */
    } fastsched_pulse;
    #endif
    """
    ctypedef struct fastsched_pulse:
        fastsched_seam *seam
        double every
        int *bell


cdef class Heart:
    cdef Seam seam
    cdef fastsched_pulse pulse

    cpdef int hold(self, long long rows) except -1
    cpdef int told(self, long long rows) except -1
