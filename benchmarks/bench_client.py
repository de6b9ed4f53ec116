"""The client's own part of a task, in the caller's thread: check, key, pickle, hand over; and unpickle what came back.

    pytest benchmarks/bench_client.py                # a table; nanoseconds per task in `extra_info`

Behind the client is a session that takes everything and does nothing, so there is no scheduler, no machine, no wait.
The floor is what pickle, marshal and blake2b need for the same tasks, called bare. CEILING is the gate, far above what
a quiet machine shows.
"""

from __future__ import annotations

import asyncio
import hashlib
import marshal
import pickle
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator
from time import process_time
from typing import Any

import pytest

from benchmarks.workloads.tasks import inc
from fastsched import Future
from fastsched._wait import TurnLock
from fastsched.client.link import Link, Outside
from fastsched.client.linked import LinkedClient
from fastsched.client.record import FutureRecord, Status
from fastsched.client.session import Session
from fastsched.config import Config
from fastsched.net._pump import Pump
from fastsched.net.loop import LoopThread
from fastsched.wire import payload

TASKS = 1000
CEILING = 20.0  # microseconds per task
SECONDS = 10.0  # for the thread of the loop
VALUE = payload.dumps(1).frames
pytestmark = pytest.mark.benchmark(timer=process_time)  # what others do on this machine meanwhile does not count


class DeafSession(Session):
    """A session that takes everything and does nothing; the fids are counted as always."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        nobody: Any = None
        super().__init__(loop, Config(), Pump(loop), TurnLock(), nobody, nobody)

    def submit(self, command: Callable[..., None], *args: Any) -> None:
        """Into the void."""

    def post(self, command: Callable[..., None], *args: Any) -> None:
        """Into the void."""

    def release(self, record: FutureRecord) -> None:
        """Into the void."""


class DeafLink(Link):
    """Leads to a `DeafSession`."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.scheduler = ""


async def deaf_session() -> Session:
    """It must be made in the thread of its loop."""
    return DeafSession(asyncio.get_running_loop())


@pytest.fixture
def client() -> Iterator[LinkedClient]:
    io = LoopThread("benchmark-io")
    io.start()
    yield LinkedClient(DeafLink(io.run(deaf_session(), SECONDS)), Outside(), "benchmark")
    io.stop()


def finished(client: LinkedClient) -> list[Future[int]]:
    """Futures whose small values have arrived."""
    futures = client.map(inc, range(TASKS))
    for future in futures:
        record = future.record
        record.type_name, record.nbytes, record.frames = "int", len(VALUE[0]), VALUE
        record.status = Status.FINISHED
    return futures


def measured(benchmark: Any, function: Callable[[], Any]) -> None:
    benchmark(function)
    if benchmark.stats is not None:
        per_task = benchmark.stats.stats.median / TASKS * 1e6
        benchmark.extra_info["per_task_us"] = round(per_task, 3)
        assert per_task < CEILING


ARGUMENTS: dict[str, Callable[[int], tuple[Any, ...]]] = {
    "int": lambda i: (i,),
    "ints and text": lambda i: (i, 2, "a text of some length"),
    "list": lambda i: ([i, 2, 3],),
    "dict": lambda i: ({"a": i},),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def bench_submit(benchmark: Any, client: LinkedClient, name: str) -> None:
    submit, calls = client.submit, [ARGUMENTS[name](i) for i in range(TASKS)]
    measured(benchmark, lambda: [submit(inc, *args) for args in calls])


def bench_submit_by_name(benchmark: Any, client: LinkedClient) -> None:
    submit = client.submit
    measured(benchmark, lambda: [submit(inc, x=i) for i in range(TASKS)])


def bench_submit_impure(benchmark: Any, client: LinkedClient) -> None:
    submit = client.submit
    measured(benchmark, lambda: [submit(inc, i, pure=False) for i in range(TASKS)])


def bench_submit_to_a_future(benchmark: Any, client: LinkedClient) -> None:
    submit, before = client.submit, client.map(inc, range(TASKS))
    measured(benchmark, lambda: [submit(inc, future) for future in before])


def bench_map(benchmark: Any, client: LinkedClient) -> None:
    measured(benchmark, lambda: client.map(inc, range(TASKS)))


def bench_result(benchmark: Any, client: LinkedClient) -> None:
    futures = finished(client)
    measured(benchmark, lambda: [future.result() for future in futures])


def bench_gather(benchmark: Any, client: LinkedClient) -> None:
    futures = finished(client)
    measured(benchmark, lambda: client.gather(futures))


def bench_floor(benchmark: Any) -> None:
    """Submit: the key and the pickle. A result: one unpickling."""

    def floor() -> None:
        for i in range(TASKS):
            args = (i,)
            hashlib.blake2b(b"function" + marshal.dumps(args, 2), digest_size=16).hexdigest()
            pickle.loads(pickle.dumps((args, {}), 5))

    measured(benchmark, floor)
