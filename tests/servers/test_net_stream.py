"""Streams carry whole messages in order, whatever the sockets, the threads and the other side do."""

import asyncio
import gc
import logging
import socket
import struct
import sys
import threading
import time

import pytest

from fastsched.config import Config
from fastsched.errors import ProtocolError, SerializationError
from fastsched.net._socket import send_some
from fastsched.net.stream import LEAST_BYTES, LONG_SECONDS, Connection, Stream
from fastsched.wire.catalogue import CODES
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.framing import LAST_CODE
from fastsched.wire.messages import Buffer, Data, Pulse, Refuse, Role
from tests.servers.net import EVERYTHING, SECONDS, Mailbox, raw_pair, run, stream_of, stream_pair, turn
from tests.servers.spawned import open_fds

CONFIG = Config()
MIB = 1 << 20


def value(size, fill=b"v"):
    """A message that carries `size` bytes beside its control bytes."""
    return Data(1, ((7, (Buffer(fill * size),)),))


def raw(message) -> bytes:
    return b"".join(encode(message))


@run
async def test_messages_go_both_ways():
    (a, box_a), (b, box_b) = stream_pair(CONFIG)
    a.send(Pulse(1))
    b.send(Refuse("no"))
    assert await box_b.received(1) == [Pulse(1)]
    assert await box_a.received(1) == [Refuse("no")]
    a.close()
    assert await box_a.closed() is None
    assert await box_b.closed() is None


@run
async def test_what_one_wake_up_brings_is_one_batch():
    (a, _), (b, box) = stream_pair(CONFIG)
    for i in range(10):
        a.send(Pulse(i))
    await box.received(10)
    assert box.batches == [10]
    a.close()
    b.close()
    await box.closed()


@run
async def test_bytes_that_came_with_the_handshake_are_the_first_messages():
    ours, theirs = raw_pair()
    with theirs:
        theirs.sendall(raw(Pulse(2)))
        stream, box = stream_of(Connection(ours, Role.CLIENT, raw(Pulse(1)), "a test"), CONFIG)
        assert await box.received(2) == [Pulse(1), Pulse(2)]
        stream.close()
        await box.closed()


@run
async def test_a_message_that_arrives_byte_by_byte_is_one_message():
    ours, theirs = raw_pair()
    _, box = stream_of(ours, CONFIG)
    with theirs:
        for byte in raw(Pulse(12345)):
            theirs.send(bytes((byte,)))
            await turn()
        assert await box.received(1) == [Pulse(12345)]
        assert len(box.batches) == 1
    await box.closed()


@run
async def test_values_larger_than_every_socket_buffer_arrive_whole():
    (a, _), (b, box) = stream_pair(CONFIG)
    sent = [value(8 * MIB, fill) for fill in (b"1", b"2", b"3")]
    for message in sent:
        a.send(message)
    assert a.buffered > 16 * MIB
    received = await box.received(3)
    assert [message.items for message in received] == [message.items for message in sent]
    await turn()
    assert a.buffered == 0
    a.close()
    b.close()
    await box.closed()


