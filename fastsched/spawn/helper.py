"""The fork helper: a process that has imported what a worker needs, forks one on request, and sees each of them die.

One concern: being the parent of worker processes. Started by `fastsched.spawn.supervisor`, which holds the other end
of its channel. Imports the light part of the standard library; the worker's module is named by the caller and
imported at the start.

It hands on what they write to standard error (`stderr`) and measures their memory (`watch`), and so it can say how and
why each of them ended.

It outlives its client by two seconds at the most: at the end of the channel, or of the client's process (a fork of
the client may hold the channel open), it ends all workers' process groups, first kindly, and leaves. It has no
thread, so that forking is safe, and keys reach it by the channel only.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from fastsched.page import Peephole
from fastsched.spawn._fate import die_with_parent
from fastsched.spawn.protocol import Op, Unpacker, how_it_ended, pack
from fastsched.spawn.stderr import Terminal, Voice
from fastsched.spawn.watch import MemoryWatch

__all__ = ["Job", "main"]

GRACE_SECONDS = 1.0
"""From SIGHUP to SIGKILL when the client is gone: a second below what the contract allows for the whole."""

_PARENT_POLL_SECONDS = 0.5  # where there is no pidfd
_READ_BYTES = 1 << 16
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1)

Entry = Callable[[dict[str, Any]], Any]


class Job(NamedTuple):
    """What a freshly forked worker is to do."""

    name: str
    settings: dict[str, Any]


def main(channel_fd: int, parent: int, entry_name: str) -> NoReturn:
    """Be the helper; in each forked child: be the worker.

    Parameters
    ----------
    channel_fd : int
        Our end of the socket pair.
    parent : int
        The client's process.
    entry_name : str
        ``module:function`` that a worker runs.
    """
    os.set_inheritable(channel_fd, False)
    os.closerange(channel_fd + 1, os.sysconf("SC_OPEN_MAX"))  # descriptors of the client that are not close-on-exec
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _settle_standard_streams()
    _name_process("fastsched-fork")
    sys.argv[:] = ["fastsched-fork"]
    module_name, _, function_name = entry_name.partition(":")
    entry: Entry = getattr(importlib.import_module(module_name), function_name)
    helper = os.getpid()
    job = _Forker(socket.socket(fileno=channel_fd), parent).serve()
    if job is None:
        os._exit(0)  # nothing to clean up, and a client may be waiting for our end
    # From here on this is a worker. The forker's frames are gone, so that it ends like any other Python process.
    die_with_parent(signal.SIGKILL)
    if os.getppid() != helper:
        os._exit(1)
    _become_worker(job)
    sys.exit(entry(job.settings))


class _Child:
    """A live worker."""

    __slots__ = ("directory", "name", "over", "page", "peephole", "voice")

    def __init__(self, name: str, settings: dict[str, Any], voice: Voice | None) -> None:
        self.name = name
        self.page: str = settings.get("page", "")
        self.directory: str = settings.get("directory", "")  # where its sockets are
        self.peephole = Peephole(self.page) if self.page else None
        self.voice = voice  # None: it has our own standard error
        self.over = ""  # why we have killed it


class _Forker:
    """The helper's loop over its descriptors: the channel, signals, the client's process, and what workers say."""

    def __init__(self, channel: socket.socket, parent: int) -> None:
        self._channel = channel
        self._channel.setblocking(False)
        self._unpacker = Unpacker()
        self._unsent = bytearray()
        self._parent = parent
        self._parent_fd = _pidfd(parent)
        self._children: dict[int, _Child] = {}  # by pid
        self._voices: dict[int, Voice] = {}  # by descriptor; also of the dead, while somebody can write to it
        self._terminal = Terminal()
        self._watch = MemoryWatch()
        self._directories: set[str] = set()  # that the client made for its workers' sockets and pages
        self._orphaned = False  # the client is gone, and cannot remove them
        self._deadline: float | None = None  # of the kind part of the end; set: we are ending
        self._killed = False
        self._alarm, self._alarm_in = socket.socketpair()
        self._alarm.setblocking(False)
        self._alarm_in.setblocking(False)
        signal.set_wakeup_fd(self._alarm_in.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, _note)  # who ends a service signals everybody: it is for our client to decide
        signal.signal(signal.SIGCHLD, _note)
        signal.signal(signal.SIGUSR1, _note)

    def serve(self) -> Job | None:
        """Serve until the client is gone (None), or until this is a forked child (its job)."""
        self._send(pack(Op.READY))
        while self._deadline is None or self._children:
            ready = self._wait()
            job = self._serve_channel() if self._channel.fileno() in ready else None
            if job is not None:
                return job
            if self._alarm.fileno() in ready:
                if signal.SIGUSR1 in self._drain_alarm():
                    self._watch.woken(time.monotonic())
                self._reap()
            self._hear(ready)
            self._measure()
            if os.getppid() != self._parent:
                self._orphaned = True
            if self._orphaned:
                self._end(GRACE_SECONDS)
            self._kill_when_due()
        self._flush()
        self._terminal.finish()
        if self._orphaned:
            for directory in self._directories:
                _remove_directory(directory)
        return None

    def _wait(self) -> set[int]:
        """The readable descriptors, as soon as there is one or something is due."""
        poll = select.poll()
        if self._deadline is None:
            poll.register(self._channel.fileno(), select.POLLIN | (select.POLLOUT if self._unsent else 0))
            if self._parent_fd is not None:
                poll.register(self._parent_fd, select.POLLIN)
        poll.register(self._alarm.fileno(), select.POLLIN)
        if self._terminal.unsent:
            poll.register(self._terminal.fileno(), select.POLLOUT)
        if not self._terminal.full:
            for fd in self._voices:
                poll.register(fd, select.POLLIN)
        timeouts = [] if (measure := self._watch.timeout(time.monotonic())) is None else [measure]
        if self._deadline is not None:
            timeouts += [] if self._killed else [max(self._deadline - time.monotonic(), 0)]
        elif self._parent_fd is None:
            timeouts.append(_PARENT_POLL_SECONDS)
        return {fd for fd, _ in poll.poll(1000 * min(timeouts) if timeouts else None)}

    # -- the channel ------------------------------------------------------------------------------------------------

    def _serve_channel(self) -> Job | None:
        self._flush()
        try:
            data = self._channel.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except ConnectionError:
            data = b""
        if not data:
            self._orphaned = True
            return None
        for op, *fields in self._unpacker.feed(data):
            if op == Op.SPAWN:
                job = self._fork(*fields)
                if job is not None:
                    return job
            elif op == Op.SIGNAL:
                self._signal(*fields)
            elif op == Op.CLOSE:
                self._end(*fields)
        return None

    def _send(self, data: bytes) -> None:
        self._unsent += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: self._channel.send(self._unsent)]
        except (BlockingIOError, InterruptedError):
            pass
        except ConnectionError:
            self._unsent.clear()

    # -- workers -----------------------------------------------------------------------------------------------------

    def _fork(self, name: str, settings: dict[str, Any]) -> Job | None:
        gc.freeze()
        child = _Child(name, settings, _voice())
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # our handlers must not run in the child
        try:
            pid = os.fork()
        except OSError as error:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            if child.voice is not None:
                child.voice.is_theirs()
                child.voice.close()
            how = f"it could not be forked: {error.strerror}"
            self._send(pack(Op.DIED, name, 0, how, error.errno, False, None, ""))
            return None
        if pid == 0:
            self._become_child(child)
            return Job(name, settings)
        _own_group(pid)
        self._children[pid] = child
        self._directories.add(child.directory)
        if child.voice is not None:
            child.voice.is_theirs()
            self._voices[child.voice.fileno()] = child.voice
        limit = settings.get("memory_limit", 0)
        if limit and child.peephole is not None:
            pause = int(limit * settings["config"]["memory_pause"])
            self._watch.add(pid, limit, pause, child.peephole, time.monotonic())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        self._send(pack(Op.SPAWNED, name, pid))
        return None

    def _become_child(self, child: _Child) -> None:
        """Let go of everything that is the helper's."""
        _own_group(0)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(signum, signal.SIG_DFL)
        self._channel.close()
        self._alarm.close()
        self._alarm_in.close()
        if self._parent_fd is not None:
            os.close(self._parent_fd)
        for voice in self._voices.values():
            voice.close()
        self._terminal.close()
        if child.voice is not None:
            child.voice.become_ours()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        gc.enable()

    def _signal(self, name: str, signum: int) -> None:
        for pid, child in self._children.items():
            if child.name == name:
                os.kill(pid, signum)

    def _reap(self) -> None:
        """Report all workers that have died, and end what is left in their process groups."""
        while self._children:
            if hasattr(os, "waitid"):
                # Leave the corpse for the moment: its pid, and so its group's name, stays taken until we have used it.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None:
                    return
                _kill_group(found.si_pid, signal.SIGKILL)
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is not None:
                self._report(pid, child, os.waitstatus_to_exitcode(status))

    def _report(self, pid: int, child: _Child, code: int) -> None:
        """Say how it ended, what it was doing, and its last words."""
        self._watch.remove(pid)
        words = ""
        if child.voice is not None:
            words = child.voice.last_words(self._terminal)
            self._forget_if_ended(child.voice)
        joined, executing = False, None
        if child.peephole is not None:
            joined, executing = child.peephole.joined(), child.peephole.running()
        _remove_traces(pid, child)
        self._send(pack(Op.DIED, child.name, pid, child.over or how_it_ended(code), code, joined, executing, words))

    def _hear(self, ready: set[int]) -> None:
        """Hand on what workers have said."""
        if self._terminal.fileno() in ready:
            self._terminal.flush()
        for fd in ready & self._voices.keys():
            voice = self._voices[fd]
            voice.hear(self._terminal)
            self._forget_if_ended(voice)

    def _forget_if_ended(self, voice: Voice) -> None:
        if voice.ended:
            self._voices.pop(voice.fileno(), None)

    def _measure(self) -> None:
        """Look at the memory of the workers, if that is due; end those above their limit."""
        for pid, pressed, over in self._watch.look(time.monotonic()):
            child = self._children[pid]
            if over:
                child.over = over
                _kill_group(pid, signal.SIGKILL)
            else:
                self._send(pack(Op.PRESSED, child.name, pressed))

    # -- the end -------------------------------------------------------------------------------------------------------

    def _end(self, grace: float) -> None:
        if self._deadline is not None:
            return
        self._deadline = time.monotonic() + grace
        for pid in self._children:
            _kill_group(pid, signal.SIGHUP)

    def _kill_when_due(self) -> None:
        if self._deadline is not None and not self._killed and time.monotonic() >= self._deadline:
            self._killed = True
            for pid in self._children:
                _kill_group(pid, signal.SIGKILL)

    def _drain_alarm(self) -> set[int]:
        """The numbers of the signals that have come."""
        found: set[int] = set()
        with contextlib.suppress(BlockingIOError, InterruptedError):
            while numbers := self._alarm.recv(_READ_BYTES):
                found.update(numbers)
        return found


