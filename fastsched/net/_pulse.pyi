"""The pulse of a process, for readers and mypy; the code is in _pulse.pyx.

One concern: that a worker is heard as long as its process runs, whatever its tasks do with the interpreter lock. A
thread in C puts a beat between two messages (see `net._socket.Seam`) whenever nothing has left for a while and
something is expected of this process: it holds something of the cluster, or it was told something. Else it sleeps, and
costs nothing. Why it is built so: docs/decisions/0008-the-pulse.md.

What it cannot do: a beat has no place in the midst of a message. If a message longer than the socket takes is being
sent while a task keeps the interpreter lock, the process falls silent when the peer has read what has left.

Called by `worker.server`.
"""

from fastsched.net._socket import Seam

class Heart:
    """Begins at once.

    Parameters
    ----------
    seam : Seam
        Of the connection.
    every : float
        Seconds; nothing is put in if something has left within this time.

    Raises
    ------
    OSError
        No thread can be started.
    """

    def __init__(self, seam: Seam, every: float) -> None: ...
    def hold(self, rows: int) -> int:
        """So much of the cluster is held here now."""
    def told(self, rows: int) -> int:
        """The same, after something was received: that is answered by a beat at least."""
    def stop(self) -> None:
        """End the thread. Again without harm; in a fork of the process there is none."""
