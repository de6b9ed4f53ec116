"""Reading and writing a non-blocking socket without letting go of the interpreter lock, for readers and mypy.

One concern: these calls; the code is in _socket.pyx. A signal handler does not run in them. Imports nothing of
fastsched.
"""

from collections.abc import Iterable

class Seam:
    """Where one message on a socket has ended and the next has not begun: a thread without the interpreter lock may
    put in a *beat* there (see `net._pulse`). All that is sent on this socket must be sent by `send_some` with it.

    Parameters
    ----------
    fd : int
        The socket.
    beat : bytes
        A whole message, of 64 bytes at the most.
    midway : bool
        A message has left in part.
    """

    def __init__(self, fd: int, beat: bytes, midway: bool = False) -> None: ...
    def close(self) -> None:
        """Nothing is put in any more. To be called before the socket is closed: its number may be used again."""

def send_some(
    fd: int, pieces: Iterable[bytes | bytearray | memoryview], seam: Seam | None = None, ends: bool = True
) -> int:
    """Write the beginning of `pieces` (bytes-like, the first 64 of them); -1 if the socket takes nothing now.

    Parameters
    ----------
    fd : int
        A non-blocking socket.
    pieces : iterable of bytes-like
        What is to leave.
    seam : Seam, optional
        Of this socket.
    ends : bool
        Whether the last of the first 64 pieces is the end of a message.

    Returns
    -------
    int
        How many bytes have left.

    Raises
    ------
    OSError
        The connection is broken.
    """

def receive_some(fd: int, buffer: bytearray | memoryview) -> int:
    """Read what is there into a writable buffer; 0 at the end of the stream, -1 if there is nothing now.

    Raises
    ------
    OSError
        The connection is broken.
    """
