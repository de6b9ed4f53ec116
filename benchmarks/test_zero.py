"""Zero workers answer all that a scheduler waits for."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from typing import Any, cast

from benchmarks import kernel
from benchmarks.zero import FRAMES, NBYTES, VALUE, ZeroWorker
from fastsched.net.channel import Channel
from fastsched.wire.messages import Done, Message, Put, PutItem, Run, RunItem, Shutdown, Welcome


class Recorded:
    """A channel that keeps what is sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.closed = False

    def send(self, message: Message) -> None:
        self.sent.append(message)

    def close(self) -> None:
        self.closed = True


def answers(*messages: Message) -> tuple[ZeroWorker, Recorded]:
    worker, channel = ZeroWorker("zero", 1), Recorded()
    worker.received(cast(Channel, channel), list(messages))
    return worker, channel


def run(*ids: int) -> Run:
    return Run((), tuple(RunItem(id, 3, f"key-{id}", b"function", (b"arguments",), (), 0, 0) for id in ids))


def test_all_tasks_of_a_wake_up_are_answered_in_one_message() -> None:
    _, channel = answers(run(1, 2), run(5))
    (done,) = channel.sent
    assert isinstance(done, Done)
    assert [item[:2] for item in done.finished] == [(1, 3), (2, 3), (5, 3)]
    assert pickle.loads(cast(Any, done.finished[0].frames)[0]) == VALUE


def test_values_to_hold_are_acknowledged() -> None:
    _, channel = answers(Put((PutItem(7, "key", "int", FRAMES),)))
    assert channel.sent == [Done((), (), (), (), ((7, NBYTES),), 0)]


def test_it_is_in_once_it_is_welcome_and_leaves_when_told() -> None:
    worker, channel = answers(Welcome("zero", "", ""))
    assert worker.welcome.is_set() and not channel.sent and not channel.closed
    worker.received(cast(Channel, channel), [Shutdown("the end")])
    assert channel.closed


def test_descendants_are_the_children_and_theirs() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE)
    try:
        while len(found := kernel.descendants(child.pid)) < 1:
            assert child.poll() is None
        assert child.pid in kernel.descendants(os.getpid())
        assert set(found) <= set(kernel.descendants(os.getpid()))
    finally:
        child.communicate(b"\n")
