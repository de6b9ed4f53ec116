"""What the net tests share: a loop per test, both ends of a connection, and raw peers that misbehave."""

import asyncio
import functools
import logging
import socket
import types
from contextlib import asynccontextmanager
from pathlib import Path

from fastsched.config import Config
from fastsched.net.access import fresh_keys
from fastsched.net.address import Address, Scheme, unix_address
from fastsched.net.connect import connect
from fastsched.net.listener import listen
from fastsched.net.loop import new_event_loop
from fastsched.net.stream import Connection, Stream
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import Role

KEYS = fresh_keys()
EVERYTHING = frozenset().union(*ALLOWED.values())
LOOPBACK = Address(Scheme.TCP, "127.0.0.1", 0, "")
SECONDS = 20  # after which a test gives up waiting


def run(coroutine_function):
    """Make a test of a coroutine function: it runs in a fresh loop and nothing may fail behind its back."""

    @functools.wraps(coroutine_function)
    def test(*args, **kwargs):
        loop = new_event_loop()
        complaints = []
        loop.set_exception_handler(lambda loop, context: complaints.append(context))
        try:
            loop.run_until_complete(asyncio.wait_for(coroutine_function(*args, **kwargs), SECONDS))
            assert asyncio.all_tasks(loop) == set()
            assert complaints == []
        finally:
            loop.close()

    return test


@types.coroutine
def turn():
    """Let the loop go round once, so that what is due happens; no time passes."""
    yield


class Mailbox:
    """A channel's callbacks that note everything, and a way to wait for it."""

    def __init__(self) -> None:
        self.messages = []
        self.batches = []
        self.reasons = []
        self.levels = []
        self._changed = asyncio.Event()

    def on_message(self, channel, messages) -> None:
        self.batches.append(len(messages))
        self.messages += messages
        self._changed.set()

    def on_closed(self, channel, reason) -> None:
        self.reasons.append(reason)
        self._changed.set()

    def on_full(self, channel) -> None:
        self.levels.append("full")
        self._changed.set()

    def on_drained(self, channel) -> None:
        self.levels.append("drained")
        self._changed.set()

    async def until(self, predicate) -> None:
        while not predicate(self):
            self._changed.clear()
            await self._changed.wait()

    async def received(self, count: int) -> list:
        await self.until(lambda box: len(box.messages) >= count)
        return self.messages

    async def closed(self):
        await self.until(lambda box: box.reasons)
        return self.reasons[0]


def stream_of(sock_or_connection, config: Config, allowed=EVERYTHING) -> tuple[Stream, Mailbox]:
    """A stream whose callbacks go to a mailbox."""
    connection = sock_or_connection
    if isinstance(connection, socket.socket):
        connection.setblocking(False)
        connection = Connection(connection, Role.CLIENT, b"", "the test's peer")
    box = Mailbox()
    stream = Stream(
        connection,
        asyncio.get_running_loop(),
        config,
        allowed,
        box.on_message,
        box.on_closed,
        box.on_full,
        box.on_drained,
    )
    return stream, box


def raw_pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets: ours non-blocking, the peer's with a timeout."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(SECONDS)
    return ours, theirs


def stream_pair(config: Config, allowed=EVERYTHING):
    """Two connected streams and their mailboxes: ``(first, box), (second, box)``."""
    first, second = socket.socketpair()
    return stream_of(first, config, allowed), stream_of(second, config, allowed)


@asynccontextmanager
async def server(config: Config, directory: Path | None = None, address: Address | None = None, keys=KEYS):
    """A listener, and a queue of the connections that it lets in."""
    let_in: asyncio.Queue = asyncio.Queue()
    if address is None:
        address = LOOPBACK if directory is None else unix_address(directory / "socket")
    loop = asyncio.get_running_loop()
    listener = await listen(address, keys, loop, config, let_in.put_nowait)
    try:
        yield listener, let_in
    finally:
        await listener.close()
        while not let_in.empty():
            let_in.get_nowait().sock.close()


async def both_ends(listener, let_in, config: Config, role: Role = Role.CLIENT):
    """A connection through a real handshake: the connecting end, the accepting end."""
    ours = await connect(listener.address, role, KEYS[role], config)
    return ours, await let_in.get()


class Notes(logging.Handler):
    """What was logged under fastsched.net while this was in place."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
