"""A worker over real sockets, with the test as its scheduler."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from fastsched._version import __version__
from fastsched.errors import ConnectError, SerializationError
from fastsched.page import read_page
from fastsched.wire import payload
from fastsched.wire.messages import (
    Drop,
    ErrorKind,
    Free,
    GetData,
    InputItem,
    Pulse,
    Put,
    PutItem,
    RanFunction,
    Refuse,
    Retire,
    Role,
    Shutdown,
)
from fastsched.worker import context
from fastsched.worker.server import WorkerServer
from fastsched.worker.settings import Settings
from tests.servers.net import SECONDS, run
from tests.servers.worker_world import SIGKILLED, end_of, task_id, until_there, world

MIB = 1 << 20
gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)


@pytest.fixture(autouse=True)
def fresh_gates():
    gates.clear()
    yield
    for gate in gates.values():
        gate.set()


class Input:
    """Stands for an input among the arguments of a task."""

    __fastsched_future__ = True

    def __init__(self, key):
        self.key = key


def add(a, b):
    return a + b


def ones(n):
    return np.ones(n, np.uint8)


def total(array):
    return int(array.sum()), array.flags.writeable


def pass_gate(name):
    assert gates[name].wait(SECONDS)
    return name


def say_and_pass_gate(said, name):
    gates[said].set()
    return pass_gate(name)


def pass_gate_if_named(name):
    return name and pass_gate(name)


def secede_and_pass_gate(name):
    task = context.current()
    task.host.secede(task)
    pass_gate(name)
    task.host.rejoin(task)


def host_name():
    return context.host().name


# -- one worker ----------------------------------------------------------------------------------------------------


@run
async def test_a_worker_says_who_it_is(tmp_path):
    async with world(tmp_path) as here:
        worker, line = await here.worker(nthreads=3)
        name, version, pid, nthreads, address, memory_limit, page, comebacks = line.register
        assert (name, version, pid, nthreads, memory_limit, comebacks) == ("w1", __version__, os.getpid(), 3, 0, 0)
        assert address == worker.address
        assert address.startswith(f"unix://{tmp_path}/w1-")
        assert Path(page).stat().st_mode & 0o777 == 0o600
        assert read_page(page) == []


@run
async def test_a_task_is_run_and_its_small_value_comes_with_the_report(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker()
        line.run(1, add, 1, 2)
        line.run(2, add, "a", "b")
        assert [await line.value(1), await line.value(2)] == [3, "ab"]


@run
async def test_a_batch_of_tasks_is_reported_in_batches(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker()
        for n in range(1, 501):
            line.run(n, add, n, n)
        outcomes = await line.outcomes(500)
        assert {item[0]: payload.loads(item[5]) for item in outcomes} == {task_id(n): 2 * n for n in range(1, 501)}
        assert len(line.box.messages) < 500


@run
async def test_news_does_not_wait_for_a_task_that_is_longer_than_its_function_usually_is(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker()
        line.run_many(pass_gate_if_named, dict.fromkeys(range(1, 100), ("",)) | {100: ("gate",)})
        assert len(await line.outcomes(99)) == 99
        gates["gate"].set()
        await line.outcomes(100)


@run
async def test_a_slot_is_reported_as_lent_although_its_task_says_nothing_more(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker()
        line.run(1, secede_and_pass_gate, "gate")
        await line.box.until(lambda _: line.news().lent == 1)
        assert read_page(line.register.page) == []
        gates["gate"].set()
        await line.outcomes(1)
        assert line.news().lent == 0


@run
async def test_a_task_is_dropped_before_it_starts(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker()
        line.run(1, pass_gate, "gate")
        line.run(2, add, 1, 2)
        line.run(3, add, 1, 3)
        line.stream.send(Drop(((task_id(2), 1),)))
        line.call(1, host_name)  # answered once the order before it was taken
        await line.box.until(lambda box: any(isinstance(message, RanFunction) for message in box.messages))
        gates["gate"].set()
        assert [item[0] for item in await line.outcomes(2)] == [task_id(1), task_id(3)]


@run
async def test_the_page_names_the_tasks_that_execute(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker(nthreads=2)
        line.run(1, say_and_pass_gate, "one runs", "gate")
        line.run(2, say_and_pass_gate, "two runs", "gate")
        line.run(3, add, 1, 2)
        assert await asyncio.to_thread(gates["one runs"].wait, SECONDS)
        assert await asyncio.to_thread(gates["two runs"].wait, SECONDS)
        assert sorted(read_page(line.register.page)) == [task_id(1), task_id(2)]
        gates["gate"].set()
        await line.outcomes(3)
        line.stream.send(Shutdown("enough"))
        await line.box.closed()
        assert read_page(line.register.page) == []


@run
async def test_a_function_for_the_worker_itself_runs_beside_its_tasks(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker()
        line.run(1, pass_gate, "gate")
        line.call(7, host_name)
        line.call(8, add, 1, "x")
        await line.box.until(lambda box: sum(isinstance(message, RanFunction) for message in box.messages) == 2)
        answers = {message.request: message for message in line.box.messages if isinstance(message, RanFunction)}
        assert (answers[7].ok, payload.loads(answers[7].frames)) == (True, "w1")
        assert not answers[8].ok
        assert isinstance(payload.loads_exception(answers[8].frames), TypeError)
        gates["gate"].set()


@run
async def test_what_a_function_for_the_worker_returns_and_cannot_travel_is_an_error(tmp_path):
    async with world(tmp_path, message_bytes=100_000) as here:
        _, line = await here.worker()
        line.call(1, ones, 200_000)
        await line.box.until(lambda box: any(isinstance(message, RanFunction) for message in box.messages))
        (answer,) = [message for message in line.box.messages if isinstance(message, RanFunction)]
        assert (answer.request, answer.ok) == (1, False)
        error = payload.loads_exception(answer.frames)
        assert isinstance(error, SerializationError)
        assert "message_bytes" in str(error)


@run
async def test_a_pulse_needs_no_answer(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker()
        line.stream.send(Pulse(1))
        line.run(1, add, 1, 2)
        assert await line.value(1) == 3
        assert len(line.box.messages) == 2


# -- values between workers ----------------------------------------------------------------------------------------


def at(n: int, *addresses: str, nbytes: int = 1) -> tuple[InputItem, ...]:
    return (InputItem(task_id(n), f"key-{n}", nbytes, None, addresses),)


@run
async def test_a_large_value_goes_from_worker_to_worker_in_chunks(tmp_path):
    async with world(tmp_path, frame_bytes=MIB, high_water_bytes=4 * MIB, low_water_bytes=MIB) as here:
        first, line = await here.worker()
        line.run(1, ones, 100 * MIB)
        ((_, _, kind, nbytes, _, frames, _),) = await line.outcomes(1)
        assert (kind, frames) == ("numpy.ndarray", None)
        assert nbytes > 100 * MIB
        _, other = await here.worker()
        other.run(2, total, Input("key-1"), inputs=at(1, first.address, nbytes=nbytes))
        assert await other.value(2) == (100 * MIB, True)
        assert other.news().replicas == ((task_id(1), nbytes),)


@run
async def test_a_task_that_changes_its_input_changes_nobody_elses(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker()
        line.run(1, ones, MIB)
        await line.outcomes(1)
        for n in (2, 3):
            line.run(n, spoil, Input("key-1"), inputs=at(1))
            assert await line.value(n) == MIB


def spoil(array):
    before = int(array.sum())
    array[:] = 0
    return before


@run
async def test_inputs_of_a_worker_that_is_gone_are_missing(tmp_path):
    async with world(tmp_path) as here:
        first, line = await here.worker()
        _, other = await here.worker()
        line.stream.send(Shutdown("enough"))
        await first.closed.wait()
        other.run(2, total, Input("key-1"), inputs=at(1, first.address, f"unix://{tmp_path}/nobody", "no address"))
        await other.box.until(lambda _: other.news().missing)
        assert other.news().missing == ((task_id(2), 1, (task_id(1),)),)


@run
async def test_an_input_is_found_at_the_second_holder(tmp_path):
    async with world(tmp_path) as here:
        first, line = await here.worker()
        second, _ = await here.worker()
        line.stream.send(Put((PutItem(task_id(1), "key-1", "str", payload.dumps("there").frames),)))
        await line.box.until(lambda _: line.news().replicas)
        _, other = await here.worker()
        for n in range(2, 8):  # whichever is asked first
            other.run(n, add, Input("key-1"), "!", inputs=at(1, second.address, first.address))
            assert await other.value(n) == "there!"
            other.stream.send(Free((task_id(1),)))


@run
async def test_whoever_has_the_key_gets_values_and_nothing_for_unknown_ids(tmp_path):
    async with world(tmp_path) as here:
        worker, line = await here.worker()
        line.run(1, add, 1, 2)
        await line.value(1)
        for role in (Role.CLIENT, Role.WORKER):
            reader, box = await here.reader(worker.address, role)
            reader.send(GetData(5, (task_id(1), task_id(2), 0)))
            ((request, items),) = await box.received(1)
            assert request == 5
            assert [(id, frames and payload.loads(frames)) for id, frames in items] == [
                (task_id(1), 3),
                (task_id(2), None),
                (0, None),
            ]
            reader.close()
            await box.closed()


@run
async def test_a_reader_that_says_anything_else_loses_its_connection_only(tmp_path, caplog):
    async with world(tmp_path) as here:
        worker, line = await here.worker()
        reader, box = await here.reader(worker.address)
        reader.send(Put(()))
        await box.closed()
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
        line.run(1, add, 1, 2)
        assert await line.value(1) == 3


@run
async def test_a_reader_that_does_not_read_is_not_read_from_and_harms_nobody(tmp_path):
    async with world(tmp_path, high_water_bytes=4 * MIB, low_water_bytes=MIB) as here:
        worker, line = await here.worker()
        line.run(1, ones, 2 * MIB)
        await line.outcomes(1)
        greedy, greedy_box = await here.reader(worker.address)
        greedy.pause_reading()
        for request in range(1000):
            greedy.send(GetData(request, (task_id(1),) * 10))
        reader, box = await here.reader(worker.address)
        reader.send(GetData(1, (task_id(1),)))
        await box.received(1)
        assert worker.unsent < 50 * MIB
        for stream in (greedy, reader):
            stream.close(flush=False)
        await greedy_box.closed()
        await box.closed()


@run
async def test_a_reader_that_pauses_gets_all_answers_in_the_end(tmp_path):
    async with world(tmp_path, high_water_bytes=4 * MIB, low_water_bytes=MIB) as here:
        worker, line = await here.worker()
        line.run(1, ones, 2 * MIB)
        await line.outcomes(1)
        reader, box = await here.reader(worker.address)
        reader.pause_reading()
        for request in range(30):
            reader.send(GetData(request, (task_id(1),)))
        other, other_box = await here.reader(worker.address)
        other.send(GetData(1, (task_id(1),)))
        await other_box.received(1)  # by now the worker has taken some of the questions
        reader.resume_reading()
        assert [data.request for data in await box.received(30)] == list(range(30))
        for stream in (reader, other):
            stream.close()
        await box.closed()
        await other_box.closed()


@pytest.mark.parametrize(
    ("limits", "call"),
    [
        ({"message_buffers": 3}, (20, MIB)),
        ({"message_bytes": MIB}, (1, MIB)),
        ({"control_bytes": MIB}, (200, 10_000)),
    ],
)
@run
async def test_a_result_that_no_message_could_carry_is_an_error_that_names_the_limit(tmp_path, limits, call):
    async with world(tmp_path, **limits) as here:
        _, line = await here.worker()
        line.run(1, list_of_arrays, *call)
        line.run(2, add, 1, 2)
        await line.outcomes(2)
        ((_, _, error),) = line.news().erred
        assert error[0] == ErrorKind.SERIALIZATION
        assert next(iter(limits)) in error[5]


@run
async def test_an_outcome_that_no_message_can_carry_is_an_error_and_the_others_arrive(tmp_path):
    async with world(tmp_path, control_bytes=100_000) as here:
        _, line = await here.worker()
        line.run(1, pass_gate, "gate")
        line.run(2, return_futures, 5000)
        line.run(3, add, 1, 2)
        gates["gate"].set()
        assert await line.value(3) == 3
        ((id, _, error),) = line.news().erred
        assert (id, error[0]) == (task_id(2), ErrorKind.SERIALIZATION)
        assert "100000 bytes" in error[5]


class FakeFuture:
    """Enough of a future for the payload."""

    __fastsched_future__ = True

    def __init__(self, key):
        self.key = key

    def __reduce__(self):
        payload.note_future(self)
        return FakeFuture, (self.key,)


def return_futures(n):
    return [FakeFuture(f"inc-{i:032x}") for i in range(n)]


def list_of_arrays(n, size):
    return [ones(size) for _ in range(n)]


# -- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["shutdown", "gone", "busy"])
@run
async def test_a_worker_whose_scheduler_ends_leaves_quietly(tmp_path, caplog, how):
    caplog.set_level(logging.INFO)
    async with world(tmp_path) as here:
        worker, line = await here.worker()
        if how == "busy":
            line.run(1, say_and_pass_gate, "runs", "gate")
            assert await asyncio.to_thread(gates["runs"].wait, SECONDS)
        if how == "shutdown":
            line.stream.send(Shutdown("enough"))
        else:
            line.stream.close()
        await worker.closed.wait()
        assert caplog.records == []
        assert not list(tmp_path.glob("w1-*.sock"))
        assert read_page(line.register.page) == []


@run
async def test_a_worker_that_is_refused_says_why(tmp_path, caplog):
    async with world(tmp_path) as here:
        worker, line = await here.worker()
        line.stream.send(Refuse("the name is taken"))
        await worker.closed.wait()
        assert "the name is taken" in caplog.text


@run
async def test_a_scheduler_that_is_not_there_is_an_error_that_names_its_address(tmp_path):
    async with world(tmp_path) as here:
        settings = here.settings() | {"address": f"unix://{tmp_path}/nowhere"}
        worker = WorkerServer(Settings.from_dict(settings), asyncio.get_running_loop())
        with pytest.raises(ConnectError, match="nowhere"):
            await worker.start()
        worker.stop("it never began")
        await worker.closed.wait()


# -- processes -----------------------------------------------------------------------------------------------------


def process_facts():
    return os.getpid(), sys.getswitchinterval(), threading.current_thread() is threading.main_thread()


def spin(path):
    Path(path).touch()
    while True:
        pass


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
@run
async def test_a_worker_process_ends_silently_when_it_is_told_to(tmp_path, number):
    async with world(tmp_path) as here:
        process = here.process()
        line = await here.line()
        line.run(1, process_facts)
        pid, interval, in_main = await line.value(1)
        assert (pid, interval, in_main) == (process.pid, pytest.approx(here.config.switch_interval), False)
        line.run(2, spin, str(tmp_path / "runs"))
        await until_there(tmp_path / "runs")
        process.send_signal(number)
        assert await end_of(process) == (0, "")
        assert await line.box.closed() is None
        assert line.news().returned == ((task_id(2), 1),)
        assert read_page(line.register.page) == []


@run
async def test_a_worker_process_asks_to_be_seen_off_at_sigterm_and_ends_at_the_second(tmp_path):
    async with world(tmp_path) as here:
        process = here.process()
        line = await here.line()
        line.run(1, spin, str(tmp_path / "runs"))
        await until_there(tmp_path / "runs")
        process.send_signal(signal.SIGTERM)
        await line.box.until(lambda box: Retire((line.register.name,)) in box.messages)
        assert process.returncode is None
        process.send_signal(signal.SIGTERM)
        assert await end_of(process) == (0, "")


@run
async def test_a_worker_process_that_is_refused_ends_so_that_it_is_replaced(tmp_path):
    async with world(tmp_path) as here:
        process = here.process()
        line = await here.line()
        line.stream.send(Refuse("it was not heard"))
        code, said = await end_of(process)
        assert code == 1
        assert "it was not heard" in said


@run
async def test_a_worker_process_ends_silently_with_its_scheduler(tmp_path):
    async with world(tmp_path) as here:
        process = here.process()
        line = await here.line()
        line.stream.close()
        assert await end_of(process) == (0, "")


@run
async def test_a_worker_process_does_not_wait_for_threads_that_a_task_has_left_behind(tmp_path):
    async with world(tmp_path) as here:
        process = here.process()
        line = await here.line()
        line.run(1, leave_a_thread)
        assert await line.value(1) is True
        process.send_signal(signal.SIGHUP)
        assert await end_of(process) == (0, "last words")


def leave_a_thread():
    print("last words", end="")
    thread = threading.Thread(target=threading.Event().wait, daemon=False)
    thread.start()
    return thread.is_alive()


@run
async def test_the_page_outlives_a_killed_worker(tmp_path):
    async with world(tmp_path) as here:
        process = here.process()
        line = await here.line()
        line.run(1, kill_me)
        assert (await end_of(process))[0] == SIGKILLED
        await line.box.closed()
        assert read_page(line.register.page) == [task_id(1)]


def kill_me():
    os.kill(os.getpid(), signal.SIGKILL)


@run
async def test_a_worker_process_can_be_stopped_before_the_scheduler_has_answered(tmp_path):
    async with world(tmp_path) as here:
        with socket.socket(socket.AF_UNIX) as mute:
            mute.bind(f"{tmp_path}/mute")
            mute.listen()
            process = here.process(address=f"unix://{tmp_path}/mute")
            connection, _ = await asyncio.to_thread(mute.accept)
            process.terminate()
            assert await end_of(process) == (0, "")
            connection.close()


@run
async def test_a_worker_process_without_a_scheduler_fails_with_one_line(tmp_path):
    async with world(tmp_path) as here:
        code, output = await end_of(here.process(address=f"unix://{tmp_path}/nowhere"))
        assert code == 1
        assert "nowhere" in output
        assert output.count("\n") == 1