def _become_worker(job: Job) -> None:
    """Take over the client's surroundings: where modules are found, the working directory, the environment."""
    settings = job.settings
    _name_process(f"fastsched {job.name}")
    faulthandler.enable(2, all_threads=False)  # a crash says where, and that is among the last words
    environ: dict[str, str] | None = settings.get("environ")
    if environ is not None:
        for gone in os.environ.keys() - environ.keys():
            del os.environ[gone]
        os.environ.update(environ)
    path: list[str] | None = settings.get("sys_path")
    if path is not None:
        sys.path[:] = path
        sys.path_importer_cache.clear()  # importlib.invalidate_caches() would import its metadata, from 3.13 on
    cwd: str | None = settings.get("cwd")
    if cwd:
        try:
            os.chdir(cwd)
        except OSError as error:
            sys.stderr.write(f"fastsched worker {job.name}: cannot change to the client's directory: {error}\n")
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:  # Python's own `random` does this by itself after a fork
        numpy_random.seed()


def _voice() -> Voice | None:
    """A pipe for the standard error of a new worker; None: there are no descriptors for it, it shall have ours."""
    try:
        return Voice()
    except OSError:
        return None


def _note(signum: int, frame: object) -> None:
    """A handler that does nothing, so that the signal reaches the wake-up descriptor."""


