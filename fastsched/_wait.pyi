"""What a thread waits on, and the lock of a machine, for readers and mypy; the code is in _wait.pyx.

One concern: two primitives that are whole also where a signal handler raises. Imports nothing of fastsched.
"""

class Waiter:
    """One thread waits here until another one lets it go on. Not for two waiting threads.

    Attributes
    ----------
    over : bool
        What was waited for has happened.
    """

    over: bool

    def open(self) -> int:
        """It has happened: `over` from now on, and the thread goes on. Twice does no harm."""

    def close(self) -> int:
        """Not any more: use it again. By the waiting thread."""

    def nudge(self) -> int:
        """Let the thread go on, or its next `block` return at once; `over` stays as it is."""

    def block(self, seconds: float = -1.0) -> bool:
        """Wait for a nudge or for `open`; False after `seconds` without one (negative: no limit).

        Raises
        ------
        BaseException
            What a signal handler raised meanwhile, in the main thread.
        """

class TurnLock:
    """A machine's lock: held for a turn, never waited under. Knows who holds it."""

    def mine(self) -> bool:
        """Whether the calling thread holds it."""
    def acquire(self) -> int:
        """Take it; not interrupted by signals, since nobody holds it for long.

        Raises
        ------
        RuntimeError
            The calling thread holds it.
        """
    def release(self) -> int:
        """Give it back."""
    def __enter__(self) -> None: ...
    def __exit__(self, kind: object, value: object, traceback: object) -> None: ...

def in_turn() -> bool:
    """Whether the calling thread is in a step that must end first: it holds a `TurnLock`, or reads for others.

    Then it must wait for nobody, and take no other lock. Asked for the sake of finalizers of users: they may run in the
    middle of a turn, since whatever makes an object may call the garbage collector.
    """

def is_deep() -> bool:
    """Whether the calling thread has used more than half of Python's recursion limit."""

def may_wait() -> bool:
    """Whether the calling thread may wait for others: it is not in a turn, and it does not `serve`."""

def serve(begins: bool = True) -> int:
    """Others wait for the calling thread from now on, it is an I/O thread; or (False) it is none any more."""

def monotonic() -> float:
    """Seconds, as `time.monotonic`."""
