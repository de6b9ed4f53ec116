"""A pulse: it goes on while a C function holds the interpreter lock, and never breaks a message in two."""

from __future__ import annotations

import ctypes
import os
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastsched.config import Config
from fastsched.net._pulse import Heart
from fastsched.net._socket import Seam, send_some
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.messages import Message, Pulse, Refuse

BEAT = b"".join(encode(Pulse(0)))
EVERY = 0.02
LATE = 5.0


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.setblocking(False)
        yield ours, theirs


def received(sock: socket.socket, seconds: float = 0.0) -> bytes:
    """What comes within this time."""
    data, end = b"", time.monotonic() + seconds
    while True:
        ready, _, _ = select.select([sock], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return data
        data += sock.recv(1 << 20)


def decoded(data: bytes) -> list[Message]:
    """All of it must be whole messages."""
    decoder = Decoder(Config(), frozenset((Pulse, Refuse)))
    messages = decoder.feed(data)
    assert not decoder.midway
    return messages


def hold_the_lock(seconds: float) -> None:
    """Sleep in C without letting go of the interpreter lock."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def test_it_beats_while_a_c_function_holds_the_interpreter_lock(pair):
    heart = Heart(Seam(pair[0].fileno(), BEAT), EVERY)
    heart.hold(1)
    hold_the_lock(20 * EVERY)
    beats = decoded(received(pair[1]))
    heart.stop()
    assert 5 <= len(beats) <= 21
    assert set(beats) == {Pulse(0)}


def test_nothing_is_put_in_while_messages_leave_anyway(pair):
    seam = Seam(pair[0].fileno(), BEAT)
    heart = Heart(seam, 1.0)
    heart.hold(1)
    got = b""
    for _ in range(30):
        send_some(pair[0].fileno(), [b"x"], seam)
        got += received(pair[1], 0.05)
    heart.stop()
    assert got == b"x" * 30


def test_nothing_is_put_in_before_a_message_has_left_as_a_whole(pair):
    ours, theirs = pair
    seam = Seam(ours.fileno(), BEAT)
    message = b"".join(encode(Refuse("x" * 1_000_000)))
    sent = send_some(ours.fileno(), [message], seam)
    assert 0 < sent < len(message)
    heart = Heart(seam, EVERY)
    heart.hold(1)
    data = received(theirs, 10 * EVERY)
    assert len(data) == sent
    while sent < len(message):
        sent += max(0, send_some(ours.fileno(), [message[sent:]], seam))
        data += received(theirs)
    data += received(theirs, 10 * EVERY)
    heart.stop()
    first, *beats = decoded(data)
    assert isinstance(first, Refuse) and beats and set(beats) == {Pulse(0)}


def test_nothing_is_put_in_between_the_pieces_of_a_message(pair):
    ours, theirs = pair
    seam = Seam(ours.fileno(), BEAT)
    heart = Heart(seam, EVERY)
    heart.hold(1)
    send_some(ours.fileno(), [b"one"], seam, False)
    got = received(theirs, 10 * EVERY)
    assert got.endswith(b"one")
    send_some(ours.fileno(), [b"two"], seam)
    assert received(theirs, 10 * EVERY).startswith(b"two" + BEAT)
    heart.stop()


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_a_busy_connection_with_a_very_fast_pulse_stays_whole(family):
    if family == socket.AF_UNIX:
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as server:
            ours = socket.create_connection(server.getsockname())
            theirs, _ = server.accept()
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sock.setblocking(False)
        chance = random.Random(7)
        texts = ["y" * chance.randrange(1, 3000) for _ in range(500)]
        messages: list[Message] = []
        decoder = Decoder(Config(), frozenset((Pulse, Refuse)))
        ended = threading.Event()

        def read() -> None:
            while not (ended.is_set() and not select.select([theirs], [], [], 0.05)[0]):
                if select.select([theirs], [], [], 0.05)[0]:
                    messages.extend(decoder.feed(theirs.recv(chance.randrange(1, 5000))))

        reader = threading.Thread(target=read)
        reader.start()
        seam = Seam(ours.fileno(), BEAT)
        heart = Heart(seam, 1e-6)
        heart.hold(1)
        for text in texts:
            if chance.random() < 0.2:
                select.select([], [], [], 0.003)
            rest = b"".join(encode(Refuse(text)))
            while rest:
                sent = send_some(ours.fileno(), [rest], seam)
                rest = rest[max(0, sent) :]
                if sent < 0:
                    select.select([], [ours], [])
        heart.stop()
        ended.set()
        reader.join()
    assert [message.text for message in messages if isinstance(message, Refuse)] == texts
    assert messages.count(Pulse(0)) > 50


def thread_of_the_pulse() -> Path | None:
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().strip() == "fastsched-pulse":
            return task
    return None


def switches(task: Path) -> int:
    """How often the thread has slept."""
    text = (task / "status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("voluntary_ctxt_switches")))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are looked at in /proc")
def test_it_sleeps_while_nothing_is_expected_and_answers_when_something_is(pair):
    ours, theirs = pair
    heart = Heart(Seam(ours.fileno(), BEAT), EVERY)
    assert received(theirs, 15 * EVERY) == b""
    task = thread_of_the_pulse()
    assert task is not None
    before = switches(task)
    assert received(theirs, 15 * EVERY) == b""
    assert switches(task) == before
    heart.told(0)
    assert decoded(received(theirs, 2 * EVERY)) == [Pulse(0)]
    heart.hold(3)
    assert len(decoded(received(theirs, 10 * EVERY))) >= 3
    heart.hold(0)
    received(theirs, 2 * EVERY)
    assert received(theirs, 10 * EVERY) == b""
    heart.stop()
    heart.stop()
    assert thread_of_the_pulse() is None


def test_what_has_left_just_before_is_no_answer(pair):
    """Whoever was told something in that moment would have to wait for a word in vain."""
    ours, theirs = pair
    seam = Seam(ours.fileno(), BEAT)
    heart = Heart(seam, EVERY)
    send_some(ours.fileno(), [b"x"], seam)
    heart.told(0)
    assert received(theirs, 10 * EVERY) == b"x" + BEAT
    assert received(theirs, 10 * EVERY) == b""
    heart.stop()


def test_a_closed_seam_ends_it(pair):
    seam = Seam(pair[0].fileno(), BEAT)
    heart = Heart(seam, EVERY)
    heart.hold(1)
    seam.close()
    received(pair[1], 2 * EVERY)
    assert received(pair[1], 10 * EVERY) == b""
    heart.stop()


def test_a_fork_has_no_pulse_and_ends(pair):
    heart = Heart(Seam(pair[0].fileno(), BEAT), EVERY)
    heart.hold(1)
    child = os.fork()
    if child == 0:
        heart.stop()
        os._exit(7)
    end = time.monotonic() + LATE
    while not (status := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
        received(pair[1], 0.01)
    heart.stop()
    assert os.waitstatus_to_exitcode(status[1]) == 7


def test_a_beat_is_short(pair):
    with pytest.raises(ValueError, match="64 bytes"):
        Seam(pair[0].fileno(), bytes(65))
