"""The in-process channel: what one end sends the other one has, in order, and both learn of the end in the loop."""

import asyncio

from fastsched.net._pump import Pump
from fastsched.net.inproc import channel_pair
from fastsched.wire.messages import Pulse
from tests.servers.net import Mailbox, run, turn


def pair():
    ends = channel_pair(Pump(asyncio.get_running_loop()))
    boxes = []
    for end in ends:
        box = Mailbox()
        end.on_message, end.on_closed = box.on_message, box.on_closed
        boxes.append((end, box))
    return boxes


@run
async def test_a_message_is_there_as_it_is_when_send_returns():
    (a, _), (_, box) = pair()
    message = Pulse(1)
    a.send(message)
    assert box.messages == [message]
    assert box.messages[0] is message


@run
async def test_the_messages_of_a_turn_are_one_delivery_and_then_the_other_end_acts():
    (a, _), (b, box) = pair()
    seen = []
    b.on_turn = lambda: seen.append(list(box.messages))
    sent = [Pulse(i) for i in range(5)]
    a.send_all(sent)
    assert box.batches == [5]
    assert seen == [sent]
    a.send(Pulse(9))
    assert len(seen) == 1, "the turn is not over"


@run
async def test_both_ends_learn_once_and_later_that_one_was_closed():
    (a, box_a), (b, box_b) = pair()
    a.close()
    a.close()
    b.close()
    assert box_a.reasons == box_b.reasons == [], "they learn of it in the loop, not inside close"
    await box_a.closed()
    await box_b.closed()
    await turn()
    assert (box_a.reasons, box_b.reasons) == ([None], [None])


@run
async def test_what_was_sent_before_the_end_has_arrived():
    (a, _), (_, box_b) = pair()
    a.send(Pulse(1))
    a.close(flush=False)
    await box_b.closed()
    assert box_b.messages == [Pulse(1)]


@run
async def test_nothing_is_sent_or_received_after_close():
    (a, box_a), (b, box_b) = pair()
    turns = []
    a.on_turn = b.on_turn = lambda: turns.append(1)
    a.close()
    a.send(Pulse(1))
    b.send(Pulse(2))
    b.send_all([Pulse(3)])
    await box_b.closed()
    assert (box_a.messages, box_b.messages, turns) == ([], [], [])


@run
async def test_an_end_without_callbacks_ignores_messages_and_the_end():
    a, _ = channel_pair(Pump(asyncio.get_running_loop()))
    a.send(Pulse(1))
    a.send_all([Pulse(2)])
    a.close()
    for _ in range(3):
        await turn()
    assert a.buffered == 0


def test_closing_after_the_loop_is_gone_does_no_harm():
    loop = asyncio.new_event_loop()
    pump = Pump(loop)
    a, b = channel_pair(pump)
    pump.close()
    loop.close()
    a.send(Pulse(1))
    a.close()
    b.close()
