"""Nobody gets in without the key, and those who try cost little: the handshake over real sockets."""

import asyncio
import gc
import logging
import os
import socket

import pytest

from fastsched.config import Config
from fastsched.errors import AddressError, ConnectError, HandshakeError
from fastsched.net.access import fresh_keys
from fastsched.net.address import Address, Scheme, parse, unix_address
from fastsched.net.connect import connect
from fastsched.net.listener import listen
from fastsched.wire import handshake
from fastsched.wire.handshake import NONCE_BYTES, ClientSide
from fastsched.wire.messages import Pulse, Role
from tests.servers.net import KEYS, LOOPBACK, both_ends, run, server, stream_of, turn
from tests.servers.spawned import open_fds

CONFIG = Config()
HASTY = Config(handshake_seconds=0.05)
SECONDS = 20


async def raw(address: Address) -> socket.socket:
    """A connected peer that has not said anything yet."""
    sock = socket.socket(socket.AF_INET if address.scheme is Scheme.TCP else socket.AF_UNIX)
    sock.setblocking(False)
    place = (address.host, address.port) if address.scheme is Scheme.TCP else address.path
    await asyncio.get_running_loop().sock_connect(sock, place)
    return sock


async def rest_of(sock: socket.socket) -> bytes:
    """All that the other side still sends until it hangs up."""
    data, loop = b"", asyncio.get_running_loop()
    while True:
        try:
            more = await loop.sock_recv(sock, 4096)
        except ConnectionResetError:
            return data
        if not more:
            return data
        data += more


def hello() -> bytes:
    return ClientSide(Role.CLIENT, KEYS[Role.CLIENT], os.urandom(NONCE_BYTES)).hello()


@pytest.mark.parametrize("role", [Role.CLIENT, Role.WORKER])
@pytest.mark.parametrize("unix", [True, False])
@run
async def test_whoever_knows_the_key_is_let_in_with_that_role(role, unix, tmp_path):
    async with server(CONFIG, tmp_path if unix else None) as (listener, let_in):
        ours, theirs = await both_ends(listener, let_in, CONFIG, role)
        assert theirs.role is role
        (a, box_a), (b, box_b) = stream_of(ours, CONFIG), stream_of(theirs, CONFIG)
        a.send(Pulse(1))
        b.send(Pulse(2))
        assert (await box_b.received(1), await box_a.received(1)) == ([Pulse(1)], [Pulse(2)])
        a.close()
        await box_b.closed()
        await box_a.closed()


@run
async def test_messages_sent_right_behind_the_handshake_are_not_lost(tmp_path):
    async with server(CONFIG, tmp_path) as (listener, let_in):
        for i in range(20):
            ours = await connect(listener.address, Role.CLIENT, KEYS[Role.CLIENT], CONFIG)
            a, _ = stream_of(ours, CONFIG)
            a.send(Pulse(i))
            a.close()
            _, box = stream_of(await let_in.get(), CONFIG)
            assert await box.closed() is None
            assert box.messages == [Pulse(i)]


@run
async def test_a_wrong_key_is_refused_and_both_sides_say_why(tmp_path, caplog):
    async with server(CONFIG, tmp_path) as (listener, let_in):
        with pytest.raises(HandshakeError, match="does not accept this key for the role of a client"):
            await connect(listener.address, Role.CLIENT, fresh_keys()[Role.CLIENT], CONFIG)
        assert let_in.empty()
        assert f"pid {os.getpid()} is not let in: the peer does not know the key of a client" in caplog.text


@run
async def test_the_clients_key_is_no_workers_key(tmp_path):
    async with server(CONFIG, tmp_path) as (listener, _):
        with pytest.raises(HandshakeError, match="role of a worker"):
            await connect(listener.address, Role.WORKER, KEYS[Role.CLIENT], CONFIG)


@run
async def test_a_role_without_a_key_is_not_let_in(tmp_path):
    async with server(CONFIG, tmp_path, keys={Role.CLIENT: KEYS[Role.CLIENT]}) as (listener, _):
        with pytest.raises(HandshakeError, match="does not let in a worker"):
            await connect(listener.address, Role.WORKER, KEYS[Role.WORKER], CONFIG)


