"""Who reads the connections of this process. Described in _pump.pyi.

The state below is changed by any thread, without a lock of its own: each change is one step under the interpreter
lock, which nothing here lets go of but the waiting itself (`pollset_wait`, `Waiter.block`). Where two threads look at
each other's flags (a leader that ends, the I/O thread that ends its rounds), each writes its own first and reads the
other's second.
"""

cimport cython
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, errno

import os
import threading
from collections import deque
from sys import getswitchinterval, setswitchinterval

from fastsched._wait cimport Waiter, at_once, begin_turn, end_turn, hush, in_turn, may_wait, monotonic, new_bell, ring

cdef extern from *:
    """
    #include <errno.h>
    #include <math.h>
    #include <unistd.h>
    #if defined(__linux__)
    #include <sys/epoll.h>
    static int pollset_new(void) { return epoll_create1(EPOLL_CLOEXEC); }
    static int pollset_change(int set, int fd, int add) {
        struct epoll_event event = {0};
        event.events = EPOLLIN;
        event.data.fd = fd;
        return epoll_ctl(set, add ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, fd, &event);
    }
    static int pollset_wait(int set, int *ready, int most, double seconds) {
        struct epoll_event events[64];
        int i, n;
        int ms = seconds < 0 ? -1 : seconds > 1e6 ? 1000000000 : (int) ceil(1e3 * seconds);
        n = epoll_wait(set, events, most < 64 ? most : 64, ms);
        for (i = 0; i < n; i++) ready[i] = events[i].data.fd;
        return n;
    }
    #else
    #include <fcntl.h>
    #include <sys/types.h>
    #include <sys/event.h>
    #include <sys/time.h>
    static int pollset_new(void) {
        int set = kqueue();
        if (set >= 0) fcntl(set, F_SETFD, FD_CLOEXEC);
        return set;
    }
    static int pollset_change(int set, int fd, int add) {
        struct kevent change;
        EV_SET(&change, fd, EVFILT_READ, add ? EV_ADD : EV_DELETE, 0, 0, NULL);
        return kevent(set, &change, 1, NULL, 0, NULL);
    }
    static int pollset_wait(int set, int *ready, int most, double seconds) {
        struct kevent events[64];
        struct timespec limit;
        int i, n;
        if (seconds > 1e6) seconds = 1e6;
        limit.tv_sec = seconds < 0 ? 0 : (time_t) seconds;
        limit.tv_nsec = seconds < 0 ? 0 : (long) (1e9 * (seconds - (double) limit.tv_sec));
        n = kevent(set, NULL, 0, events, most < 64 ? most : 64, seconds < 0 ? NULL : &limit);
        for (i = 0; i < n; i++) ready[i] = (int) events[i].ident;
        return n;
    }
    #endif
    """
    int pollset_new() nogil
    int pollset_change(int set, int fd, int add) nogil
    int pollset_wait(int set, int *ready, int most, double seconds) nogil

cdef extern from "unistd.h" nogil:
    int close_fd "close" (int fd)

BACKSTOP_SECONDS = 0.001
cdef double SWITCH_SECONDS = 0.0001  # see _pump.pyi
cdef double HALF_MICRO = 5e-7  # the interval is kept in microseconds, cut off, so what is read may be set one less
cdef double GLANCE_SECONDS = 0.0001  # see _pump.pyi
READ_BYTES = 256 << 10  # more than a Unix socket holds at once

cdef int hurries = 0  # pumps for which the switch interval is short
cdef double usual_interval = 0.0  # what it was
cdef object get_interval = getswitchinterval  # not as globals of the module, which the interpreter's end takes away
cdef object set_interval = setswitchinterval

cdef enum:
    MOST = 64  # connections that one look at the set reports
    MOST_ROUNDS = 64  # of reading, to catch up


