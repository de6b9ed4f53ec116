"""Letting peers in: a listening socket, and the handshake of everyone who comes.

One concern: from an address to connections whose peers have proved that they know a key. Called by the servers.
Imports addresses, the handshake of the wire, config and errors.

A peer that has not proved anything yet can hold one of `Config.half_open` places for `Config.handshake_seconds`, and
some bytes in a fixed-size handshake frame; the rest of the world waits in the kernel's queue meanwhile.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import secrets
import socket
import stat
import struct
from collections.abc import Callable, Mapping
from typing import Any

from fastsched.config import Config
from fastsched.errors import AddressError, ConnectError, HandshakeError
from fastsched.net.address import Address, Scheme
from fastsched.net.forks import hold_alone
from fastsched.net.patience import within
from fastsched.net.stream import Connection
from fastsched.wire.handshake import NONCE_BYTES, ServerSide
from fastsched.wire.messages import Role

__all__ = ["Listener", "listen", "set_options"]

log = logging.getLogger(__name__)

QUEUE = 1024  # connections that wait in the kernel
READ_BYTES = 4096
PAUSE_SECONDS = 0.2  # when the process is out of descriptors
_KEEPALIVE_SECONDS = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

OnPeer = Callable[[Connection], object]


async def listen(
    address: Address,
    keys: Mapping[Role, bytes],
    loop: asyncio.AbstractEventLoop,
    config: Config,
    on_peer: OnPeer,
    *,
    insecure: bool = False,
) -> Listener:
    """Listen at an address.

    Parameters
    ----------
    address : Address
        Port 0 takes a free one. A Unix socket should lie in a directory that nobody else can enter.
    keys : mapping
        The key that each role has to know; other roles are not let in.
    on_peer : callable
        ``(connection,)`` in the loop's thread for everyone who has proved to know a key. It owns the socket from then
        on.
    insecure : bool
        Also listen where other machines can get to, in the clear.

    Raises
    ------
    AddressError
        There is no such place on this machine, or it can be reached from others and `insecure` is not set.
    ConnectError
        Somebody else listens there.
    """
    if not address.is_local and not insecure:
        raise AddressError(f"{address} can be reached from other machines, and nothing on the way is encrypted")
    sock = await _bind(address, loop)
    return Listener(sock, address, keys, loop, config, on_peer)


class Listener:
    """A listening socket; made by `listen`.

    Attributes
    ----------
    address : Address
        Where it listens, with the port that was found.
    """

    def __init__(
        self,
        sock: socket.socket,
        address: Address,
        keys: Mapping[Role, bytes],
        loop: asyncio.AbstractEventLoop,
        config: Config,
        on_peer: OnPeer,
    ) -> None:
        self._identity = _file_identity(address)
        if address.scheme is Scheme.TCP:
            address = address._replace(port=sock.getsockname()[1])
        self.address = address
        self._sock = sock
        self._keys = dict(keys)
        self._loop = loop
        self._config = config
        self._on_peer = on_peer
        self._places = asyncio.Semaphore(config.half_open)
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = loop.create_task(self._accept())

    async def close(self) -> None:
        """Let nobody in any more, and forget those who are in the handshake. Connections that are through stay."""
        if self.address.scheme is Scheme.UNIX and self._identity == _file_identity(self.address):
            _remove(self.address.path)
        tasks = [self._accepting, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._sock.close()

    async def _accept(self) -> None:
        while True:
            await self._places.acquire()
            try:
                sock, _ = await self._loop.sock_accept(self._sock)
            except OSError as error:
                self._places.release()
                if error.errno in _OUT_OF_DESCRIPTORS:
                    log.warning("%s: nobody can be let in at the moment: %s", self.address, error)
                    await asyncio.sleep(PAUSE_SECONDS)
                continue
            task = self._loop.create_task(self._admit(sock))
            self._tasks.add(task)
            task.add_done_callback(self._left)

    def _left(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._places.release()
        if not task.cancelled() and task.exception() is not None:
            self._loop.call_exception_handler({"message": "letting a peer in failed", "exception": task.exception()})

    async def _admit(self, sock: socket.socket) -> None:
        """Let one peer through the handshake, or close its connection."""
        label = "somebody"
        side = ServerSide(self._keys, secrets.token_bytes(NONCE_BYTES))
        try:
            set_options(sock)
            label = _label(sock)
            async with within(self._config.handshake_seconds):
                role = await self._shake_hands(sock, side)
        except TimeoutError:
            log.warning("%s did not finish the handshake within %g s", label, self._config.handshake_seconds)
            sock.close()
        except (HandshakeError, OSError) as error:
            log.warning("%s is not let in: %s", label, error)
            _say(sock, side.farewell)
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            self._on_peer(Connection(sock, role, side.rest, f"{role.name.lower()} at {label}"))

    async def _shake_hands(self, sock: socket.socket, side: ServerSide) -> Role:
        while side.role is None:
            data = await self._loop.sock_recv(sock, READ_BYTES)
            if not data:
                raise HandshakeError("it closed the connection in the handshake")
            answer = side.receive(data)
            if answer:
                await self._loop.sock_sendall(sock, answer)
        return side.role


def set_options(sock: socket.socket) -> None:
    """What every connection of ours wants: no blocking, small messages at once, an end to dead peers."""
    hold_alone(sock)
    sock.setblocking(False)
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, seconds in _KEEPALIVE_SECONDS.items():
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)


async def _bind(address: Address, loop: asyncio.AbstractEventLoop) -> socket.socket:
    family: int
    place: Any
    if address.scheme is Scheme.UNIX:
        family, place = socket.AF_UNIX, address.path
        _remove_dead_socket(address)
    else:
        try:
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise AddressError(f"cannot listen at {address}: {error.strerror}") from error
        family, place = found[0][0], found[0][4]
    sock = socket.socket(family, socket.SOCK_STREAM)
    hold_alone(sock)
    try:
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(place)
        if family == socket.AF_UNIX:
            os.chmod(address.path, 0o600)
        sock.listen(QUEUE)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise ConnectError(f"somebody else listens at {address} already") from error
        raise AddressError(f"cannot listen at {address}: {error.strerror}") from error
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_dead_socket(address: Address) -> None:
    """A socket file whose server was killed stays behind: take it away if nobody answers, and if it is one."""
    if not _is_socket(address.path):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            _remove(address.path)
        except OSError:  # not there, or alive and busy: `bind` will say so
            return


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:  # somebody else was there first
        return


def _file_identity(address: Address) -> tuple[int, int] | None:
    """Which file this path leads to."""
    if address.scheme is not Scheme.UNIX:
        return None
    try:
        status = os.stat(address.path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _say(sock: socket.socket, farewell: bytes) -> None:
    """Tell the peer why it has to go, if it listens."""
    try:
        sock.send(farewell)
    except OSError:
        return


def _label(sock: socket.socket) -> str:
    """The other end, for people."""
    if sock.family == socket.AF_UNIX:
        if not hasattr(socket, "SO_PEERCRED"):
            return "a local process"
        size = struct.calcsize("3i")
        pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
        return f"pid {pid}"
    host, port, *_ = sock.getpeername()
    return f"{host}:{port}"
