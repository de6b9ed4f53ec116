"""A thread waits here until another one lets it go on.

One concern: this one primitive, in compiled code, so that a signal handler that raises strikes while the thread waits
(where it is expected) and nowhere else. Described in _wait.pyi. Imports nothing of fastsched.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno

import os
import threading

cdef extern from "pythread.h" nogil:
    ctypedef enum PyLockStatus:
        PY_LOCK_FAILURE
        PY_LOCK_ACQUIRED
        PY_LOCK_INTR
    PyThread_type_lock PyThread_allocate_lock()
    void PyThread_free_lock(PyThread_type_lock)
    int PyThread_acquire_lock(PyThread_type_lock, int)
    void PyThread_release_lock(PyThread_type_lock)
    PyLockStatus PyThread_acquire_lock_timed(PyThread_type_lock, long long microseconds, int interruptible)
    unsigned long PyThread_get_thread_ident()

cdef extern from *:
    """
    static int stack_is_deep(void) {
        PyThreadState *state = PyThreadState_Get();
    #if PY_VERSION_HEX >= 0x030C0000
        return state->py_recursion_remaining < state->py_recursion_limit / 2;
    #else
        return state->recursion_remaining < state->recursion_limit / 2;
    #endif
    }
    """
    int stack_is_deep()

cdef extern from *:
    """
    #include <time.h>
    static double fastsched_monotonic(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
    }
    """
    double fastsched_monotonic() nogil

cdef extern from *:
    """
    #include <fcntl.h>
    #include <stdint.h>
    #include <unistd.h>
    #if defined(__linux__)
    #include <sys/eventfd.h>
    static int bell_new(int *ends) {
        ends[0] = ends[1] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        return ends[0] < 0 ? -1 : 0;
    }
    #else
    static int bell_new(int *ends) {
        int i;
        if (pipe(ends) < 0) return -1;
        for (i = 0; i < 2; i++) {
            fcntl(ends[i], F_SETFL, O_NONBLOCK);
            fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        }
        return 0;
    }
    #endif
    static void bell_ring(int end) {
        uint64_t one = 1;
        ssize_t ignored = write(end, &one, sizeof one);  /* full: it rings already */
        (void) ignored;
    }
    static void bell_hush(int end) {
        char drained[512];
        while (read(end, drained, sizeof drained) == (ssize_t) sizeof drained) {}
    }
    """
    int bell_new(int *ends) nogil
    void bell_ring(int end) nogil
    void bell_hush(int end) nogil

cdef extern from *:
    """
    static __thread int turns_begun = 0;  /* and not ended, by this thread */
    static __thread int serving = 0;
    """
    int turns_begun
    bint serving


cdef int new_bell(int *ends) except -1:
    if bell_new(ends) < 0:
        PyErr_SetFromErrno(OSError)
    return 0


cdef void ring(int end) noexcept:
    bell_ring(end)


cdef void hush(int end) noexcept:
    bell_hush(end)

cdef double LONGEST = 4.0e6  # seconds: a wait without a limit is many of these
cdef double LOOK_SECONDS = 0.25  # see `at_once`


cpdef double monotonic():
    return fastsched_monotonic()


cpdef bint in_turn():
    return turns_begun > 0


cpdef bint is_deep():
    return stack_is_deep()


cpdef bint may_wait():
    return turns_begun == 0 and not serving


cpdef int serve(bint begins=True) except -1:
    global serving
    serving = begins
    return 0


cdef void begin_turn() noexcept:
    global turns_begun
    turns_begun += 1


cdef void end_turn() noexcept:
    global turns_begun
    turns_begun -= 1


cdef class Waiter:

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError("no room for a lock")
        PyThread_acquire_lock(self.lock, 0)

    def __dealloc__(self):
        if self.lock != NULL:
            if not self.nudged:
                PyThread_release_lock(self.lock)
            PyThread_free_lock(self.lock)

    cpdef int open(self) except -1:
        self.over = True
        return self.nudge()

    cpdef int close(self) except -1:
        self.over = False
        if self.nudged and PyThread_acquire_lock(self.lock, 0):
            self.nudged = False
        return 0

    cpdef int nudge(self) except -1:
        if not self.nudged:
            self.nudged = True
            PyThread_release_lock(self.lock)
        if self.reader and self.reader != PyThread_get_thread_ident():
            ring(self.bell)  # its thread does not wait here, but for messages; perhaps with a nudge left over
        return 0

    cdef void reads(self, int bell) noexcept:
        self.bell = bell
        self.reader = PyThread_get_thread_ident()

    cdef void reads_no_more(self) noexcept:
        self.reader = 0

    cpdef bint block(self, double seconds=-1.0) except -1:
        cdef PyLockStatus status
        cdef double left = seconds
        cdef double deadline
        cdef long long micros
        if PyThread_acquire_lock(self.lock, 0):
            self.nudged = False
            return True
        if seconds == 0.0:
            return False
        deadline = fastsched_monotonic() + seconds
        while True:
            left = at_once(left)
            micros = -1 if left < 0.0 else <long long> (1e6 * min(left, LONGEST)) + 1
            with nogil:
                status = PyThread_acquire_lock_timed(self.lock, micros, 1)
            if status == PY_LOCK_ACQUIRED:
                self.nudged = False
                return True
            PyErr_CheckSignals()
            if seconds >= 0.0:
                left = deadline - fastsched_monotonic()
                if left <= 0.0:
                    return False


cdef unsigned long main_thread = threading.main_thread().ident


def _after_fork():
    global main_thread
    main_thread = threading.main_thread().ident


os.register_at_fork(after_in_child=_after_fork)


cdef double at_once(double seconds) noexcept:
    if PyThread_get_thread_ident() != main_thread or 0.0 <= seconds <= LOOK_SECONDS:
        return seconds
    return LOOK_SECONDS


@cython.final
cdef class TurnLock:

    def __cinit__(self):
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError("no room for a lock")

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    cpdef int acquire(self) except -1:
        if self.mine():
            raise RuntimeError("a turn does not begin inside another one")
        if not PyThread_acquire_lock(self.lock, 0):
            with nogil:
                PyThread_acquire_lock(self.lock, 1)
        begin_turn()
        self.owner = PyThread_get_thread_ident()
        return 0

    cpdef int release(self) except -1:
        self.owner = 0
        end_turn()
        PyThread_release_lock(self.lock)
        return 0

    cpdef bint mine(self):
        return self.owner != 0 and self.owner == PyThread_get_thread_ident()

    def __enter__(self):
        self.acquire()

    def __exit__(self, kind, value, traceback):
        self.release()