@run
async def test_another_version_is_refused_and_both_versions_are_named(tmp_path, monkeypatch):
    async with server(CONFIG, tmp_path) as (listener, _):
        sock = await raw(listener.address)
        monkeypatch.setattr(handshake, "VERSION", 77)
        greeting = hello()
        monkeypatch.undo()
        await asyncio.get_running_loop().sock_sendall(sock, greeting)
        answer = await rest_of(sock)
        monkeypatch.setattr(handshake, "VERSION", 77)
        with pytest.raises(HandshakeError, match=r"speaks version 1 .* this side version 77"):
            ClientSide(Role.CLIENT, KEYS[Role.CLIENT], os.urandom(NONCE_BYTES)).receive(answer)
        sock.close()


GARBAGE = {
    "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "zeroes": bytes(4096),
    "msgpack-bomb": b"\xdd\xff\xff\xff\xff" * 100,
    "pickle": b"cos\nsystem\n(S'touch /tmp/owned'\ntR.",
    "endless": b"\xff" * (1 << 20),
    "right-magic-then-noise": handshake.MAGIC + b"\xff" * 200,
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
@run
async def test_garbage_instead_of_a_handshake_costs_the_peer_its_connection_only(garbage, tmp_path, caplog):
    async with server(CONFIG, tmp_path) as (listener, let_in):
        sock = await raw(listener.address)
        try:
            await asyncio.get_running_loop().sock_sendall(sock, garbage)
        except (BrokenPipeError, ConnectionResetError):
            assert garbage is GARBAGE["endless"]
        assert len(await rest_of(sock)) < 128
        sock.close()
        assert let_in.empty()
        assert len(caplog.records) == 1
        ours, theirs = await both_ends(listener, let_in, CONFIG)  # others do not notice
        ours.sock.close()
        theirs.sock.close()


@pytest.mark.parametrize("said", [0, 1, 20], ids=lambda n: f"{n} bytes")
@run
async def test_a_peer_that_says_too_little_is_put_out_after_the_deadline(said, tmp_path, caplog):
    async with server(HASTY, tmp_path) as (listener, let_in):
        sock = await raw(listener.address)
        await asyncio.get_running_loop().sock_sendall(sock, hello()[:said])
        assert await rest_of(sock) == b""
        sock.close()
        assert let_in.empty()
        assert f"pid {os.getpid()} did not finish the handshake within 0.05 s" in caplog.text


@run
async def test_a_peer_that_drips_its_bytes_is_put_out_all_the_same(tmp_path):
    async with server(HASTY, tmp_path) as (listener, let_in):
        sock = await raw(listener.address)
        loop, sent, greeting = asyncio.get_running_loop(), 0, hello()
        ended = loop.create_task(rest_of(sock))
        while not ended.done() and sent < len(greeting) - 1:
            try:
                await loop.sock_sendall(sock, greeting[sent : sent + 1])
            except ConnectionError:  # put out a moment ago
                break
            sent += 1
            await asyncio.wait([ended], timeout=HASTY.handshake_seconds / 10)
        assert await ended == b""
        assert sent < len(greeting) - 1
        sock.close()
        assert let_in.empty()


@run
async def test_a_peer_that_leaves_in_the_handshake_is_forgotten_at_once(tmp_path, caplog):
    async with server(CONFIG, tmp_path) as (listener, let_in):
        sock = await raw(listener.address)
        await asyncio.get_running_loop().sock_sendall(sock, hello()[:5])
        sock.close()
        while "closed the connection in the handshake" not in caplog.text:
            await turn()
        assert let_in.empty()


@run
async def test_only_so_many_peers_are_in_the_handshake_at_once(tmp_path):
    config = Config(half_open=4, handshake_seconds=SECONDS)
    async with server(config, tmp_path) as (listener, let_in):
        silent = [await raw(listener.address) for _ in range(4)]
        late = asyncio.create_task(connect(listener.address, Role.CLIENT, KEYS[Role.CLIENT], config))
        done, _ = await asyncio.wait([late], timeout=0.1)
        assert not done
        silent.pop().close()  # frees a place
        ours, theirs = await late, await let_in.get()
        for sock in (*silent, ours.sock, theirs.sock):
            sock.close()


@run
async def test_a_flood_of_silent_peers_delays_others_by_the_deadline_at_most(tmp_path):
    config = Config(half_open=4, handshake_seconds=0.3)
    async with server(config, tmp_path) as (listener, let_in):
        silent = [await raw(listener.address) for _ in range(12)]
        ours, theirs = await both_ends(listener, let_in, config)
        for sock in (*silent, ours.sock, theirs.sock):
            sock.close()


@run
async def test_a_server_that_never_answers_is_a_connect_error_that_names_it(tmp_path):
    with socket.socket(socket.AF_UNIX) as mute:
        address = unix_address(tmp_path / "mute")
        mute.bind(address.path)
        mute.listen()
        with pytest.raises(ConnectError, match=r"no answer from unix://.*/mute within 0\.05 s"):
            await connect(address, Role.CLIENT, KEYS[Role.CLIENT], CONFIG, timeout=0.05)


@run
async def test_a_server_whose_queue_is_full_is_waited_for(tmp_path):
    with socket.socket(socket.AF_UNIX) as busy:
        address = unix_address(tmp_path / "busy")
        busy.bind(address.path)
        busy.listen(0)
        first = await raw(address)
        late = asyncio.create_task(connect(address, Role.CLIENT, KEYS[Role.CLIENT], CONFIG, timeout=SECONDS))
        done, _ = await asyncio.wait([late], timeout=0.1)
        assert not done
        accepted = busy.accept()[0]
        busy.settimeout(SECONDS)
        second = (await asyncio.to_thread(busy.accept))[0]
        second.close()
        with pytest.raises(HandshakeError, match="ended"):
            await late
        for sock in (first, accepted):
            sock.close()


@run
async def test_a_server_that_does_not_know_the_key_is_not_trusted(tmp_path):
    """It speaks our language, lets everybody in, and would like to send us pickles."""

    async def impostor(reader, writer):
        await reader.readexactly(len(hello()))
        side = handshake.ServerSide({Role.CLIENT: bytes(32)}, os.urandom(NONCE_BYTES))
        writer.write(side.receive(hello()))
        await reader.readexactly(33)
        writer.write(bytes((handshake.Frame.WELCOME,)) + bytes(32))
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(impostor, tmp_path / "impostor"):
        with pytest.raises(HandshakeError, match="does not know the key"):
            await connect(unix_address(tmp_path / "impostor"), Role.CLIENT, KEYS[Role.CLIENT], CONFIG)


@run
async def test_a_server_of_another_kind_is_told_from_ours():
    async def smtp(reader, writer):
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(smtp, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(HandshakeError, match=rf"tcp://127\.0\.0\.1:{port}: .* no fastsched peer"):
            await connect(f"127.0.0.1:{port}", Role.CLIENT, KEYS[Role.CLIENT], CONFIG)


@run
async def test_an_address_where_nobody_listens_is_named(tmp_path):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(ConnectError, match=rf"nobody listens at tcp://127\.0\.0\.1:{port}"):
            await connect(f"tcp://127.0.0.1:{port}", Role.CLIENT, KEYS[Role.CLIENT], CONFIG)
    with pytest.raises(ConnectError, match=r"nobody listens at unix://.*/nothing: there is no such socket"):
        await connect(unix_address(tmp_path / "nothing"), Role.CLIENT, KEYS[Role.CLIENT], CONFIG)


@run
async def test_a_host_that_does_not_exist_is_an_address_error():
    with pytest.raises(AddressError, match=r"no-such-host\.invalid"):
        await connect("no-such-host.invalid:8786", Role.CLIENT, KEYS[Role.CLIENT], CONFIG)


@run
async def test_a_taken_port_is_a_connect_error_that_names_it():
    async with server(CONFIG) as (listener, _):
        with pytest.raises(ConnectError, match=f"somebody else listens at {listener.address} already"):
            await listen(listener.address, KEYS, asyncio.get_running_loop(), CONFIG, print)


@run
async def test_a_taken_socket_path_is_a_connect_error_and_the_other_goes_on(tmp_path):
    async with server(CONFIG, tmp_path) as (listener, let_in):
        with pytest.raises(ConnectError, match=r"somebody else listens at unix://"):
            await listen(listener.address, KEYS, asyncio.get_running_loop(), CONFIG, print)
        ours, theirs = await both_ends(listener, let_in, CONFIG)
        ours.sock.close()
        theirs.sock.close()


@run
async def test_a_socket_file_that_a_killed_server_left_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "socket"))
    async with server(CONFIG, tmp_path) as (listener, let_in):
        ours, theirs = await both_ends(listener, let_in, CONFIG)
        ours.sock.close()
        theirs.sock.close()


