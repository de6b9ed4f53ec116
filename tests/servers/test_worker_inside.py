"""The client inside a worker, as the worker sees it: a channel over its own connection, and values from all around."""

from __future__ import annotations

import asyncio

import pytest

from fastsched.errors import SerializationError
from fastsched.wire import payload
from fastsched.wire.messages import Call, Done, Report, Verb
from fastsched.worker import context
from tests.servers.net import SECONDS, run, turn
from tests.servers.test_worker_server import add, fresh_gates, gates, pass_gate
from tests.servers.worker_world import task_id, world

__all__ = ["fresh_gates"]


@run
async def test_the_client_inside_uses_the_workers_connection(tmp_path):
    async with world(tmp_path) as here:
        worker, line = await here.worker()
        channel = worker.channel_for_client()
        heard, ends = [], []
        channel.on_message = lambda channel, messages: heard.extend(messages)
        channel.on_closed = lambda channel, reason: ends.append(reason)
        channel.send(Call(3, Verb.NTHREADS, (), None))
        await line.box.until(lambda box: any(isinstance(message, Call) for message in box.messages))
        line.stream.send(Report((), (), (5,)))
        line.run(1, add, 1, 2)
        await line.value(1)
        assert heard == [Report((), (), (5,))]
        line.stream.close()
        await worker.closed.wait()
        assert ends == [None]
        channel.send(Call(4, Verb.NTHREADS, (), None))
        assert worker.channel_for_client() is channel


@run
async def test_news_leaves_before_what_the_client_inside_sends_later(tmp_path):
    async with world(tmp_path) as here:
        _, line = await here.worker()
        line.run(1, send_through, 9)
        await line.box.until(lambda box: any(isinstance(message, Call) for message in box.messages))
        await line.outcomes(1)
        lent, call, finished = line.box.messages[1:]
        assert (lent.lent, call.request, finished.lent) == (1, 9, 0)


def send_through(request):
    task = context.current()
    task.host.secede(task)
    task.host.channel_for_client().send(Call(request, Verb.NTHREADS, (), None))


BIG = (bytes(200_000),)


@run
async def test_a_message_of_the_client_inside_that_cannot_leave_costs_the_news_nothing(tmp_path):
    async with world(tmp_path, control_bytes=100_000) as here:
        worker, line = await here.worker()
        channel = worker.channel_for_client()
        line.run(1, secede_after, "go", "end")
        while not gates["runs"].is_set():
            await turn()
        gates["go"].set()
        assert gates["seceded"].wait(SECONDS)  # in the loop's thread: that the slot is lent has not been said yet
        calls = [Call(1, Verb.NTHREADS, (), None), Call(2, Verb.NTHREADS, (), BIG), Call(3, Verb.NTHREADS, (), None)]
        refused = []
        with worker.lock:
            with pytest.raises(SerializationError):
                channel.send_all(calls)
            for call in calls:  # as a session does
                try:
                    channel.send(call)
                except SerializationError:
                    refused.append(call.request)
        gates["end"].set()
        await line.outcomes(1)
        told = line.box.messages[1:]
        assert refused == [2]
        assert [message.request for message in told if isinstance(message, Call)] == [1, 3]
        assert [message.lent for message in told if isinstance(message, Done)] == [1, 0]
        assert len(line.news().finished) == 1


def secede_after(gate, end):
    task = context.current()
    gates["runs"].set()
    pass_gate(gate)
    task.host.secede(task)
    gates["seceded"].set()
    pass_gate(end)


@run
async def test_a_message_that_cannot_leave_loses_no_start(tmp_path):
    async with world(tmp_path, control_bytes=100_000) as here:
        worker, line = await here.worker()
        channel = worker.channel_for_client()
        line.run(1, add, 1, 1)
        await line.value(1)
        refused = []

        def answer():  # under the lock, before the round that brings the task ends
            with pytest.raises(SerializationError):
                channel.send(Call(2, Verb.NTHREADS, (), BIG))
            refused.append(2)

        channel.on_turn = answer
        sent, line.stream = line.stream, Packet()
        line.run(2, add, 1, 2)
        packet, line.stream = line.stream.messages, sent
        line.stream.send_all([*packet, Report((), (), (5,))])
        assert await line.value(2) == 3
        assert refused == [2]


class Packet:
    """Keeps what is sent."""

    def __init__(self):
        self.messages = []

    def send(self, message):
        self.messages.append(message)


@run
async def test_tasks_can_read_values_of_this_worker_and_of_others(tmp_path):
    async with world(tmp_path) as here:
        first, line = await here.worker()
        second, _ = await here.worker()
        line.run(1, add, 1, 2)
        await line.value(1)
        assert payload.loads(first.frames_of(task_id(1))) == 3
        assert second.frames_of(task_id(1)) is None
        for addresses in ([first.address], [second.address, first.address]):
            answer = asyncio.get_running_loop().create_future()
            second.get_data(task_id(1), addresses, answer.set_result)
            assert payload.loads(await answer) == 3
        answer = asyncio.get_running_loop().create_future()
        second.get_data(task_id(1), [second.address], answer.set_result)
        assert await answer is None
