"""Workers over real Unix sockets, and a fake scheduler that the test plays."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastsched.config import Config
from fastsched.net.address import unix_address
from fastsched.net.connect import connect
from fastsched.wire import payload
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import (
    Data,
    Done,
    FinishedItem,
    FunctionItem,
    InputItem,
    Register,
    Role,
    Run,
    RunFunction,
    RunItem,
    Welcome,
)
from fastsched.worker.server import WorkerServer
from fastsched.worker.settings import Settings
from tests.servers.net import KEYS, Mailbox, server, stream_of, turn

ROOT = Path(__file__).parents[2]
REPORTS = frozenset(ALLOWED[Role.WORKER])


def task_id(n: int) -> int:
    return 1 << 32 | n


class Line:
    """The fake scheduler's connection to one worker."""

    def __init__(self, stream, box: Mailbox) -> None:
        self.stream = stream
        self.box = box
        self.register: Register | None = None
        self.functions: set[bytes] = set()

    def run(self, n: int, fn: Any, *args: Any, inputs: tuple[InputItem, ...] = (), attempt: int = 1) -> None:
        """Order a task; where `args` hold an `Input`, the value of that input arrives."""
        self.run_many(fn, {n: args}, inputs, attempt)

    def run_many(
        self, fn: Any, calls: dict[int, tuple[Any, ...]], inputs: tuple[InputItem, ...] = (), attempt: int = 1
    ) -> None:
        """Order one task for each entry, in one message."""
        fn_id, frames = payload.functions.pickle_function(fn)
        functions = () if fn_id in self.functions else (FunctionItem(fn_id, frames),)
        self.functions.add(fn_id)
        items = []
        for n, args in calls.items():
            packed, _, _ = payload.dumps_call(args, {}, "a test")
            items.append(RunItem(task_id(n), attempt, f"key-{n}", fn_id, packed, inputs, 0, n))
        self.stream.send(Run(functions, tuple(items)))

    def call(self, request: int, fn: Any, *args: Any) -> None:
        self.stream.send(RunFunction(request, payload.dumps_function_call(fn, args, {})))

    def news(self) -> Done:
        """All that the worker has reported."""
        done = [message for message in self.box.messages if isinstance(message, Done)]
        parts = [sum((message[field] for message in done), ()) for field in range(5)]
        return Done(*parts, done[-1].lent if done else 0)

    async def outcomes(self, count: int) -> list:
        """The worker's first `count` outcomes."""
        await self.box.until(lambda _: self.box.reasons or len(self.news().finished + self.news().erred) >= count)
        return [*self.news().finished, *self.news().erred]

    async def value(self, n: int) -> Any:
        """The value of a finished task that came with the report."""
        await self.box.until(lambda _: any(item[0] == task_id(n) for item in self.news().finished + self.news().erred))
        (item,) = [FinishedItem(*item) for item in self.news().finished if item[0] == task_id(n)]
        return payload.loads(item.frames)


class World:
    """A fake scheduler that listens, and workers of this process."""

    def __init__(self, directory: Path, config: Config, let_in) -> None:
        self.directory = directory
        self.config = config
        self.workers: list[WorkerServer] = []
        self.lines: list[Line] = []
        self.processes: list[subprocess.Popen] = []
        self._let_in = let_in
        self._names = itertools.count(1)

    def settings(self, nthreads: int = 1) -> dict[str, Any]:
        return settings_of(self.directory, f"w{next(self._names)}", self.config, nthreads)

    async def worker(self, nthreads: int = 1) -> tuple[WorkerServer, Line]:
        """A worker of this process, and the scheduler's line to it."""
        worker = WorkerServer(Settings.from_dict(self.settings(nthreads)), asyncio.get_running_loop())
        started = asyncio.ensure_future(worker.start())
        line = await self.line()
        await started
        self.workers.append(worker)
        return worker, line

    def process(self, **changes: Any) -> subprocess.Popen:
        """A worker in a process of its own; it does not outlive the test."""
        process = start_process(self.settings() | changes)
        self.processes.append(process)
        return process

    async def line(self) -> Line:
        """The scheduler's side of the next worker that comes; it is registered and welcome."""
        connection = await self._let_in.get()
        assert connection.role == Role.WORKER
        line = Line(*stream_of(connection, self.config, REPORTS))
        line.register = (await line.box.received(1))[0]
        line.stream.send(Welcome(line.register.name, "0", "scheduler"))
        self.lines.append(line)
        return line

    async def reader(self, address: str, role: Role = Role.CLIENT):
        """Somebody who wants data of a worker."""
        connection = await connect(address, role, KEYS[role], self.config)
        return stream_of(connection, self.config, frozenset((Data,)))


def settings_of(directory: Path, name: str, config: Config, nthreads: int = 1) -> dict[str, Any]:
    """As a local cluster tells its workers."""
    return {
        "name": name,
        "address": str(unix_address(directory / "socket")),
        "worker_key": KEYS[Role.WORKER].hex(),
        "client_key": KEYS[Role.CLIENT].hex(),
        "nthreads": nthreads,
        "memory_limit": 0,
        "directory": str(directory),
        "page": str(directory / f"{name}.page"),
        "config": config.as_dict(),
    }


@asynccontextmanager
async def world(directory: Path, **limits: Any):
    """A fake scheduler; its workers are gone at the end."""
    config = Config(**{"pulse_seconds": 0.0} | limits)  # tests count the messages of a worker
    async with server(config, directory) as (_, let_in):
        here = World(directory, config, let_in)
        try:
            yield here
        finally:
            for process in here.processes:
                process.kill()
                process.wait()
                process.stdout.close()
            for line in here.lines:
                line.stream.close()
            for worker in here.workers:
                worker.stop("the test is over")
                await worker.closed.wait()
            for line in here.lines:
                await line.box.closed()


def start_process(settings: dict[str, Any]) -> subprocess.Popen:
    """A worker in a process of its own."""
    code = "import json, sys; from fastsched.worker.process import main; main(json.load(sys.stdin))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    process.stdin.write(json.dumps(settings).encode())
    process.stdin.close()
    return process


async def until_there(path: Path) -> None:
    """Until somebody has made this file."""
    while not path.exists():
        await turn()


async def end_of(process: subprocess.Popen) -> tuple[int, str]:
    """How it ended, and all that it printed."""
    output = await asyncio.to_thread(process.stdout.read)
    return await asyncio.to_thread(process.wait), output.decode()


SIGKILLED = -signal.SIGKILL
