"""Streams whose loop the test turns by hand: what is posted, in which order, and what is done meanwhile."""

import pytest

from fastsched._wait import in_turn
from fastsched.config import Config
from fastsched.net._pump import Pump
from fastsched.net.stream import Connection, Stream
from fastsched.wire.messages import Pulse, Role
from tests.servers.net import EVERYTHING, raw_pair
from tests.servers.pump_rig import Loop
from tests.servers.test_net_stream import CONFIG, MIB, fail_at, raw, value


class HandLoop(Loop):
    """A loop whose callbacks the test calls; notes whether what is posted is posted within a turn."""

    def __init__(self):
        super().__init__()
        self.writers = {}
        self.in_turn = []

    def call_soon(self, function, *args):
        self.soon.append((function, args))

    def call_soon_threadsafe(self, function, *args):
        self.in_turn.append(in_turn())
        super().call_soon_threadsafe(function, *args)

    def add_writer(self, fd, callback):
        self.writers[fd] = callback

    def remove_writer(self, fd):
        return self.writers.pop(fd, None) is not None

    def call_posts(self, most=1000):
        """The first of what was posted, or all."""
        posts, self.soon = self.soon[:most], self.soon[most:]
        for function, args in posts:
            function(*args)


class Congestion:
    """A stream to a peer that does not read until it is told to."""

    def __init__(self):
        config = Config(high_water_bytes=4 * MIB, low_water_bytes=1 * MIB)
        self.loop = HandLoop()
        self.levels = []
        ours, self.peer = raw_pair()
        connection = Connection(ours, Role.CLIENT, b"", "a test")
        note = self.levels.append
        self.stream = Stream(
            connection, self.loop, config, EVERYTHING, print, print,
            lambda stream: note("full"), lambda stream: note("drained"),
        )  # fmt: skip
        self.loop.call_posts()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.stream.on_closed = lambda stream, reason: None
        self.stream.close(flush=False)
        self.loop.call_posts()
        self.peer.close()

    def fill(self):
        for _ in range(6):
            self.stream.send(value(MIB))

    def drain(self):
        """Until the stream has nothing to send, without calling what it posts."""
        while self.stream.buffered:
            self.peer.recv(MIB)
            for callback in list(self.loop.writers.values()):
                callback()


def test_a_stream_that_has_drained_before_anybody_was_told_is_not_called_full():
    with Congestion() as case:
        case.fill()
        case.loop.call_posts(1)  # to be called when it can write
        case.drain()
        case.loop.call_posts()
        assert case.levels == ["drained"]


def test_what_is_told_last_of_a_stream_is_how_it_is():
    with Congestion() as case:
        case.fill()
        case.loop.call_posts(1)
        case.drain()
        case.fill()
        case.loop.call_posts()
        assert case.levels[-1] == "full"
        case.drain()
        case.loop.call_posts()
        assert case.levels[-1] == "drained"


def test_no_other_thread_can_post_a_level_between_one_and_its_post():
    with Congestion() as case:
        case.fill()
        case.loop.call_posts()
        case.drain()
        case.loop.call_posts()
        assert case.levels == ["full", "drained"]
        assert case.loop.in_turn == [True] * 3  # one is for the writing


@pytest.mark.parametrize("resumes", [False, True])
def test_after_a_receiver_that_failed_nothing_more_is_read_whoever_reads(resumes, caplog):
    loop = HandLoop()
    pump = Pump(loop)
    ours, theirs = raw_pair()
    box, seen = [], []
    connection = Connection(ours, Role.CLIENT, raw(Pulse(1)), "a test")
    stream = Stream(connection, pump, CONFIG, EVERYTHING, fail_at(seen), lambda stream, reason: box.append(reason))
    with theirs:
        theirs.sendall(raw(Pulse(2)))
        loop.call_posts()
        if resumes:
            stream.pause_reading()
            stream.resume_reading()
        pump.poll()
        assert loop.settle()
    assert seen == [Pulse(1)]
    assert [type(reason) for reason in box] == [LookupError]
    pump.close()