@run
async def test_sends_from_many_threads_stay_whole_and_in_each_threads_order():
    (a, _), (b, box) = stream_pair(CONFIG)
    threads, per_thread = 6, 200

    def feed(thread):
        for i in range(per_thread):
            size = (i * 7919) % 70_000  # some inline, some beside, some more than the socket takes
            a.send(Data(thread * 1000 + i, ((i, (bytes([thread]) * 10, Buffer(bytes([thread]) * size))),)))

    feeders = [threading.Thread(target=feed, args=(t,)) for t in range(threads)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for feeder in feeders:
            feeder.start()
        received = await box.received(threads * per_thread)
    finally:
        sys.setswitchinterval(interval)
    for feeder in feeders:
        feeder.join()
    for t in range(threads):
        mine = [message for message in received if message.request // 1000 == t]
        assert [message.request % 1000 for message in mine] == list(range(per_thread))
        for i, message in enumerate(mine):
            ((_, (short, long)),) = message.items
            assert short == bytes([t]) * 10
            assert bytes(long.view) == bytes([t]) * ((i * 7919) % 70_000)
    a.close()
    b.close()
    await box.closed()


class Halting:
    """`send_some`, but it takes half of the first message, and then lets another thread try to send."""

    def __init__(self) -> None:
        self.half_sent = threading.Event()
        self.others_tried = threading.Event()

    def __call__(self, fd, pieces, seam, ends) -> int:
        if self.half_sent.is_set():
            return send_some(fd, pieces, seam, ends)
        (piece,) = pieces
        sent = send_some(fd, [piece[: len(piece) // 2]])
        self.half_sent.set()
        self.others_tried.wait(0.1)  # with a lock around all this they never come so far
        return sent


@run
async def test_a_message_that_left_in_part_is_not_broken_by_another_threads(monkeypatch):
    halting = Halting()
    monkeypatch.setattr("fastsched.net.stream.send_some", halting)
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)

    def second() -> None:
        halting.half_sent.wait(SECONDS)
        stream.send(Refuse("second"))
        halting.others_tried.set()

    threads = [threading.Thread(target=stream.send, args=(Refuse("first"),)), threading.Thread(target=second)]
    for thread in threads:
        thread.start()
    decoder, got = Decoder(CONFIG, EVERYTHING), []
    with theirs:
        theirs.setblocking(False)
        while len(got) < 2:
            got += decoder.feed(await asyncio.get_running_loop().sock_recv(theirs, MIB))
        for thread in threads:
            thread.join()
        stream.close()
        await box.closed()
    assert got == [Refuse("first"), Refuse("second")]


@run
async def test_a_slow_reader_fills_the_backlog_and_draining_it_is_told_once():
    config = Config(high_water_bytes=4 * MIB, low_water_bytes=1 * MIB)
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, config)
    decoder = Decoder(config, EVERYTHING)
    with theirs:
        theirs.setblocking(False)
        for _ in range(6):
            stream.send(value(MIB))
        await box.until(lambda box: box.levels)
        assert box.levels == ["full"]
        assert stream.buffered > config.high_water_bytes
        left = []
        stream.on_drained = lambda channel: (box.on_drained(channel), left.append(channel.buffered))
        loop, got = asyncio.get_running_loop(), []
        while len(got) < 6:
            got += decoder.feed(await loop.sock_recv(theirs, 64 << 10))
        await box.until(lambda box: len(box.levels) == 2)
        assert box.levels == ["full", "drained"]
        assert 0 < left[0] <= config.low_water_bytes
        assert stream.buffered == 0
        stream.close()
        await box.closed()


def count(monkeypatch, name: str) -> list:
    """Grows with each call of this method of streams."""
    calls = []

    def counted(self):
        calls.append(name)
        getattr(super(kind, self), name)()

    kind = type("Counted", (Stream,), {name: counted})
    monkeypatch.setattr("tests.servers.net.Stream", kind)
    return calls


async def turns(number: int = 10) -> None:
    """Let the loop go round."""
    for _ in range(number):
        await turn()


@run
async def test_a_stream_with_nothing_to_send_does_not_keep_the_loop_busy(monkeypatch):
    calls = count(monkeypatch, "_on_writable")
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)
    stream.send(value(4 * MIB))
    with theirs:
        theirs.setblocking(False)
        while stream.buffered:
            await asyncio.get_running_loop().sock_recv(theirs, MIB)
        await turns()
        before = len(calls)
        await turns()
        assert before > 0
        assert len(calls) == before
        stream.close()
        await box.closed()


@run
async def test_a_stream_that_only_flushes_is_not_kept_busy_by_unread_bytes(monkeypatch):
    calls = count(monkeypatch, "on_readable")
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)
    await turns()
    with theirs:
        stream.send(value(8 * MIB))
        stream.close()
        theirs.sendall(raw(Pulse(1)))
        await turns()
        before = len(calls)
        await turns()
        assert len(calls) == before
        theirs.close()
        assert isinstance(await box.closed(), ConnectionError)
    assert box.messages == []


@run
async def test_a_peer_whose_messages_take_long_is_read_from_in_small_portions():
    """The others have their turns between two portions. If the messages are large, they grow again."""
    (a, _), (b, box) = stream_pair(CONFIG)
    take = box.on_message

    def on_message(channel, messages):
        take(channel, messages)
        end = time.monotonic() + 2 * LONG_SECONDS
        while time.monotonic() < end:
            pass

    b.on_message = on_message
    size = len(raw(Refuse("x" * 100)))
    a.send_all([Refuse("x" * 100)] * 20_000)
    await box.received(20_000)
    assert max(box.batches[20:]) * size <= LEAST_BYTES + size
    b.on_message, before = take, b.reads
    a.send(value(64 * MIB))
    await box.received(20_001)
    assert b.reads - before < 0.9 * 64 * MIB / LEAST_BYTES
    a.close()
    b.close()
    await box.closed()


@run
async def test_a_paused_stream_reads_nothing_until_it_resumes():
    (a, _), (b, box) = stream_pair(CONFIG)
    b.pause_reading()
    for _ in range(8):
        a.send(value(MIB))
    for _ in range(20):
        await turn()
    assert box.messages == []
    assert a.buffered > 4 * MIB
    b.resume_reading()
    b.resume_reading()
    assert len(await box.received(8)) == 8
    a.close()
    b.close()
    await box.closed()


@run
async def test_a_stream_may_be_paused_before_it_has_begun():
    (a, _), (b, box) = stream_pair(CONFIG)
    a.send(Pulse(1))
    b.pause_reading()
    for _ in range(5):
        await turn()
    assert box.messages == []
    b.resume_reading()
    assert await box.received(1) == [Pulse(1)]
    a.close()
    b.close()
    await box.closed()


@run
async def test_close_sends_everything_first():
    (a, box_a), (_, box_b) = stream_pair(Config(close_seconds=1000))
    for _ in range(4):
        a.send(value(4 * MIB))
    a.send(Refuse("goodbye"))
    a.close()
    a.send(Pulse(1))  # too late
    assert await box_b.closed() is None
    assert len(box_b.messages) == 5
    assert box_b.messages[-1] == Refuse("goodbye")
    assert await box_a.closed() is None


@run
async def test_close_without_flush_leaves_the_rest_behind():
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)
    with theirs:
        stream.send(value(8 * MIB))
        stream.close(flush=False)
        assert await box.closed() is None
        assert stream.buffered == 0


