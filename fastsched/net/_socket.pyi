"""Reading and writing a non-blocking socket without letting go of the interpreter lock, for readers and mypy.

One concern: these calls; the code is in _socket.pyx. A signal handler does not run in them. Imports nothing of
fastsched.
"""

from collections.abc import Iterable

def send_some(fd: int, pieces: Iterable[bytes | bytearray | memoryview]) -> int:
    """Write the beginning of `pieces` (bytes-like, the first 64 of them); -1 if the socket takes nothing now.

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
