"""The standard error of worker processes, on its way through the fork helper.

One concern: what workers write to descriptor 2 goes on to ours, and the last of it is kept, for who has to explain a
death. Through a pipe, because what matters most then (a report of `faulthandler`, of the C library) is written by code
that knows no Python. Called by `helper`, which must never wait: a terminal may be stopped, or nobody reads the pipe
that is our standard error. While it takes nothing, workers are not read either: they wait, as if it were theirs.

Imports the light part of the standard library.
"""

from __future__ import annotations

import os
import select
import stat

__all__ = ["LINES", "Terminal", "Voice"]

LINES = 20
"""Lines that are kept of a worker's last words."""

_LINE_CHARS = 300
_KEPT_BYTES = 1 << 13  # what the lines are taken from
_HELD_BYTES = 1 << 16  # unwritten: workers are not read meanwhile
_MOST_BYTES = 1 << 20  # unwritten, of workers that have died: the rest is dropped
_READ_BYTES = 1 << 16
_DRAIN_READS = 64  # after a death: more than a pipe holds, and not for ever if somebody else still writes
_ATOMIC_BYTES = 512  # PIPE_BUF at least: whoever polls as writable takes so much without a wait
_FLUSH_MILLISECONDS = 200
_NOISE = "Extension modules: "  # the last line of a report of `faulthandler`: some fifty names


class Terminal:
    """Our own standard error, or what stands for it; written to without ever waiting for it.

    Parameters
    ----------
    fd : int
        The descriptor. Others (the client) write to it too, so it is not made non-blocking, but opened again if it can
        be: that is a file of our own.
    """

    def __init__(self, fd: int = 2) -> None:
        self._unsent = bytearray()
        self._fd = _opened_again(fd)
        self._waits = self._fd == fd  # a write may block: only as much as there is room for
        self._chunk = _ATOMIC_BYTES if self._waits else _READ_BYTES
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    def fileno(self) -> int:
        """The descriptor to be watched for room while there is something `unsent`."""
        return self._fd

    @property
    def unsent(self) -> bool:
        """Whether something waits for room."""
        return bool(self._unsent)

    @property
    def full(self) -> bool:
        """Whether so much waits that nobody should be read from."""
        return len(self._unsent) >= _HELD_BYTES

    def write(self, data: bytes) -> None:
        """Write it, now or when there is room; what is far too much is dropped."""
        if len(self._unsent) < _MOST_BYTES:
            self._unsent += data
        self.flush()

    def flush(self, milliseconds: int = 0) -> None:
        """Write as much as there is room for."""
        while self._unsent and self._poll.poll(milliseconds):
            try:
                del self._unsent[: os.write(self._fd, self._unsent[: self._chunk])]
            except BlockingIOError:
                return
            except OSError:  # nobody will ever read it
                self._unsent.clear()

    def finish(self) -> None:
        """Before the end: give a slow reader a moment."""
        self.flush(_FLUSH_MILLISECONDS)

    def close(self) -> None:
        """In a forked child."""
        if not self._waits:
            os.close(self._fd)


class Voice:
    """One worker's standard error.

    Attributes
    ----------
    ended : bool
        Nobody can write to it any more.
    """

    def __init__(self) -> None:
        self._fd, self._theirs = os.pipe()
        os.set_blocking(self._fd, False)
        self._kept = bytearray()
        self.ended = False

    def fileno(self) -> int:
        """The descriptor that is readable when there is something to hear."""
        return self._fd

    def become_ours(self) -> None:
        """In the forked child: this is our standard error."""
        os.dup2(self._theirs, 2)
        os.close(self._theirs)
        os.close(self._fd)

    def is_theirs(self) -> None:
        """In the helper, once the child is forked."""
        os.close(self._theirs)

    def hear(self, terminal: Terminal) -> bool:
        """Read once and hand it on. False: there was nothing."""
        try:
            data = os.read(self._fd, _READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return False
        if not data:
            self.close()
            return False
        self._kept += data
        if len(self._kept) > 2 * _KEPT_BYTES:
            del self._kept[:-_KEPT_BYTES]
        terminal.write(data)
        return True

    def last_words(self, terminal: Terminal) -> str:
        """The last lines, of all that the dead have written."""
        for _ in range(_DRAIN_READS):
            if self.ended or not self.hear(terminal):
                break
        lines = [line.rstrip()[:_LINE_CHARS] for line in self._kept.decode(errors="replace").splitlines()]
        self._kept.clear()
        return "\n".join([line for line in lines if line and not line.startswith(_NOISE)][-LINES:])

    def close(self) -> None:
        """Hear nothing any more."""
        if not self.ended:
            self.ended = True
            os.close(self._fd)


def _opened_again(fd: int) -> int:
    """The same terminal or pipe as a file of our own, which does not block; `fd` itself where that cannot be."""
    try:
        mode = os.fstat(fd).st_mode
        if stat.S_ISCHR(mode) or stat.S_ISFIFO(mode):
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:  # not Linux, or somebody else's terminal
        pass
    return fd
