# Who reads the connections of this process: see _pump.pyi.

from fastsched._wait cimport Waiter


cdef class Pump:
    cdef tuple owners
    cdef tuple rounds, waits, ticks  # their methods, for those that have one
    cdef readonly object scratch  # where whoever reads may read to
    cdef readonly object loop
    cdef dict sources  # by descriptor
    cdef object followers  # waiters that want to read as soon as nobody else does
    cdef object parked  # waiters that will if nobody else has for a while
    cdef object posts
    cdef int pollset
    cdef int kick[2]  # a bell among the connections: the leader shall look at its waiter
    cdef int waker[2]  # a bell of the I/O thread
    cdef unsigned long thread  # the I/O thread
    cdef bint hurried  # it is one of those for which the switch interval is short
    cdef double looked  # when somebody has looked last who is not the I/O thread
    cdef long long visits  # how often somebody has read who is not the I/O thread
    cdef long long seen  # of them, those that the I/O thread knows of
    cdef readonly bint leading  # somebody reads
    cdef readonly bint watching  # the I/O thread will, as soon as there is something
    cdef readonly bint ticking  # the backstop will come by
    cdef bint waking
    cdef bint closed

    cpdef bint wait(self, Waiter waiter, double seconds=*, bint patient=*) except -1
    cpdef int end_round(self) except -1
    cpdef int poll(self) except -1
    cpdef int glance(self) except -1
    cpdef int arm(self) except -1
    cdef int _wake(self) except -1
    cdef bint _follow(self, Waiter waiter, double seconds, bint patient) except -1
    cdef int _lead(self, Waiter waiter, double seconds) except -1
    cdef int _hurry(self) except -1
    cdef int _take_time(self) except -1
    cdef int _leave(self) except -1
    cdef int _read(self, int *ready, int n) except -1
    cdef int _see_to_reading(self, bint busy) except -1
