"""Zero workers: they join a scheduler like workers, and answer every task at once without running it.

    fastsched-scheduler --access-file zero.json &
    python benchmarks/zero.py --scheduler zero.json --workers 1000

So what is left of a task's time is the client's and the scheduler's (rsds, WORKS 2020, has the idea and the name). All
workers are connections of this one process with one loop. Every result is the same small value, whatever the function;
nothing larger is ever held, so nobody asks for it. Says "ready" once all are in, and ends with the scheduler.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.descriptors import allow_many_descriptors
from fastsched import __version__
from fastsched.config import Config
from fastsched.net.access import AccessFile
from fastsched.net.channel import Channel
from fastsched.net.connect import connect
from fastsched.net.loop import new_event_loop
from fastsched.net.stream import Stream
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import (
    Done,
    FinishedItem,
    Message,
    Put,
    RanFunction,
    Refuse,
    Register,
    Role,
    Run,
    RunFunction,
    Shutdown,
    Welcome,
)

__all__ = ["VALUE", "ZeroWorker", "main"]

VALUE = 0
FRAMES = (pickle.dumps(VALUE, protocol=5),)
NBYTES = sys.getsizeof(VALUE)
AT_ONCE = 16  # connections in the handshake: fewer than a scheduler lets wait


class ZeroWorker:
    """A worker's end of one connection.

    Parameters
    ----------
    name : str
    nthreads : int
        Slots that it says to have.

    Attributes
    ----------
    welcome : asyncio.Event
        It is in.
    ended : asyncio.Event
        The connection has ended.
    refused : str
        Why it was put out, if it was.
    """

    def __init__(self, name: str, nthreads: int) -> None:
        self.name = name
        self.nthreads = nthreads
        self.welcome = asyncio.Event()
        self.ended = asyncio.Event()
        self.refused = ""

    async def join(self, access: AccessFile, config: Config) -> None:
        """Connect, sign on, and wait until the scheduler has let us in."""
        connection = await connect(access.address, Role.WORKER, access.worker_key, config)
        loop = asyncio.get_running_loop()
        stream = Stream(connection, loop, config, ALLOWED[Role.SCHEDULER], self.received, self._closed)
        nowhere = "tcp://127.0.0.1:9"  # its values all travel with the reports
        stream.send(Register(self.name, __version__, os.getpid(), self.nthreads, nowhere, 0, ""))
        await self.welcome.wait()
        if self.refused:
            raise ConnectionError(f"{self.name} was not let in: {self.refused}")

    def received(self, channel: Channel, messages: list[Message]) -> None:
        """Answer all that came in one wake-up with one message."""
        finished: list[FinishedItem] = []
        replicas: list[tuple[int, int]] = []
        for message in messages:
            match message:
                case Run():
                    finished += [FinishedItem(item[0], item[1], "int", NBYTES, 1, FRAMES, ()) for item in message.tasks]
                case Put():
                    replicas += [(item[0], NBYTES) for item in message.items]
                case RunFunction():
                    channel.send(RanFunction(message.request, True, FRAMES))
                case Welcome():
                    self.welcome.set()
                case Refuse() | Shutdown():
                    self.refused = getattr(message, "text", "")
                    channel.close()
        if finished or replicas:
            channel.send(Done(tuple(finished), (), (), (), tuple(replicas), 0))

    def _closed(self, channel: Channel, reason: Exception | None) -> None:
        self.refused = self.refused or str(reason or "")
        self.welcome.set()
        self.ended.set()


async def serve(access: AccessFile, count: int, nthreads: int) -> None:
    """`count` workers, until the last of their connections has ended."""
    config = Config.from_environment()
    turn = asyncio.Semaphore(AT_ONCE)
    workers = [ZeroWorker(f"zero-{number}", nthreads) for number in range(count)]

    async def join(worker: ZeroWorker) -> None:
        async with turn:
            await worker.join(access, config)

    await asyncio.gather(*map(join, workers))
    print(f"ready: {count} zero workers at {access.address}", flush=True)
    for worker in workers:
        await worker.ended.wait()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheduler", required=True, metavar="ACCESSFILE", help="that of fastsched-scheduler")
    parser.add_argument("--workers", type=int, default=2, help="how many (default: 2)")
    parser.add_argument("--nthreads", type=int, default=1, help="slots of each (default: 1)")
    options = parser.parse_args(arguments)
    allow_many_descriptors()
    loop = new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(AccessFile.read(options.scheduler), options.workers, options.nthreads))


if __name__ == "__main__":
    main()
