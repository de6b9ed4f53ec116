"""The wire without a socket: what a task costs in bytes-to-objects and back, so that a regression has an address.

Batched figures are per batch of `TASKS`; `per_task_us` in the extra info is what matters. The floors stand beside them:
pickle, msgpack and blake2b called bare on the same data.
"""

from __future__ import annotations

import hashlib
import marshal
import pickle
from typing import Any

import msgpack
import numpy as np
import pytest

from fastsched.config import Config
from fastsched.wire import keys, payload
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.handshake import ClientSide, ServerSide
from fastsched.wire.messages import (
    Buffer,
    Data,
    DatumItem,
    Done,
    FinishedItem,
    Report,
    ResultItem,
    Role,
    Run,
    RunItem,
    Submit,
    TaskItem,
)

TASKS = 1000
KEY = "increment-0123456789abcdef0123456789abcdef"
FN = b"function"
ARGS, _, _ = payload.dumps_call((1,), {}, KEY)
RESULT = payload.dumps(2).frames


class Future:
    """What the payload needs of one."""

    __fastsched_future__ = True

    def __init__(self, key: str) -> None:
        self.key = key


def submits(count: int) -> Submit:
    return Submit((), tuple(TaskItem(fid, KEY, FN, ARGS, (), (), 0, 0, 0) for fid in range(count)))


def dones(count: int) -> Done:
    items = tuple(FinishedItem(7 << 32 | row, 1, "int", 5, 12, RESULT, ()) for row in range(count))
    return Done(items, (), (), (), (), 0)


def runs(count: int) -> Run:
    return Run((), tuple(RunItem(7 << 32 | row, 1, KEY, FN, ARGS, (), 0, row) for row in range(count)))


def reports(count: int) -> Report:
    return Report(tuple(ResultItem(fid, "int", 5, RESULT) for fid in range(count)), (), ())


MESSAGES = {"submit": submits, "run": runs, "done": dones, "report": reports}
SENDER = {"submit": Role.CLIENT, "run": Role.SCHEDULER, "done": Role.WORKER, "report": Role.SCHEDULER}


def measured(benchmark: Any, tasks: int, function: Any, *args: Any) -> Any:
    result = benchmark(function, *args)
    if benchmark.stats is not None:
        benchmark.extra_info["per_task_us"] = round(benchmark.stats.stats.median / tasks * 1e6, 3)
    return result


# -- codec: a task is a Submit, a Run, a Done and a Report, each encoded and decoded once ----------------------------


@pytest.mark.parametrize("count", [1, TASKS])
@pytest.mark.parametrize("name", MESSAGES)
def bench_encode(benchmark: Any, name: str, count: int) -> None:
    measured(benchmark, count, encode, MESSAGES[name](count))


@pytest.mark.parametrize("count", [1, TASKS])
@pytest.mark.parametrize("name", MESSAGES)
def bench_decode(benchmark: Any, name: str, count: int) -> None:
    data = b"".join(encode(MESSAGES[name](count)))
    decoder = Decoder(Config(), ALLOWED[SENDER[name]])
    (message,) = measured(benchmark, count, decoder.feed, data)
    assert len(message[1] or message[0]) == count


@pytest.mark.parametrize("count", [1, TASKS])
@pytest.mark.parametrize("name", MESSAGES)
def bench_floor_pack(benchmark: Any, name: str, count: int) -> None:
    measured(benchmark, count, msgpack.Packer().pack, MESSAGES[name](count))


@pytest.mark.parametrize("count", [1, TASKS])
@pytest.mark.parametrize("name", MESSAGES)
def bench_floor_unpack(benchmark: Any, name: str, count: int) -> None:
    """Nothing checked."""
    data = msgpack.packb(MESSAGES[name](count))
    measured(benchmark, count, lambda: msgpack.unpackb(data, use_list=False))


def bench_a_large_buffer(benchmark: Any) -> None:
    """16 MiB from one side to the other, in deliveries of 256 KiB: the copy on arrival."""
    message = Data(1, (DatumItem(1, (b"pickle", Buffer(bytes(1 << 24)))),))
    data = b"".join(encode(message))
    chunks = [data[start : start + (1 << 18)] for start in range(0, len(data), 1 << 18)]

    def deliver() -> list[Any]:
        decoder = Decoder(Config(), ALLOWED[Role.WORKER])
        return [message for chunk in chunks for message in decoder.feed(chunk)]

    assert len(benchmark(deliver)) == 1


# -- payload ----------------------------------------------------------------------------------------------------------

CALLS: dict[str, tuple[Any, ...]] = {
    "int": (1,),
    "future": (Future("a"),),
    "two futures": (Future("a"), Future("b")),
    "list of 100 futures": ([Future(str(index)) for index in range(100)],),
    "list of 100 ints": (list(range(100)),),
    "dict": ({"a": 1, "b": [1, 2]},),
}


@pytest.mark.parametrize("name", CALLS)
def bench_dumps_call(benchmark: Any, name: str) -> None:
    benchmark(payload.dumps_call, CALLS[name], {}, KEY)


@pytest.mark.parametrize("name", CALLS)
def bench_loads_call(benchmark: Any, name: str) -> None:
    frames, dependencies, _ = payload.dumps_call(CALLS[name], {}, KEY)
    benchmark(payload.loads_call, frames, dependencies)


def bench_floor_pickle(benchmark: Any) -> None:
    benchmark(lambda: pickle.loads(pickle.dumps(((1,), {}), 5)))


@pytest.mark.parametrize(
    "value", [1, "text", [1, 2, 3], {"a": 1}, np.zeros(10)], ids=["int", "text", "list", "dict", "array"]
)
def bench_dumps_and_loads_a_result(benchmark: Any, value: Any) -> None:
    benchmark(lambda: payload.loads(payload.dumps(value).frames))


def bench_function_known(benchmark: Any) -> None:
    benchmark(payload.functions.pickle_function, hashlib.blake2b)


def bench_function_by_value_known(benchmark: Any) -> None:
    offset = 1

    def local(x: int) -> int:
        return x + offset

    benchmark(payload.functions.pickle_function, local)


def bench_an_exception_and_back(benchmark: Any) -> None:
    try:
        payload.loads((b"garbage",))
    except TypeError as error:
        failure = error
    benchmark(lambda: payload.loads_exception(*payload.dumps_exception(failure)))


# -- keys -------------------------------------------------------------------------------------------------------------

KEYED: dict[str, tuple[Any, ...]] = {
    **CALLS,
    "two ints": (1, 2),
    "text": ("a text of some length",),
    "set": ({1, 2, 3},),
    "array": (np.zeros(100),),
}


@pytest.mark.parametrize("name", KEYED)
def bench_task_key(benchmark: Any, name: str) -> None:
    benchmark(keys.task_key, "increment", FN, KEYED[name], {})


def bench_unique_key(benchmark: Any) -> None:
    benchmark(keys.unique_key, "increment")


def bench_floor_hash(benchmark: Any) -> None:
    benchmark(lambda: hashlib.blake2b(FN + marshal.dumps((1, 2), 2), digest_size=16).hexdigest())


# -- handshake --------------------------------------------------------------------------------------------------------


def bench_handshake(benchmark: Any) -> None:
    """Both sides, without the network."""
    key = bytes(32)

    def shake() -> bool:
        client, server = ClientSide(Role.CLIENT, key, b"c" * 32), ServerSide({Role.CLIENT: key}, b"s" * 32)
        client.receive(server.receive(client.receive(server.receive(client.hello()))))
        return client.done and server.done

    assert benchmark(shake)
