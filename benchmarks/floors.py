"""The floors: what the same round trips cost without a scheduler. No design gets below them.

    python benchmarks/floors.py             # each in a fresh process: as the system places them, and pinned

``echo``        two processes, a blocking echo over a Unix socket: one hop there, one back
``echo3``       three processes, the middle one passing on with uvloop, blocking ends: a scheduler that does nothing
``calls``       pickle of the arguments, a hash of them, the call, pickle of the result, in one thread
``handoff``     a value to another thread and back
``plain-tree``  the recursive Fibonacci as calls whose arguments and results go through pickle
"""

from __future__ import annotations

import asyncio
import os
import pickle
import socket
import sys
import threading
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from queue import SimpleQueue
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script

from benchmarks.comparing.figures import cost_of
from benchmarks.comparing.rounds import Failure, Runner
from benchmarks.comparing.tables import duration
from benchmarks.workloads.catalogue import SUBJECTS, workload
from benchmarks.workloads.measuring import Sample, each
from benchmarks.workloads.placing import Placing, can_pin
from benchmarks.workloads.tasks import inc

__all__ = ["measure"]

TRIPS = 3000
WARM = 300
MESSAGE = bytes(128)  # about what a small task is on the wire


def measure(subject: str, workload: str, size: int, placing: Placing) -> Sample:
    """A sample of a floor. All but ``plain-tree`` take the same trips for every workload."""
    return FLOORS[subject](size, placing)


def echo(_: int, placing: Placing) -> Sample:
    here, there = socket.socketpair()
    child = fork(lambda: answer(there), [here])
    there.close()
    placing.place([child])
    return trips(here, [child])


def echo3(_: int, placing: Placing) -> Sample:
    here, middle_left = socket.socketpair()
    middle_right, there = socket.socketpair()
    worker = fork(lambda: answer(there), [here, middle_left, middle_right])
    middle = fork(lambda: pass_on(middle_left, middle_right), [here, there])
    for end in (middle_left, middle_right, there):
        end.close()
    placing.place([middle, worker])
    return trips(here, [worker, middle])


def fork(run: Callable[[], None], not_its: list[socket.socket]) -> int:
    """A child that runs this and ends; its id."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for end in not_its:
            end.close()
        run()
        status = 0
    finally:
        os._exit(status)


def answer(end: socket.socket) -> None:
    """Send back what comes, until the other side closes."""
    while data := end.recv(len(MESSAGE)):
        end.sendall(data)


def pass_on(left: socket.socket, right: socket.socket) -> None:
    """Pass everything from one side to the other, on uvloop, until one closes."""
    import uvloop  # nobody else here needs it

    async def run() -> None:
        loop, closed = asyncio.get_running_loop(), asyncio.Event()

        def forward(source: socket.socket, target: socket.socket) -> None:
            if data := source.recv(1 << 16):
                target.send(data)  # a message at a time: the kernel's buffer always has room
            else:
                loop.remove_reader(source)
                closed.set()

        for source, target in ((left, right), (right, left)):
            source.setblocking(False)
            loop.add_reader(source, forward, source, target)
        await closed.wait()

    uvloop.run(run())


def trips(end: socket.socket, children: list[int]) -> Sample:
    """Round trips over this socket; then the children end, as nobody holds the other side."""

    def trip(_: int) -> None:
        end.sendall(MESSAGE)
        missing = len(MESSAGE)
        while missing:
            data = end.recv(missing)
            if not data:
                raise ConnectionError("the other side of the echo ended")
            missing -= len(data)

    each(trip, range(WARM))
    times = each(trip, range(TRIPS))
    end.close()
    for child in children:
        os.waitpid(child, 0)
    return Sample(times)


def calls(_: int, placing: Placing) -> Sample:
    placing.place([])
    functions = {b"inc": inc}

    def call(i: int) -> None:
        arguments = pickle.dumps((i,), protocol=5)
        blake2b(arguments, digest_size=16).hexdigest()
        result = pickle.dumps(functions[b"inc"](*pickle.loads(arguments)), protocol=5)
        pickle.loads(result)

    each(call, range(WARM))
    return Sample(each(call, range(TRIPS)))


def handoff(_: int, placing: Placing) -> Sample:
    there: SimpleQueue[int | None] = SimpleQueue()
    back: SimpleQueue[int] = SimpleQueue()

    def answer_all() -> None:
        while (number := there.get()) is not None:
            back.put(number)

    def trip(i: int) -> None:
        there.put(i)
        back.get()

    thread = threading.Thread(target=answer_all)
    thread.start()
    placing.place([])
    each(trip, range(WARM))
    times = each(trip, range(TRIPS))
    there.put(None)
    thread.join()
    return Sample(times)


def plain_tree(n: int, placing: Placing) -> Sample:
    """Time per call of fib(n)."""
    placing.place([])
    count = 0

    def fib(n: int) -> int:
        nonlocal count
        count += 1
        if n < 2:
            return n
        left, right = (pickle.loads(pickle.dumps((n - k,), protocol=5)) for k in (1, 2))
        return int(pickle.loads(pickle.dumps(fib(*left) + fib(*right), protocol=5)))

    start = perf_counter()
    fib(n)
    return Sample([(perf_counter() - start) / count])


FLOORS: dict[str, Callable[[int, Placing], Sample]] = {
    "echo": echo,
    "echo3": echo3,
    "calls": calls,
    "handoff": handoff,
    "plain-tree": plain_tree,
}


def main() -> None:
    """Each floor in a fresh process, in both variants."""
    entry = workload("fib")  # its size is that of the tree
    runner = Runner(sys.executable, sys.executable)
    print(f"{'floor':46}  {'processes':9}  {'median':>8}  {'p99':>8}")
    for name in FLOORS:
        for pinned in (False, True) if can_pin() else (False,):
            sample = runner.take(entry, name, pinned)
            if isinstance(sample, Failure):
                sys.exit(f"{name}: {sample.reason}")
            cost = cost_of([sample])
            p99 = "" if cost.p99 is None else duration(cost.p99)
            where = "pinned" if pinned else "free"
            print(f"{SUBJECTS[name].title:46}  {where:9}  {duration(cost.typical):>8}  {p99:>8}")


if __name__ == "__main__":
    main()
