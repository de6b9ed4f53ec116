# One thread that waits, and one lock: see _wait.pyi.

cdef extern from "pythread.h" nogil:
    ctypedef void *PyThread_type_lock


cdef class Waiter:
    cdef PyThread_type_lock lock  # held, but for the time between a nudge and the waiting thread's own taking
    cdef bint nudged
    cdef int bell  # to be rung as well while its thread reads messages instead of waiting here
    cdef unsigned long reader  # that thread, 0: none
    cdef readonly bint over

    cpdef int open(self) except -1
    cpdef int close(self) except -1
    cpdef int nudge(self) except -1
    cpdef bint block(self, double seconds=*) except -1
    cdef void reads(self, int bell) noexcept
    cdef void reads_no_more(self) noexcept


cdef class TurnLock:
    cdef PyThread_type_lock lock
    cdef unsigned long owner  # the thread that holds it, 0: none

    cpdef int acquire(self) except -1
    cpdef int release(self) except -1
    cpdef bint mine(self)


cpdef double monotonic()

# How long the calling thread may wait in one go, of these seconds (negative: no limit). The main thread shall look for
# signals now and then: one that comes after it has looked and before it waits, or in another thread, does not wake it.
cdef double at_once(double seconds) noexcept

# All about the calling thread.
cpdef bint in_turn()
cpdef bint may_wait()
cpdef bint is_deep()
cpdef int serve(bint begins=*) except -1
cdef void begin_turn() noexcept  # for steps that are turns, but under no lock
cdef void end_turn() noexcept

# A bell: a descriptor that becomes readable when somebody rings, from any thread, from finalizers, never blocking.
cdef int new_bell(int *ends) except -1  # ends[0] is for reading, ends[1] for ringing
cdef void ring(int end) noexcept
cdef void hush(int end) noexcept
