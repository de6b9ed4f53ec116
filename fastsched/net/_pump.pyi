"""Who reads the connections of this process, for readers and mypy; the code is in _pump.pyx.

One concern: that there is always exactly one thread that reads, and that it is one that would otherwise wait. A process
hop that ends in the thread that wants the news costs one wake-up; by way of an I/O thread it costs two, and a hand-off.

Leader and followers
--------------------
At most one thread *leads*: it waits for all connections at once, reads what comes and has it carried out, whomever it
is for. A thread that has to wait for something (`wait`) leads, if nobody does; else it *follows*: it sleeps until what
it waits for has happened, or until the leader leaves and it is asked to lead. When the leader's own news is there it
leaves, and the first follower is asked. While a signal handler interrupts the leader nobody leads: the handler may
wait, and others may read. A finalizer that interrupts somebody at reading cannot wait: nobody could read what it would
wait for.

The I/O thread *watches* when nobody else is about: it is woken by the connections as any event loop is. A thread that
leads takes the reading over: the I/O thread finds it at the next message, and watches no longer. When the leader leaves
and nobody follows, nothing is handed over, since the same thread will probably be back at once; instead the backstop
*ticks* each millisecond, and when nobody has read since the last tick it gives the reading to a parked thread, or has
the I/O thread watch again. An idle process watches (or a thread waits), and does not tick.

While threads lead, the interpreter's switch interval is a tenth of a millisecond instead of the usual five: who reads
would wait for so long if another thread computes. When nobody has led for a millisecond or two it is what it was,
unless somebody has set it meanwhile. It belongs to the process, so the pumps of several clients count together.

So three flags say where reading is: `leading`, `watching`, `ticking`; one of them is set at any time, except between
two steps of a thread that is about to set one.

Called by servers and clients; imports `_wait`.
"""

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any, Protocol

from fastsched._wait import Waiter

BACKSTOP_SECONDS: float
READ_BYTES: int

class Source(Protocol):
    """A connection, as the pump sees it."""

    def on_readable(self) -> object:
        """Read what is there, without waiting. In any thread, in one at a time."""

class Owner(Protocol):
    """Whose connections are read. It has those of these methods for which it has a use."""

    def round_ended(self) -> object:
        """All connections that were ready have been read, by the calling thread: carry out what follows."""
    def before_wait(self) -> object:
        """The calling thread is about to wait: what was left unsent should leave."""
    def tick(self) -> object:
        """The backstop, in the I/O thread: do all that was left for later."""

class Pump:
    """Reads the connections that are added, in the thread that has the time.

    Parameters
    ----------
    loop : asyncio.AbstractEventLoop
        Of the calling thread, the I/O thread.

    Attributes
    ----------
    loop
        As given.
    leading, watching, ticking : bool
        See above.
    scratch : memoryview
        Memory into which a source may read.
    """

    leading: bool
    watching: bool
    ticking: bool
    scratch: memoryview
    loop: AbstractEventLoop

    def __init__(self, loop: AbstractEventLoop) -> None: ...
    @property
    def is_idle(self) -> bool:
        """Whether nothing but a message will wake this process."""
    def join(self, owner: object) -> None:
        """Tell this `Owner` of rounds, waits and ticks."""
    def part(self, owner: object) -> None:
        """Tell it no longer."""
    def add(self, fd: int, source: Source) -> None:
        """Read this descriptor from now on. Any thread."""
    def remove(self, fd: int) -> None:
        """Read it no longer; nothing happens if it is not there. Any thread."""
    def end_round(self) -> int:
        """Messages were handed on that did not come by way of the pump: carry out what follows."""
    def wait(self, waiter: Waiter, seconds: float = -1.0, patient: bool = False) -> bool:
        """Wait until `waiter.over`, and read meanwhile; False after `seconds` (negative: no limit).

        Parameters
        ----------
        waiter : Waiter
            Of the calling thread alone.
        seconds : float
            Limit.
        patient : bool
            Whether it is asked to lead only when nobody has read for a while.

        Raises
        ------
        BaseException
            What a signal handler raised meanwhile, in the main thread. Nothing is lost: somebody else reads on.
        RuntimeError
            The calling thread is in a turn, or it is an I/O thread: this is a finalizer, and others wait for its end.
        """
    def poll(self) -> int:
        """Read what is there, without waiting; nothing if somebody reads already, or in a turn. Any thread."""
    def catch_up(self) -> None:
        """Read all that has come, without waiting, before something is judged by it; not if somebody reads already.

        In the I/O thread.
        """
    def glance(self) -> int:
        """`poll`, unless somebody has looked within the last tenth of a millisecond.

        For threads that are about, and do not wait: one that submits task after task, one that runs task after task. If
        they did not look, the I/O thread would have to be woken for each message, and would wait for the interpreter
        lock that they hold.
        """
    def arm(self) -> int:
        """Have `Owner.tick` called within a millisecond or two. Any thread, also in finalizers; never blocks."""
    def post(self, function: Callable[..., object], *args: Any) -> None:
        """Have the I/O thread call this soon. Any thread, also in finalizers; never blocks."""
    def is_current(self) -> bool:
        """Whether the calling thread is the I/O thread."""
    def close(self) -> None:
        """In the I/O thread: read nothing more. Who waits goes on waiting for what others tell."""