@run
async def test_something_else_at_the_socket_path_is_left_alone(tmp_path):
    (tmp_path / "socket").write_text("precious")
    with pytest.raises(ConnectError, match="somebody else"):
        await listen(unix_address(tmp_path / "socket"), KEYS, asyncio.get_running_loop(), CONFIG, print)
    assert (tmp_path / "socket").read_text() == "precious"


@run
async def test_a_directory_that_does_not_exist_is_an_address_error(tmp_path):
    with pytest.raises(AddressError, match=r"cannot listen at unix://.*No such file"):
        await listen(unix_address(tmp_path / "no" / "socket"), KEYS, asyncio.get_running_loop(), CONFIG, print)


@run
async def test_listening_for_other_machines_in_the_clear_must_be_asked_for():
    loop = asyncio.get_running_loop()
    with pytest.raises(AddressError, match=r"tcp://0\.0\.0\.0:0 can be reached from other machines"):
        await listen(parse("0.0.0.0:0"), KEYS, loop, CONFIG, print)
    listener = await listen(parse("0.0.0.0:0"), KEYS, loop, CONFIG, print, insecure=True)
    await listener.close()


@run
async def test_closing_removes_the_socket_file_and_those_in_the_handshake(tmp_path):
    async with server(Config(handshake_seconds=1000), tmp_path) as (listener, _):
        assert (tmp_path / "socket").stat().st_mode & 0o077 == 0
        silent = await raw(listener.address)
        for _ in range(5):
            await turn()
    assert not (tmp_path / "socket").exists()
    assert await rest_of(silent) == b""
    silent.close()
    with pytest.raises(ConnectError):
        await connect(listener.address, Role.CLIENT, KEYS[Role.CLIENT], CONFIG)


