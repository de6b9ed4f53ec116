"""A fork of this process holds none of its connections.

One concern: sockets that a child inherits by `os.fork`. As long as any process holds one the connection stays open: a
child that a task left behind would hide the death of its worker, and one of a client the death of its cluster. So the
child's descriptors are pointed to nowhere, at once; the parent's stay as they are. (Other programs get none anyway,
since each is closed at `exec`.)

Called by `listener` and `connect` for every socket that they make.
"""

from __future__ import annotations

import os
import socket
import weakref

__all__ = ["hold_alone"]

_sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def hold_alone(sock: socket.socket) -> None:
    """No fork of this process shall hold this socket."""
    _sockets.add(sock)


def _let_go() -> None:
    """In the child."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for sock in _sockets:
        fd = sock.fileno()
        if fd >= 0:  # its number stays taken: somebody may still write to it
            os.dup2(nowhere, fd, inheritable=False)
    _sockets.clear()
    os.close(nowhere)


os.register_at_fork(after_in_child=_let_go)
