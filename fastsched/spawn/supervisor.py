"""The client's handle of its fork helper: start it, ask it for workers, hear how they die.

One concern: the client's end of the channel to `fastsched.spawn.helper`. Called by local clusters and by
``fastsched-worker``. Imports the light part of the standard library only, because the helper has to be started before
anything heavy is imported: it then imports the worker's modules while its client imports its own.

A `Helper` is used by one thread at a time, and only in the process that started it: in a fork of that process it does
nothing.
"""

from __future__ import annotations

import _socket  # `socket` itself takes 3 ms to import, and is needed after the start only
import os
import select
import signal
import sys
import time
from typing import Any, NamedTuple

from fastsched.spawn.protocol import CHANNEL_FD, Op, Unpacker, how_it_ended, pack

__all__ = ["WORKER_ENTRY", "Died", "Event", "Helper", "HelperDied", "Pressed", "Spawned", "working_directory"]

WORKER_ENTRY = "fastsched.entry:main"
"""Where a worker begins: ``module:function``, called with the settings of `Helper.spawn`."""

# Collections of garbage take a tenth of the helper's start, and leave holes in the pages that its children share.
_BOOT = (
    "import gc, sys; gc.disable(); sys.path[:] = sys.argv[3:]; from fastsched.spawn.helper import main; "
    f"main({CHANNEL_FD}, int(sys.argv[1]), sys.argv[2])"
)
_READ_BYTES = 1 << 16
_FLUSH_SECONDS = 10.0  # a helper that has not taken our bytes by then is stuck
_RESERVE_SECONDS = 0.5  # of the time to close: for killing what did not stop when asked


class Spawned(NamedTuple):
    """A worker process was forked."""

    name: str
    pid: int


class Died(NamedTuple):
    """A worker process ended: `how` is ``"SIGKILL"`` or ``"exit 3"``, `code` -9 or 3. If it never began, `pid` is 0."""

    name: str
    pid: int
    how: str
    code: int
    joined: bool = False  # its scheduler had let it in
    executing: list[int] | None = None  # the task ids on its page; None: it had none
    stderr: str = ""  # its last lines there


class Pressed(NamedTuple):
    """A worker uses so much memory that it should get no tasks, or does so no more."""

    name: str
    pressed: bool


class HelperDied(NamedTuple):
    """The helper itself ended; every worker that it had was reported dead before."""

    pid: int
    how: str
    code: int


Event = Spawned | Died | Pressed | HelperDied