@cython.final
cdef class Pump:

    def __cinit__(self):
        self.pollset = self.kick[0] = self.kick[1] = self.waker[0] = self.waker[1] = -1

    def __init__(self, loop):
        self.loop = loop
        self.thread = threading.get_ident()
        self.owners = self.rounds = self.waits = self.ticks = ()
        self.sources = {}
        self.followers = deque()
        self.parked = deque()
        self.posts = deque()
        self.scratch = memoryview(bytearray(READ_BYTES))
        self.pollset = pollset_new()
        if self.pollset < 0:
            PyErr_SetFromErrno(OSError)
        new_bell(self.kick)
        new_bell(self.waker)
        if pollset_change(self.pollset, self.kick[0], 1) < 0:
            PyErr_SetFromErrno(OSError)
        loop.add_reader(self.waker[0], self._on_wake)
        self._watch()

    def __dealloc__(self):
        self._take_time()  # nobody has closed it
        # here, not in `close`: who rings in one thread must not meet a descriptor that another one has just closed
        close_if_open(self.pollset)
        close_bell(self.kick)
        close_bell(self.waker)

    @property
    def is_idle(self):
        """Whether nothing but a message will wake this process."""
        return not self.ticking and not self.leading

    # ---- the connections -------------------------------------------------------------------------------------------

    def add(self, int fd, source):
        self.sources[fd] = source
        if pollset_change(self.pollset, fd, 1) < 0:
            del self.sources[fd]
            PyErr_SetFromErrno(OSError)

    def remove(self, int fd):
        if self.sources.pop(fd, None) is not None:
            pollset_change(self.pollset, fd, 0)

    def join(self, owner):
        self._tell(self.owners + (owner,))

    def part(self, owner):
        self._tell(tuple([other for other in self.owners if other is not owner]))

    def _tell(self, tuple owners):
        self.owners = owners
        self.rounds = methods(owners, "round_ended")
        self.waits = methods(owners, "before_wait")
        self.ticks = methods(owners, "tick")

    # ---- any thread ------------------------------------------------------------------------------------------------

    cpdef int end_round(self) except -1:
        for round_ended in self.rounds:
            try:
                round_ended()
            except Exception as error:  # a bug of ours must not hit whoever happens to read
                self.post(self._report, error)
        return 0

    cpdef bint wait(self, Waiter waiter, double seconds=-1.0, bint patient=False) except -1:
        cdef double left = seconds
        cdef double deadline = monotonic() + seconds
        cdef bint asked = False  # to read, by somebody who left
        if waiter.over:
            return True
        if not may_wait():
            raise RuntimeError("a finalizer cannot wait here: it interrupts fastsched at what others wait for")
        for before_wait in self.waits:
            before_wait()
        try:
            while not waiter.over:
                if self.leading or self.closed:
                    asked = self._follow(waiter, left, patient)
                else:
                    asked = False
                    self._lead(waiter, left)
                if seconds >= 0.0 and not waiter.over:
                    left = deadline - monotonic()
                    if left <= 0.0:
                        return waiter.over
            return True
        finally:
            if asked:  # and did not: a timeout, a signal, or it is over already
                self._leave()

    cpdef int poll(self) except -1:
        cdef int ready[MOST]
        cdef int n
        self.visits += 1
        if self.leading or self.closed or in_turn():
            return 0
        self.leading = True
        try:
            n = pollset_wait(self.pollset, ready, MOST, 0.0)
            if n > 0:
                self._read(ready, n)
        finally:
            self.leading = False
            self._leave()
        return 0

    def catch_up(self):
        cdef int ready[MOST]
        cdef int n = 1, left = MOST_ROUNDS
        if self.leading or self.closed or in_turn():
            return
        self.leading = True
        try:
            while n > 0 and left > 0:
                n = pollset_wait(self.pollset, ready, MOST, 0.0)
                if n > 0:
                    self._read(ready, n)
                left -= 1
        finally:
            self.leading = False
            self._leave()

    cpdef int glance(self) except -1:
        cdef double now = monotonic()
        if now - self.looked > GLANCE_SECONDS:
            self.looked = now
            self.poll()
        return 0

    cpdef int arm(self) except -1:
        if not self.ticking:
            self._wake()
        return 0

    def post(self, function, *args):
        self.posts.append((function, args))
        if self.closed:  # appended first, looked at second; the end says so first and looks at the posts second
            self._post_to_loop()
        else:
            self._wake()

    def _post_to_loop(self):
        """The pump is closed, but the loop may still run."""
        posts = self.posts
        while posts:
            function, args = posts.popleft()
            try:
                self.loop.call_soon_threadsafe(function, *args)
            except RuntimeError:  # it is closed, too: nobody is left to call anything
                posts.clear()

    # ---- inside ----------------------------------------------------------------------------------------------------

    cdef int _wake(self) except -1:
        """Have `_on_wake` called soon."""
        if not self.waking:
            self.waking = True
            ring(self.waker[1])
        return 0

    cdef bint _follow(self, Waiter waiter, double seconds, bint patient) except -1:
        """Somebody else reads: wait until they are done with us. True: they ask us to read from now on."""
        queue = self.parked if patient else self.followers
        queue.append(waiter)
        try:
            waiter.block(seconds)
        except BaseException:
            if not _take_out(queue, waiter):
                self._leave()
            raise
        return not _take_out(queue, waiter)

    cdef int _lead(self, Waiter waiter, double seconds) except -1:
        """Read until the waiter is done, or somebody else reads."""
        cdef int ready[MOST]
        cdef int n
        cdef double left = seconds
        cdef double limit
        cdef double deadline = monotonic() + seconds
        cdef bint leads = False
        self.visits += 1
        waiter.reads(self.kick[1])  # whoever opens or nudges it from now on has us look
        if not self.hurried:
            self._hurry()
        try:
            while not waiter.over and not self.closed:
                leads = self.leading = False  # a handler of signals may run here, and may wait for something itself
                PyErr_CheckSignals()
                if self.leading:
                    break
                leads = self.leading = True
                limit = at_once(left)
                with nogil:
                    n = pollset_wait(self.pollset, ready, MOST, limit)
                if n > 0:
                    self._read(ready, n)
                elif n < 0 and errno != EINTR:
                    PyErr_SetFromErrno(OSError)
                if seconds >= 0.0 and not waiter.over:
                    left = deadline - monotonic()
                    if left <= 0.0:
                        break
        finally:
            waiter.reads_no_more()
            self.looked = monotonic()
            if leads:
                self.leading = False
            self._leave()
            if self.hurried:
                self.arm()
        return 0

    cdef int _hurry(self) except -1:
        """Threads that compute shall not keep others long from what has come."""
        global hurries, usual_interval
        self.hurried = True
        hurries += 1
        if hurries == 1:
            usual_interval = get_interval()
            if usual_interval > SWITCH_SECONDS:
                set_interval(SWITCH_SECONDS)
        return 0

    cdef int _take_time(self) except -1:
        """There is no hurry any more. Leaves the interval alone if somebody else has set it meanwhile."""
        global hurries
        if self.hurried:
            self.hurried = False
            if hurries > 0:  # else this is a forked child's copy
                hurries -= 1
                if hurries == 0:
                    restore_interval()
        return 0

    cdef int _leave(self) except -1:
        """Reading is not our business any more: somebody else's, now or at the next tick."""
        cdef Waiter waiter
        while self.followers:
            waiter = self.followers.popleft()
            if not waiter.over:
                waiter.nudge()
                return 0
        if not self.watching and not self.ticking:
            self._wake()
        return 0

    cdef int _read(self, int *ready, int n) except -1:
        """Let the sources that are ready read, and end the round. Nobody else can read until that is done: a turn."""
        cdef int i
        begin_turn()
        try:
            for i in range(n):
                if ready[i] == self.kick[0]:
                    hush(self.kick[0])
                    continue
                source = self.sources.get(ready[i])
                if source is not None:
                    try:
                        source.on_readable()
                    except Exception as error:  # as in `end_round`
                        self.post(self._report, error)
            self.end_round()
        finally:
            end_turn()
        return 0

    # ---- the I/O thread --------------------------------------------------------------------------------------------

    def is_current(self):
        return threading.get_ident() == self.thread

    def _on_wake(self):
        self.thread = threading.get_ident()
        hush(self.waker[0])
        self.waking = False  # before looking: who comes after this look wakes us again
        posts = self.posts
        try:
            while posts:
                function, args = posts.popleft()
                try:
                    function(*args)
                except Exception as error:  # it is one of many, of which nobody else must come to harm
                    self._report(error)
        finally:  # whatever happens: somebody must read
            if posts:
                self._wake()
            if not self.ticking and not self.closed:
                self._tick_later()

    def _tick_later(self):
        self.ticking = True
        self.loop.call_later(BACKSTOP_SECONDS, self._tick)

    def _tick(self):
        cdef bint busy = self.visits != self.seen
        self.seen = self.visits
        self.ticking = False  # before looking: who leaves something after this look arms us again
        if self.closed:
            return
        try:
            for tick in self.ticks:
                try:
                    tick()
                except Exception as error:  # as in `_on_wake`
                    self._report(error)
        finally:
            self._see_to_reading(busy)

    cdef int _see_to_reading(self, bint busy) except -1:
        """The other half of a tick: look whether anybody reads. `busy`: somebody has, since the last one."""
        if self.closed:
            return 0
        if not busy and not self.leading:
            self._take_time()
        if self.ticking:
            return 0
        if self.watching:
            if busy and self.hurried:
                self._tick_later()
        elif busy:
            self._tick_later()
        elif not self.leading:
            self._hand_on()
        return 0

    def _hand_on(self):
        """Nobody has read for a while: a thread that waits anyway shall, or else this one."""
        cdef Waiter waiter
        while self.followers or self.parked:
            waiter = self.followers.popleft() if self.followers else self.parked.pop()  # the last parked is the warmest
            if not waiter.over:
                waiter.nudge()
                self._tick_later()  # to see whether it does
                return
        self._watch()

    def _report(self, error):
        """Something raised that must not."""
        self.loop.call_exception_handler({"message": "the I/O thread or who reads for it failed", "exception": error})

    def _watch(self):
        if not self.watching:
            self.watching = True
            self.loop.add_reader(self.pollset, self._on_ready)

    def _unwatch(self):
        if self.watching:
            self.watching = False
            self.loop.remove_reader(self.pollset)

    def _on_ready(self):
        cdef int ready[MOST]
        cdef int n
        self.thread = threading.get_ident()
        if self.leading or self.visits != self.seen:
            # a thread that is about does it without a hand-off
            self.seen = self.visits
            self._unwatch()
            if not self.ticking:
                self._tick_later()
        if self.leading:
            return
        self.leading = True
        try:
            n = pollset_wait(self.pollset, ready, MOST, 0.0)
            if n > 0:
                self._read(ready, n)
        finally:
            self.leading = False
            self._leave()

    def close(self):
        if not self.closed:
            self.closed = True
            self._take_time()
            self._unwatch()
            self.loop.remove_reader(self.waker[0])
            self.sources.clear()
            ring(self.kick[1])
            self._post_to_loop()


cdef int restore_interval() except -1:
    if abs(<double> get_interval() - SWITCH_SECONDS) < HALF_MICRO:
        set_interval(usual_interval + HALF_MICRO)
    return 0


def _after_fork():
    """The child has none of the threads that were in a hurry; and its copies of the pumps count for nothing."""
    global hurries
    if hurries > 0:
        hurries = 0
        restore_interval()


os.register_at_fork(after_in_child=_after_fork)


cdef tuple methods(tuple owners, str name):
    """Of those that have one."""
    return tuple([getattr(owner, name) for owner in owners if hasattr(owner, name)])


cdef bint _take_out(object queue, object waiter) except -1:
    """Whether it was still in there."""
    try:
        queue.remove(waiter)
    except ValueError:
        return False
    return True


cdef void close_if_open(int fd) noexcept:
    if fd >= 0:
        close_fd(fd)


cdef void close_bell(int *ends) noexcept:
    close_if_open(ends[0])
    if ends[1] != ends[0]:
        close_if_open(ends[1])
