"""The pieces of work that the gate measures, each on a state that lives on, so that one run is like the next.

Also the program that valgrind counts the instructions of: after a run of everything to warm up, it forks a child for
each piece that does it once, and one that does it a few times more. All else is the same in both, so the difference is
the work's alone.

    python -m benchmarks.gating.works          # prints: process id, piece of work, how often
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

import numpy as np

from benchmarks.bench_core import core_with, merge_graph, run_merge
from benchmarks.bench_machines import CLIENT, Zero, flat, merge, task
from benchmarks.bench_wire import FN, KEY, dones, submits
from benchmarks.workloads.alone import one_task
from benchmarks.workloads.tasks import inc
from fastsched.config import Config
from fastsched.wire import keys, payload
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.messages import Free, FunctionItem, Message, Release, Role, Run, Submit
from fastsched.worker.machine import SCHEDULER, WorkerMachine
from fastsched.worker.runner import run_job

__all__ = ["MORE", "TASKS", "WORKS", "loop"]

TASKS = 1000  # in a run of each piece
BATCH = 100  # in a message
WORKERS = 10
MORE = 3  # runs in the second child

Work = Callable[[], object]


def loop() -> int:
    """The yardstick: what the interpreter does in a fixed loop, TASKS times."""
    total = 0
    for i in range(50 * TASKS):
        total += i & 7
    return total


def core() -> Work:
    """The core alone: submit, assign, finish, release a merge in five batches."""
    machine, graph, sizes = core_with(2), merge_graph(TASKS - 1), np.ones(TASKS, np.int64)
    return lambda: run_merge(machine, graph, sizes)


def core_one_by_one() -> Work:
    """The core alone, five calls from Python for each task."""
    one = one_task(core_with(1))

    def run() -> None:
        for _ in range(TASKS):
            one(0)

    return run


def scheduler() -> Work:
    """The scheduler's machine: a merge, in messages of 100 tasks, from submit to release."""
    zero = Zero(WORKERS)
    return lambda: zero.run(merge(zero, TASKS - 1), BATCH)


def scheduler_wanted() -> Work:
    """The scheduler's machine: independent tasks whose results are all wanted and reported."""
    zero = Zero(WORKERS)
    return lambda: zero.run(flat(zero, TASKS), BATCH, keep=TASKS)


def scheduler_one_by_one() -> Work:
    """The scheduler's machine: submit, result, release, one task after the other."""
    zero = Zero(WORKERS)

    def run() -> None:
        for fid in zero.fids(TASKS):
            zero.machine.receive(CLIENT, Submit((), (task(fid),)), 1.0)
            zero.settle()
            zero.machine.receive(CLIENT, Release((fid,)), 1.0)
            zero.settle()

    return run


def wire() -> Work:
    """The codec: a Submit and a Done of 100 tasks, encoded and decoded."""
    return _codec(BATCH)


def wire_one_by_one() -> Work:
    """The codec: a Submit and a Done of one task, encoded and decoded."""
    return _codec(1)


def _codec(batch: int) -> Work:
    decoder = Decoder(Config(), ALLOWED[Role.WORKER])
    messages: list[Message] = [submits(batch), dones(batch)]

    def run() -> None:
        for _ in range(TASKS // batch):
            for message in messages:
                decoder.feed(b"".join(encode(message)))

    return run


def call() -> Work:
    """What a call of submit pickles and hashes, and what a worker does with it: arguments, key, result."""

    def run() -> None:
        for i in range(TASKS):
            keys.task_key("increment", FN, (i,), {})
            frames, _, _ = payload.dumps_call((i,), {}, KEY)
            payload.loads_call(frames, ())
            payload.loads(payload.dumps(i).frames)

    return run


def worker_one_by_one() -> Work:
    """The worker: an order, its job from pickled arguments to pickled result, the report, the value freed."""
    config = Config()
    machine = WorkerMachine(config, 1)
    fn, frames = payload.functions.pickle_function(inc)
    args, _, _ = payload.dumps_call((1,), {}, KEY)
    machine.receive(SCHEDULER, Run((FunctionItem(fn, frames),), ()), 1.0)

    orders: list[Message] = []
    for id in range(1, TASKS + 1):
        item = (id, 1, KEY, fn, args, (), 0, id)  # plain, as the codec makes it
        orders += [Run((), (item,)), Free((id,))]  # type: ignore[arg-type]

    def run() -> None:
        for order in orders:
            machine.receive(SCHEDULER, order, 1.0)
            for action in machine.starts():
                outcome = run_job(action.job, "worker", config)
                machine.finished(action.job, outcome.end, outcome.micros, outcome.pins)
                machine.drain()

    return run


WORKS: dict[str, Callable[[], Work]] = {
    "core": core,
    "core, one by one": core_one_by_one,
    "scheduler": scheduler,
    "scheduler, all wanted": scheduler_wanted,
    "scheduler, one by one": scheduler_one_by_one,
    "wire": wire,
    "wire, one by one": wire_one_by_one,
    "call": call,
    "worker, one by one": worker_one_by_one,
}


def main() -> None:
    gc.disable()
    for name, prepare in WORKS.items():
        work = prepare()
        work()
        for runs in (1, 1 + MORE):
            child = os.fork()
            if not child:
                for _ in range(runs):
                    work()
                os._exit(0)
            print(f"{child}\t{name}\t{runs}", flush=True)
            _, status = os.waitpid(child, 0)
            assert status == 0, f"{name} ended with {status}"


if __name__ == "__main__":
    main()
