"""What the processes of the spawn tests do, and the tests' side of it."""

import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

from fastsched.spawn.supervisor import Helper

ENTRY = "tests.servers.spawned:report"
SECONDS = 20  # after which a test gives up waiting


def facts() -> dict:
    """What a worker can see of its surroundings."""
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "group": os.getpgrp(),
        "cwd": str(Path.cwd()),
        "path": sys.path,
        "environ": dict(os.environ),
        "argv": sys.argv,
        "cmdline": Path("/proc/self/cmdline").read_bytes().decode(errors="replace"),
        "exec_environ": Path("/proc/self/environ").read_bytes().decode(errors="replace"),
        "stdin": str(Path("/proc/self/fd/0").readlink()),
        "fds": {fd: str(Path(f"/proc/self/fd/{fd}").readlink()) for fd in open_fds()},
        "sigint": signal.getsignal(signal.SIGINT) is signal.default_int_handler,
        "sigterm": signal.getsignal(signal.SIGTERM) is signal.SIG_DFL,
        "blocked": [int(signum) for signum in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        "main": "report" in dir(sys.modules["__main__"]),
    }


def open_fds() -> list[int]:
    """The open descriptors of this process."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        fd = int(path.name)
        try:
            os.fstat(fd)
        except OSError:  # the listing's own
            continue
        found.append(fd)
    return sorted(found)


def report(settings: dict) -> int:
    """A worker's entry: say what it sees, wait for the word, then do what `settings` say."""
    seen = facts()
    if settings.get("stubborn"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if settings.get("child"):
        pid = os.fork()
        if pid == 0:
            signal.pause()
        seen["child"] = pid
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(settings["socket"])
        sock.sendall(json.dumps(seen).encode() + b"\n")
        told = sock.recv(1)
    while settings.get("stubborn") and not told:  # the client is gone, and this worker does not care
        signal.pause()
    if settings.get("raise"):
        raise RuntimeError("this worker was told to raise")
    return settings.get("exit", 0)


class Worker:
    """The tests' end of one worker's connection: `go` gives it the word."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        data = b""
        while not data.endswith(b"\n"):
            more = sock.recv(1 << 16)
            assert more, "the worker ended before it reported"
            data += more
        self.facts = json.loads(data)

    def go(self) -> None:
        self.sock.sendall(b"g")


class Nursery:
    """A helper, and a socket at which its workers report."""

    def __init__(self, directory: Path, entry: str = ENTRY) -> None:
        self.listener = socket.socket(socket.AF_UNIX)
        self.path = str(directory / "nursery")
        self.listener.bind(self.path)
        self.listener.listen()
        self.listener.settimeout(SECONDS)
        self.helper = Helper.start(entry)
        self.workers: list[Worker] = []
        self.events: list = []

    def spawn(self, name: str, **settings) -> Worker:
        self.helper.spawn(name, {"socket": self.path, **settings})
        sock, _ = self.listener.accept()
        sock.settimeout(SECONDS)
        self.workers.append(Worker(sock))
        return self.workers[-1]

    def next_event(self, *kinds: type):
        """The next event of these kinds; others are dropped."""
        deadline = time.monotonic() + SECONDS
        while True:
            while self.events:
                event = self.events.pop(0)
                if not kinds or isinstance(event, kinds):
                    return event
            left = deadline - time.monotonic()
            assert left > 0, f"no {kinds} came"
            select.select([self.helper], [], [], left)
            self.events += self.helper.read_events()

    def close(self) -> None:
        if self.helper.fileno() >= 0:
            self.helper.close(5.0)
        for worker in self.workers:
            worker.sock.close()
        self.listener.close()


def wait_for_end(pid: int, seconds: float = SECONDS) -> bool:
    """Whether a process (anybody's child) ends within this time."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


def main() -> None:
    """A client in a process of its own: it spawns two workers, tells their pids, and waits to be killed."""
    directory, *options = sys.argv[1:]
    private = Path(directory, "private")
    private.mkdir()
    (private / "worker.sock").touch()
    entries = [option for option in options if ":" in option]
    nursery = Nursery(Path(directory), *entries)
    pids = [nursery.helper.pid]
    for name in ("a", "b"):
        worker = nursery.spawn(name, stubborn="stubborn" in options, child="child" in options, directory=str(private))
        pids += [worker.facts["pid"], *([worker.facts["child"]] if "child" in options else [])]
    if "forked" in options:
        fork = os.fork()
        if fork == 0:
            signal.pause()
        pids.append(-fork)
    if "sturdy" in options:
        signal.signal(signal.SIGINT, lambda signum, frame: print("ouch", flush=True))
    print(json.dumps(pids), flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