@run
async def test_flushing_to_a_peer_that_never_reads_has_an_end():
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, Config(close_seconds=0.05))
    with theirs:
        stream.send(value(8 * MIB))
        stream.close()
        assert await box.closed() is None


@run
async def test_a_flush_can_be_cut_short():
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)
    with theirs:
        stream.send(value(8 * MIB))
        stream.close()
        stream.close(flush=False)
        assert await box.closed() is None


@run
async def test_closing_takes_nothing_more_from_the_peer():
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)
    with theirs:
        theirs.sendall(raw(Pulse(1)))
        stream.close()
        await box.closed()
    assert box.messages == []


@run
async def test_the_peer_gets_our_last_words_though_we_left_some_of_its_own_unread():
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)
    with theirs:
        await turn()
        stream.pause_reading()
        theirs.sendall(raw(Pulse(1)) * 1000)
        stream.send(Pulse(2))
        stream.close()
        await box.closed()
        assert theirs.recv(1 << 12) == raw(Pulse(2))
        assert theirs.recv(1) == b""  # and no ConnectionResetError


@run
async def test_close_may_be_called_in_every_way_and_the_end_is_told_once():
    (a, box_a), (b, box_b) = stream_pair(CONFIG)
    closers = [threading.Thread(target=a.close, args=(i % 2 == 0,)) for i in range(8)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join()
    b.close()
    a.close()
    await box_a.closed()
    await box_b.closed()
    a.close()
    for _ in range(5):
        await turn()
    assert (len(box_a.reasons), len(box_b.reasons)) == (1, 1)


@run
async def test_closing_inside_a_callback_delivers_nothing_more():
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)

    def close_at_once(channel, messages):
        box.on_message(channel, messages)
        channel.close()

    stream.on_message = close_at_once
    with theirs:
        theirs.sendall(raw(Pulse(1)))
        await box.received(1)
        theirs.sendall(raw(Pulse(2)))
        await box.closed()
    assert box.messages == [Pulse(1)]


@run
async def test_the_peers_orderly_end_has_no_reason():
    ours, theirs = raw_pair()
    _, box = stream_of(ours, CONFIG)
    theirs.sendall(raw(Pulse(1)))
    theirs.close()
    assert await box.closed() is None
    assert box.messages == [Pulse(1)]


@run
async def test_an_end_in_the_middle_of_a_message_is_told_as_such():
    ours, theirs = raw_pair()
    _, box = stream_of(ours, CONFIG)
    theirs.sendall(raw(Pulse(1))[:-1])
    theirs.close()
    assert "middle of a message" in str(await box.closed())