def _own_group(pid: int) -> None:
    """Put a process into a group of its own; parent and child both do it, and the second finds it done."""
    try:
        os.setpgid(pid, pid)
    except (PermissionError, ProcessLookupError):
        return


def _kill_group(pid: int, signum: int) -> None:
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):  # PermissionError: macOS, when only the corpse is left
        return


def _remove_traces(pid: int, child: _Child) -> None:
    """Remove the files of a worker, of which there may be thousands in a cluster's life."""
    with contextlib.suppress(OSError):
        if child.page:
            os.unlink(child.page)
        if child.directory:
            for entry in os.scandir(child.directory):
                if entry.name.endswith(f"-{pid}.sock"):
                    os.unlink(entry.path)


def _remove_directory(directory: str) -> None:
    """Remove a flat directory of sockets and small files."""
    if not directory:
        return
    try:
        for entry in os.scandir(directory):
            os.unlink(entry.path)
        os.rmdir(directory)
    except OSError:  # somebody else was there first
        return


def _pidfd(pid: int) -> int | None:
    """A descriptor that becomes readable when this process ends, where the system has such."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None


def _settle_standard_streams() -> None:
    """Input comes from nowhere, output goes where the client's goes, and no socket gets any of the three numbers."""
    fd = os.open(os.devnull, os.O_RDWR)
    os.dup2(fd, 0)
    for output in (1, 2):
        try:
            os.fstat(output)
        except OSError:  # a client without output, such as a daemon
            os.dup2(fd, output)
    if fd > 2:
        os.close(fd)


def _name_process(name: str) -> None:
    """Show this name in ps and top; Linux only, and a comfort only."""
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write(name)
    except OSError:
        return
