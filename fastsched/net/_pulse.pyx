"""The pulse of a process, whatever its interpreter does. Described in _pulse.pyi.

The thread is plain C: it has no thread state of Python and never takes the interpreter lock, so a C function that holds
that lock for a minute does not delay it. It sleeps until the next beat is due, and without a limit while nothing is
expected of it.
"""

cimport cython

from fastsched._wait cimport new_bell
from fastsched.net._socket cimport Seam

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <math.h>
    #include <poll.h>
    #include <pthread.h>
    #include <signal.h>
    #include <stdint.h>
    #include <string.h>
    #include <unistd.h>
    #define QUIET_BEATS 5  /* with nothing expected, until the thread sleeps without a limit */

    /* `owed`: it was told something, and no beat has left since. What has left just before is no answer to that. */
    static int pulse_expected(fastsched_pulse *pulse, int *owed) {
        if (__atomic_exchange_n(&pulse->told, 0, __ATOMIC_SEQ_CST)) *owed = 1;
        return *owed || __atomic_load_n(&pulse->holds, __ATOMIC_SEQ_CST) > 0;
    }

    static void *pulse_run(void *argument) {
        fastsched_pulse *pulse = argument;
        struct pollfd bell = {pulse->bell[0], POLLIN, 0};
        char drained[64];
        int quiet = 0, owed = 0, expected;
        double left;
    #if defined(__linux__)
        pthread_setname_np(pthread_self(), "fastsched-pulse");
    #endif
        while (!__atomic_load_n(&pulse->stops, __ATOMIC_SEQ_CST)) {
            expected = pulse_expected(pulse, &owed);
            if (!expected && ++quiet >= QUIET_BEATS) {
                __atomic_store_n(&pulse->rests, 1, __ATOMIC_SEQ_CST);
                expected = pulse_expected(pulse, &owed);  /* whoever told us before that did not ring */
            }
            left = pulse->every;
            if (expected) {
                quiet = 0;
                left = fastsched_beat(pulse->seam, pulse->every, &owed);
                if (left < 0) break;  /* the connection was closed */
            } else if (quiet >= QUIET_BEATS) left = -1;
            if (poll(&bell, 1, left < 0 ? -1 : (int) ceil(1e3 * left)) > 0) {
                if (!(bell.revents & POLLIN)) break;  /* somebody has closed all descriptors */
                while (read(bell.fd, drained, sizeof drained) == (ssize_t) sizeof drained) {}
            }
            __atomic_store_n(&pulse->rests, 0, __ATOMIC_SEQ_CST);
        }
        return NULL;
    }

    static int pulse_start(fastsched_pulse *pulse) {
        sigset_t all, before;
        int error;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);  /* signals are for threads that look at them */
        error = pthread_create(&pulse->thread, NULL, pulse_run, pulse);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (!error) pulse->process = getpid();
        return error;
    }

    static void pulse_ring(fastsched_pulse *pulse) {
        uint64_t one = 1;
        ssize_t ignored = write(pulse->bell[1], &one, sizeof one);
        (void) ignored;
    }

    static void pulse_tell(fastsched_pulse *pulse, int64_t holds, int told) {
        __atomic_store_n(&pulse->holds, holds, __ATOMIC_SEQ_CST);
        if (told) __atomic_store_n(&pulse->told, 1, __ATOMIC_SEQ_CST);
        if ((told || holds) && __atomic_load_n(&pulse->rests, __ATOMIC_SEQ_CST)) pulse_ring(pulse);
    }

    /* In a fork of the process there is no thread to be ended. */
    static void pulse_stop(fastsched_pulse *pulse) {
        if (pulse->process && pulse->process == getpid()) {
            __atomic_store_n(&pulse->stops, 1, __ATOMIC_SEQ_CST);
            pulse_ring(pulse);
            pthread_join(pulse->thread, NULL);
        }
        pulse->process = 0;
    }
    """
    int pulse_start(fastsched_pulse *pulse)
    void pulse_tell(fastsched_pulse *pulse, long long holds, int told)
    void pulse_stop(fastsched_pulse *pulse) nogil

cdef extern from "unistd.h" nogil:
    int close_fd "close" (int fd)


@cython.final
cdef class Heart:

    def __cinit__(self, Seam seam, double every):
        self.seam = seam
        self.pulse.seam = &seam.seam
        self.pulse.every = every
        self.pulse.bell[0] = self.pulse.bell[1] = -1
        new_bell(self.pulse.bell)
        cdef int error = pulse_start(&self.pulse)
        if error:
            raise OSError(error, "no thread can be started for the pulse")

    cpdef int hold(self, long long rows) except -1:
        pulse_tell(&self.pulse, rows, False)
        return 0

    cpdef int told(self, long long rows) except -1:
        pulse_tell(&self.pulse, rows, True)
        return 0

    def stop(self):
        with nogil:
            pulse_stop(&self.pulse)

    def __dealloc__(self):
        with nogil:
            pulse_stop(&self.pulse)
        if self.pulse.bell[0] >= 0:
            close_fd(self.pulse.bell[0])
        if self.pulse.bell[1] >= 0 and self.pulse.bell[1] != self.pulse.bell[0]:
            close_fd(self.pulse.bell[1])