@run
async def test_a_reset_by_the_peer_is_told_with_its_reason():
    listener = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    _, box = stream_of(ours, CONFIG)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    assert isinstance(await box.closed(), ConnectionResetError)
    listener.close()


@run
async def test_sending_to_a_peer_that_has_gone_ends_the_stream_and_does_not_raise():
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)
    stream.pause_reading()  # so that only the write can notice
    theirs.close()
    stream.send(Pulse(1))
    assert isinstance(await box.closed(), BrokenPipeError)
    stream.send(Pulse(2))
    assert len(box.reasons) == 1


@run
async def test_a_peer_that_dies_while_the_backlog_waits_ends_the_stream_once():
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)
    stream.pause_reading()
    stream.send(value(8 * MIB))
    await turn()
    theirs.close()
    assert isinstance(await box.closed(), ConnectionError)
    for _ in range(5):
        await turn()
    assert len(box.reasons) == 1
    assert stream.buffered == 0


GARBAGE = {
    "noise": b"\x93garbage from somewhere\xff" * 50,
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "huge-length": struct.pack("<II", 0xFFFFFFFF, CODES[Pulse]),
    "unknown-code": struct.pack("<II", 1, LAST_CODE) + b"\x90",
    "no-msgpack": struct.pack("<II", 1, CODES[Pulse]) + b"\xc1",
    "wrong-shape": struct.pack("<II", 2, CODES[Pulse]) + b"\x91\xa0",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
@run
async def test_a_peer_that_sends_garbage_is_put_out_and_logged_once(garbage, caplog):
    ours, theirs = raw_pair()
    _, box = stream_of(ours, CONFIG)
    with theirs, caplog.at_level(logging.WARNING, "fastsched.net"):
        theirs.sendall(garbage)
        assert isinstance(await box.closed(), ProtocolError)
        assert theirs.recv(1) == b""
    assert len(caplog.records) == 1
    assert "the test's peer broke the rules" in caplog.text
    assert len(box.reasons) == 1


def fail_at(messages):
    def on_message(channel, batch):
        messages.extend(batch)
        raise LookupError("a bug")

    return on_message


@run
async def test_a_receiver_that_fails_ends_the_connection_and_the_error_is_logged(caplog):
    ours, theirs = raw_pair()
    stream, box = stream_of(ours, CONFIG)
    stream.on_message = fail_at(box.messages)
    with theirs, caplog.at_level(logging.WARNING, "fastsched.net"):
        theirs.sendall(raw(Pulse(1)))
        assert isinstance(await box.closed(), LookupError)
        assert theirs.recv(1) == b""
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert record.exc_info
    assert "the test's peer" in record.getMessage()
    assert box.messages == [Pulse(1)]


@run
async def test_a_message_that_the_role_may_not_send_ends_the_connection():
    (a, box_a), (_, box_b) = stream_pair(CONFIG, allowed=frozenset((Pulse,)))
    a.send(Pulse(1))
    a.send(Refuse("I am the scheduler"))
    assert "may not send Refuse" in str(await box_b.closed())
    await box_a.closed()


@run
async def test_a_message_that_cannot_be_encoded_raises_at_the_call_and_breaks_nothing():
    (a, _), (b, box) = stream_pair(CONFIG)
    with pytest.raises(SerializationError):
        a.send(Refuse(object()))
    a.send(Pulse(1))
    assert await box.received(1) == [Pulse(1)]
    a.close()
    b.close()
    await box.closed()


@run
async def test_streams_leave_no_descriptor():
    gc.collect()
    before = open_fds()
    for i in range(6):
        (a, box_a), (b, box_b) = stream_pair(CONFIG)
        a.send(value(MIB))
        (a if i % 2 else b).close(flush=i % 3 == 0)
        await box_a.closed()
        await box_b.closed()
    assert open_fds() == before


def test_sending_and_closing_after_the_loop_is_gone_does_no_harm():
    loop = asyncio.new_event_loop()
    box = Mailbox()
    ours, theirs = raw_pair()
    stream = Stream(
        Connection(ours, Role.CLIENT, b"", "a test"), loop, CONFIG, EVERYTHING, box.on_message, box.on_closed
    )
    loop.close()
    theirs.close()
    stream.send(Pulse(1))
    stream.send(value(8 * MIB))
    stream.close()
    ours.close()
    assert box.reasons == []