class Helper:
    """A running fork helper. Made by `start`.

    Attributes
    ----------
    pid : int
        The helper's own process.
    alive : bool
        False once `read_events` has reported `HelperDied`, or after `close`.
    """

    def __init__(self, sock: _socket.socket, pid: int) -> None:
        self.pid = pid
        self.alive = True
        self._sock = sock
        self._owner = os.getpid()
        self._unpacker = Unpacker()
        self._ready = False  # the helper has imported the worker's modules: from here on it reads what we send
        self._unsent = bytearray()  # what did not fit into the socket before
        self._pids: dict[str, int] = {}  # live workers

    @classmethod
    def start(cls, entry: str = WORKER_ENTRY) -> Helper:
        """Start a helper, which imports the module of `entry` at once; returns without waiting for that.

        Raises
        ------
        OSError
            There is no Python executable, or no process can be started.
        """
        if not sys.executable:
            raise FileNotFoundError("sys.executable is empty: there is no Python to start worker processes with")
        ours, theirs = _socket.socketpair()
        try:
            # dup2 onto itself keeps close-on-exec on some systems, so the helper's end must not be the target already.
            channel = os.dup(theirs.fileno()) if theirs.fileno() == CHANNEL_FD else theirs.fileno()
            arguments = [sys.executable, *_interpreter_flags(), "-c", _BOOT, str(os.getpid()), entry, *_module_path()]
            try:
                pid = _spawn_detached(arguments, [(os.POSIX_SPAWN_DUP2, channel, CHANNEL_FD)])
            finally:
                if channel != theirs.fileno():
                    os.close(channel)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(ours, pid)

    def fileno(self) -> int:
        """The descriptor that is readable when `read_events` has news."""
        return self._sock.fileno()

    def spawn(self, name: str, settings: dict[str, Any]) -> None:
        """Ask for a worker process that runs the entry with `settings` (plain data); `Spawned` or `Died` follows."""
        self._send(pack(Op.SPAWN, name, settings))

    def signal(self, name: str, signum: int) -> None:
        """Send a signal to a worker; nothing happens if it is gone."""
        self._send(pack(Op.SIGNAL, name, int(signum)))

    def read_events(self) -> list[Event]:
        """What happened since the last call; never blocks."""
        events: list[Event] = []
        while self.alive and os.getpid() == self._owner:
            try:
                data = self._sock.recv(_READ_BYTES)
            except (BlockingIOError, InterruptedError):
                break
            except ConnectionError:
                data = b""
            if not data:
                self._helper_died(events)
                break
            for op, *fields in self._unpacker.feed(data):
                self._take(op, fields, events)
        return events

    def close(self, timeout: float = 2.0) -> None:
        """End all workers (SIGHUP, then SIGKILL) and the helper; blocks for `timeout` seconds at most."""
        if os.getpid() != self._owner:
            self.alive = False
            self._sock.close()
            return
        deadline = time.monotonic() + timeout
        if self.alive:
            self._send(pack(Op.CLOSE, max(timeout - _RESERVE_SECONDS, timeout / 2)))
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        while self.alive:
            left = deadline - time.monotonic()
            if left <= 0:  # its end is read as EOF below, and its workers go with it
                os.kill(self.pid, signal.SIGKILL)
            poll.poll(max(left, 0.1) * 1000)
            self.read_events()
        self._sock.close()

    def _take(self, op: int, fields: list[Any], events: list[Event]) -> None:
        if op == Op.READY:
            self._ready = True
            self._flush()
        elif op == Op.SPAWNED:
            spawned = Spawned(*fields)
            self._pids[spawned.name] = spawned.pid
            events.append(spawned)
        elif op == Op.PRESSED:
            events.append(Pressed(*fields))
        else:
            died = Died(*fields)
            self._pids.pop(died.name, None)
            events.append(died)

    def _send(self, data: bytes) -> None:
        """Send what fits; the rest waits until the helper is ready."""
        if not self.alive or os.getpid() != self._owner:
            return
        self._unsent += data
        self._send_some()
        if self._ready:
            self._flush()

    def _send_some(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._sock.send(self._unsent)]
        except (BlockingIOError, InterruptedError):
            pass
        except ConnectionError:  # the helper is gone: `read_events` will say so
            self._unsent.clear()

    def _flush(self) -> None:
        deadline = time.monotonic() + _FLUSH_SECONDS
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLOUT)
        while self._unsent and time.monotonic() < deadline:
            poll.poll(1000)
            self._send_some()

    def _helper_died(self, events: list[Event]) -> None:
        """EOF: take the workers along (on Linux the kernel has done it already) and find out how the helper ended."""
        self.alive = False
        how = f"{signal.SIGKILL.name}, its fork helper died"
        events.extend(Died(name, pid, how, -signal.SIGKILL) for name, pid in self._pids.items())
        self._kill_workers()
        self._pids.clear()
        try:
            _, status = os.waitpid(self.pid, 0)
            code = os.waitstatus_to_exitcode(status)
        except ChildProcessError:  # somebody else waits for all children of this process, or ignores SIGCHLD
            code = 0
        events.append(HelperDied(self.pid, how_it_ended(code), code))

    def _kill_workers(self) -> None:
        for pid in self._pids.values():
            try:
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue


def _spawn_detached(arguments: list[str], actions: list[tuple[Any, ...]]) -> int:
    """Start a process that no Ctrl-C and no closing terminal reaches: in its own session, or at least its own group."""
    defaults = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGPIPE]
    try:
        return os.posix_spawn(
            sys.executable, arguments, os.environ, file_actions=actions, setsid=True, setsigmask=[], setsigdef=defaults
        )
    except NotImplementedError:  # macOS before 10.15
        return os.posix_spawn(
            sys.executable, arguments, os.environ, file_actions=actions, setpgroup=0, setsigmask=[], setsigdef=defaults
        )


def _interpreter_flags() -> list[str]:
    """The options of this interpreter that change what code means, to hand on."""
    flags = sys.flags
    options = ["-O"] * flags.optimize
    options += ["-B"] * bool(flags.dont_write_bytecode)
    options += ["-I"] if flags.isolated else ["-E"] * flags.ignore_environment + ["-s"] * flags.no_user_site
    options += ["-X", "dev"] * flags.dev_mode
    options += ["-X", "utf8"] * flags.utf8_mode
    for warning in sys.warnoptions:
        options += ["-W", warning]
    return options


def working_directory() -> str:
    """The working directory, "" if it was deleted."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _module_path() -> list[str]:
    """``sys.path`` with the entry that means "the working directory" spelled out."""
    here = working_directory()
    return [entry or here for entry in sys.path if isinstance(entry, str)]
