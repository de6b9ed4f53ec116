"""Tasks that treat their worker badly, importable on the workers."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from typing import Any, NoReturn

FLOOD = b"f" * 99 + b"\n"
DESCRIPTORS = 4096  # more than a worker has


def end(how: str) -> Any:
    """End the process, or at least this call: ``"error"``, ``"SIGKILL"``, ``"exit 3"``, ``"system exit"``."""
    if how == "error":
        raise ValueError("told to")
    if how == "system exit":
        sys.exit(3)
    if how.startswith("exit "):
        os._exit(int(how[5:]))
    if how == "SIGSEGV":
        ctypes.string_at(0)
    if how == "SIGABRT":
        os.abort()
    os.kill(os.getpid(), signal.Signals[how])
    time.sleep(30)
    raise AssertionError("the signal did not come")


def recurse_in_c() -> str:
    """The representation of lists in lists needs the C stack; the limit that guards it is taken away."""
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    sys.setrecursionlimit(1 << 30)
    return repr(nested)


def close_all(then: float) -> str:
    os.closerange(0, DESCRIPTORS)
    time.sleep(then)
    return "closed"


def fork_a_sleeper() -> int:
    """A child that holds all descriptors of the worker, and lives on in a session of its own."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        time.sleep(60)
        os._exit(0)
    return pid


def fork_and_die() -> NoReturn:
    fork_a_sleeper()
    os._exit(5)


def change_directory() -> str:
    os.chdir("/")
    return os.getcwd()


def flood(lines: int, *fds: int) -> int:
    """Write to these descriptors, past Python."""
    for _ in range(lines):
        for fd in fds:
            os.write(fd, FLOOD)
    return lines


def use_memory(nbytes: int, seconds: float = 30.0) -> int:
    blob = bytearray(b"x") * nbytes
    time.sleep(seconds)
    return len(blob)


def use_memory_and_tell(nbytes: int, seconds: float) -> int:
    """The process in which that was."""
    use_memory(nbytes, seconds)
    return os.getpid()


def use_memory_in_c(nbytes: int, seconds: int = 30) -> NoReturn:
    """Without giving the interpreter to another thread once."""
    libc = ctypes.PyDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.memset.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    libc.memset(libc.malloc(ctypes.c_size_t(nbytes)), 1, nbytes)
    libc.sleep(seconds)
    raise AssertionError("nobody has ended this")


class EndsWhenPickled:
    """Ends whoever pickles it."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return end(self.how)


class EndsWhenUnpickled:
    """Ends whoever unpickles it."""

    def __init__(self, how: str) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return end, (self.how,)


def give_back(value: Any) -> Any:
    return value


def make(kind: type, how: str) -> Any:
    """A result of this kind."""
    return kind(how)
