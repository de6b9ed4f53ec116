"""What the tests of the pump share: a loop that the test turns, connections, and threads that wait for them."""

import select
import signal
import socket
import threading

from fastsched._wait import Waiter
from fastsched.net._pump import BACKSTOP_SECONDS

SECONDS = 20.0
ROUNDS = 50


class Loop:
    """An event loop that does what the test says, when the test says."""

    def __init__(self):
        self.readers = {}
        self.timers = []
        self.soon = []
        self.errors = []
        self.closed = False

    def add_reader(self, fd, callback):
        self.readers[fd] = callback

    def remove_reader(self, fd):
        return self.readers.pop(fd, None) is not None

    def call_later(self, seconds, callback):
        assert seconds == BACKSTOP_SECONDS
        self.timers.append(callback)

    def call_soon_threadsafe(self, function, *args):
        if self.closed:
            raise RuntimeError("Event loop is closed")
        self.soon.append((function, args))

    def call_exception_handler(self, context):
        self.errors.append(context["exception"])

    def tick(self):
        """A millisecond goes by."""
        timers, self.timers = self.timers, []
        for callback in timers:
            callback()

    def turn(self):
        """Call back everything that is readable now, as a loop does; returns how many that were."""
        ready = [callback for fd, callback in self.readers.items() if readable(fd)]
        for callback in ready:
            callback()
        return len(ready)

    def settle(self):
        """Let the I/O thread run until it would wait for a message; False if that never comes."""
        for _ in range(100):
            if not self.turn() and not self.timers:
                return True
            self.tick()
        return False


def readable(fd):
    return bool(select.select([fd], [], [], 0)[0])


class Wire:
    """A connection: each byte that comes opens the waiter of this name. Remembers who read it."""

    def __init__(self, pump):
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.waiters = {}
        self.read_by = {}
        self.on_read = lambda: None
        pump.add(self.ours.fileno(), self)

    def on_readable(self):
        for byte in self.ours.recv(64):
            name = chr(byte)
            self.read_by[name] = threading.current_thread().name
            self.on_read()
            self.waiters[name].open()

    def send(self, text):
        self.theirs.send(text.encode())

    def close(self):
        self.ours.close()
        self.theirs.close()


class Owner:
    """Counts what it is told."""

    def __init__(self):
        self.rounds = self.waits = self.ticks = 0

    def round_ended(self):
        self.rounds += 1

    def before_wait(self):
        self.waits += 1

    def tick(self):
        self.ticks += 1


class Waiting(threading.Thread):
    """Waits for the byte that is its name."""

    def __init__(self, pump, wire, name, patient=False, waiter=None):
        super().__init__(name=name, daemon=True)
        self.pump, self.patient = pump, patient
        self.waiter = wire.waiters[name] = waiter or Waiter()
        self.came = None
        self.start()

    def run(self):
        self.came = self.pump.wait(self.waiter, SECONDS, self.patient)

    def done(self):
        self.join(SECONDS)
        return self.came

    def reads(self):
        """Once it does; the pump is all ours until then."""
        while not self.pump.leading:
            self.join(0.001)
        return self


class Alarm(Exception):
    """What the timer raises."""


class Clock:
    """A timer whose handler raises."""

    def ring_in(self, seconds):
        signal.setitimer(signal.ITIMER_REAL, seconds)