@run
async def test_closing_leaves_a_socket_file_that_somebody_else_has_put_there(tmp_path):
    async with server(CONFIG, tmp_path):
        (tmp_path / "socket").unlink()
        (tmp_path / "socket").write_text("somebody else's")
    assert (tmp_path / "socket").exists()


@run
async def test_tcp_connections_do_not_wait_to_fill_packets():
    async with server(CONFIG, address=LOOPBACK) as (listener, let_in):
        for end in await both_ends(listener, let_in, CONFIG):
            assert end.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert end.sock.gettimeout() == 0
            end.sock.close()


@run
async def test_neither_failures_nor_successes_leave_a_descriptor(tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    loop = asyncio.get_running_loop()

    async def everything():
        async with server(HASTY, tmp_path) as (listener, _):
            sock = await raw(listener.address)
            await rest_of(sock)
            sock.close()
        async with server(CONFIG, tmp_path) as (listener, let_in):
            with pytest.raises(HandshakeError):
                await connect(listener.address, Role.CLIENT, bytes(32), CONFIG)
            sock = await raw(listener.address)
            await loop.sock_sendall(sock, b"garbage that is no handshake at all")
            await rest_of(sock)
            sock.close()
            ours, theirs = await both_ends(listener, let_in, CONFIG)
            ours.sock.close()
            theirs.sock.close()
        with pytest.raises(ConnectError):
            await connect(listener.address, Role.CLIENT, KEYS[Role.CLIENT], CONFIG)

    await everything()
    gc.collect()
    before = open_fds()
    for _ in range(3):
        await everything()
    gc.collect()
    assert open_fds() == before
