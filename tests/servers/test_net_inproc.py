"""The in-process channel behaves as a connection would: later, in order, in batches, with one end."""

import asyncio
import threading

import pytest

from fastsched.net.inproc import channel_pair
from fastsched.wire.messages import Pulse
from tests.servers.net import Mailbox, run, turn


def pair():
    ends = channel_pair(asyncio.get_running_loop())
    boxes = []
    for end in ends:
        box = Mailbox()
        end.on_message, end.on_closed = box.on_message, box.on_closed
        boxes.append((end, box))
    return boxes


@run
async def test_messages_arrive_as_they_are_in_order_and_in_one_batch():
    (a, _), (_, box) = pair()
    sent = [Pulse(i) for i in range(5)]
    for message in sent:
        a.send(message)
    assert box.messages == []  # later, never inside send
    assert await box.received(5) == sent
    assert all(got is message for got, message in zip(box.messages, sent, strict=True))
    assert box.batches == [5]


@run
async def test_an_answer_sent_from_a_callback_arrives_in_a_later_turn():
    (a, box_a), (b, _) = pair()
    depth = []

    def echo(channel, messages):
        depth.append("in")
        for message in messages:
            channel.send(message)
        assert box_a.messages == []
        depth.append("out")

    b.on_message = echo
    a.send(Pulse(1))
    assert await box_a.received(1) == [Pulse(1)]
    assert depth == ["in", "out"]


@run
async def test_many_threads_may_send_and_each_ones_order_is_kept():
    (a, _), (_, box) = pair()

    def feed(thread):
        for i in range(500):
            a.send(Pulse(thread * 1000 + i))

    threads = [threading.Thread(target=feed, args=(t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    beats = [message.beat for message in await box.received(2000)]
    for thread in threads:
        thread.join()
    for t in range(4):
        assert [beat for beat in beats if beat // 1000 == t] == [t * 1000 + i for i in range(500)]


@run
async def test_ends_that_are_closed_from_both_sides_report_it_once():
    (a, box_a), (b, box_b) = pair()
    a.send(Pulse(1))
    a.close()
    a.close()
    b.close()
    await box_a.closed()
    await box_b.closed()
    await turn()
    assert box_b.messages == []  # it was closed before it was there
    assert (box_a.reasons, box_b.reasons) == ([None], [None])


@run
async def test_the_other_end_gets_everything_before_the_end():
    (a, _), (_, box_b) = pair()
    a.send(Pulse(1))
    a.send(Pulse(2))
    a.close()
    await box_b.closed()
    assert box_b.messages == [Pulse(1), Pulse(2)]


@run
async def test_closing_without_flush_drops_what_was_not_delivered():
    (a, _), (b, box_b) = pair()
    b.pause_reading()
    a.send(Pulse(1))
    a.close(flush=False)
    await box_b.closed()
    assert box_b.messages == []


@run
async def test_nothing_is_sent_or_received_after_close():
    (a, box_a), (b, box_b) = pair()
    a.close()
    a.send(Pulse(1))
    b.send(Pulse(2))
    await box_b.closed()
    b.send(Pulse(3))
    await turn()
    assert (box_a.messages, box_b.messages) == ([], [])


@run
async def test_a_paused_end_gets_its_messages_when_it_resumes():
    (a, _), (b, box) = pair()
    b.pause_reading()
    a.send(Pulse(1))
    await turn()
    await turn()
    assert box.messages == []
    b.resume_reading()
    assert await box.received(1) == [Pulse(1)]


@run
async def test_a_paused_end_still_learns_of_the_end_and_of_what_came_before():
    (a, _), (b, box) = pair()
    b.pause_reading()
    a.send(Pulse(1))
    a.close()
    assert await box.closed() is None
    assert box.messages == [Pulse(1)]


@run
async def test_an_end_without_callbacks_ignores_messages_and_the_end():
    a, _ = channel_pair(asyncio.get_running_loop())
    a.send(Pulse(1))
    a.close()
    for _ in range(3):
        await turn()
    assert a.buffered == 0


def test_closing_after_the_loop_is_gone_does_no_harm():
    loop = asyncio.new_event_loop()
    a, b = channel_pair(loop)
    loop.close()
    a.send(Pulse(1))
    a.close()
    b.close()
    with pytest.raises(RuntimeError):
        loop.call_soon(print)
