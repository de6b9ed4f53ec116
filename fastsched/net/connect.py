"""Getting in: from an address and a key to a connection.

One concern: the connecting side of what `net.listener` does. Called by workers and clients. Imports addresses, the
handshake of the wire, config and errors.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import Any

from fastsched.config import Config
from fastsched.errors import AddressError, ConnectError, HandshakeError
from fastsched.net.address import Address, Scheme, parse
from fastsched.net.listener import READ_BYTES, set_options
from fastsched.net.patience import within
from fastsched.net.stream import Connection
from fastsched.wire.handshake import NONCE_BYTES, ClientSide
from fastsched.wire.messages import Role

__all__ = ["connect"]

QUEUE_FULL_SECONDS = (
    0.01  # between attempts while the other side's queue is full (Unix sockets only: the kernel does it for TCP)
)


async def connect(
    address: Address | str, role: Role, key: bytes, config: Config, timeout: float | None = None
) -> Connection:
    """Connect to a server, prove to know the key, and see that the server knows it too.

    Parameters
    ----------
    address : Address or str
        Where it listens.
    role : Role
        What to be there; it becomes the connection's `role`.
    key : bytes
        Of that role.
    timeout : float, optional
        Seconds for all of it; `Config.connect_seconds` by default.

    Raises
    ------
    AddressError
        This is no address, or there is no such host.
    ConnectError
        Nobody listens there, or there was no answer in time.
    HandshakeError
        Whoever listens there does not know the key, or speaks another version.
    """
    if isinstance(address, str):
        address = parse(address)
    seconds = config.connect_seconds if timeout is None else timeout
    try:
        async with within(seconds):
            sock = await _reach(address)
            try:
                side = await _shake_hands(sock, ClientSide(role, key, secrets.token_bytes(NONCE_BYTES)))
            except HandshakeError as error:
                sock.close()
                raise HandshakeError(f"{address}: {error}") from error
            except ConnectionError as error:
                sock.close()
                raise HandshakeError(f"{address} ended the connection in the handshake: {error}") from error
            except BaseException:
                sock.close()
                raise
    except TimeoutError:
        raise ConnectError(f"no answer from {address} within {seconds:g} s") from None
    return Connection(sock, role, side.rest, str(address))


async def _reach(address: Address) -> socket.socket:
    """A connected socket; of the several addresses that a host has, the first that answers."""
    loop = asyncio.get_running_loop()
    if address.scheme is Scheme.UNIX:
        return await _try(socket.AF_UNIX, address.path, address)
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise AddressError(f"{address}: {error.strerror}") from error
    failure: ConnectError | None = None
    for family, _, _, _, place in found:
        try:
            return await _try(family, place, address)
        except ConnectError as error:
            failure = failure or error
    raise failure or AddressError(f"{address} leads nowhere")


async def _try(family: int, place: Any, address: Address) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        set_options(sock)
        if family == socket.AF_UNIX:
            await _connect_unix(sock, place)
        else:
            await asyncio.get_running_loop().sock_connect(sock, place)
    except FileNotFoundError as error:
        sock.close()
        raise ConnectError(f"nobody listens at {address}: there is no such socket") from error
    except TimeoutError:  # ours, or the system's: let the caller's timeout speak
        sock.close()
        raise
    except OSError as error:
        sock.close()
        raise ConnectError(f"nobody listens at {address}: {error.strerror}") from error
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect_unix(sock: socket.socket, path: str) -> None:
    """Connect; with a full queue on the other side the system says "try again" and offers nothing to wait for."""
    while True:
        try:
            sock.connect(path)
        except BlockingIOError:
            await asyncio.sleep(QUEUE_FULL_SECONDS)
        else:
            return


async def _shake_hands(sock: socket.socket, side: ClientSide) -> ClientSide:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, side.hello())
    while not side.done:
        data = await loop.sock_recv(sock, READ_BYTES)
        if not data:
            raise HandshakeError("the connection was ended in the handshake; the other side's log says why")
        answer = side.receive(data)
        if answer:
            await loop.sock_sendall(sock, answer)
    return side
