"""The handshake: who knows the key gets in, and nobody else; nothing is read before that."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsched.errors import HandshakeError
from fastsched.wire import handshake
from fastsched.wire.handshake import KEY_BYTES, MAGIC, NONCE_BYTES, VERSION, ClientSide, Frame, ServerSide
from fastsched.wire.messages import Role

CLIENT_KEY = b"the key of all clients 32 bytes."
WORKER_KEY = b"the key of all workers 32 bytes."
KEYS = {Role.CLIENT: CLIENT_KEY, Role.WORKER: WORKER_KEY}
C_NONCE = b"c" * NONCE_BYTES
S_NONCE = b"s" * NONCE_BYTES


def server(keys: dict[Role, bytes] = KEYS, nonce: bytes = S_NONCE) -> ServerSide:
    return ServerSide(keys, nonce)


def client(role: Role = Role.CLIENT, key: bytes = CLIENT_KEY, nonce: bytes = C_NONCE) -> ClientSide:
    return ClientSide(role, key, nonce)


def transcript(ours: ClientSide, theirs: ServerSide) -> list[bytes]:
    """Both sides to the end; what was sent."""
    sent = [ours.hello()]
    sent.append(theirs.receive(sent[-1]))
    sent.append(ours.receive(sent[-1]))
    sent.append(theirs.receive(sent[-1]))
    assert ours.receive(sent[-1]) == b""
    return sent


@pytest.mark.parametrize(("role", "key"), KEYS.items())
def test_who_knows_the_key_of_a_role_is_let_in_as_that(role: Role, key: bytes) -> None:
    ours, theirs = client(role, key), server()
    transcript(ours, theirs)
    assert ours.done
    assert theirs.done
    assert theirs.role is role


def test_all_frames_are_short_and_of_fixed_length() -> None:
    assert [len(frame) for frame in transcript(client(), server())] == [45, 44, 33, 33]
    assert [len(frame) for frame in transcript(client(Role.WORKER, WORKER_KEY), server())] == [45, 44, 33, 33]


def test_the_frames_are_what_the_page_says() -> None:
    """Written down once more, by hand: a change of the wire must be a change of this test and of docs/wire.md."""
    hello, challenge, proof, welcome = transcript(client(), server())
    assert hello == b"fastsched\x01" + b"\x01\x00" + b"\x01" + C_NONCE
    assert challenge == b"fastsched\x02" + b"\x01\x00" + S_NONCE
    context = b"\x01\x00" + b"\x01" + C_NONCE + S_NONCE
    label = b"fastsched: the connecting side proves\0"
    assert proof == b"\x03" + hmac.new(CLIENT_KEY, label + context, hashlib.sha256).digest()
    label = b"fastsched: the accepting side proves\0"
    assert welcome == b"\x04" + hmac.new(CLIENT_KEY, label + context, hashlib.sha256).digest()


@pytest.mark.parametrize("size", [1, 2, 7])
def test_frames_may_arrive_in_pieces(size: int) -> None:
    ours, theirs = client(), server()

    def deliver(side: ClientSide | ServerSide, data: bytes) -> bytes:
        return b"".join(side.receive(data[start : start + size]) for start in range(0, len(data), size))

    challenge = deliver(theirs, ours.hello())
    proof = deliver(ours, challenge)
    welcome = deliver(theirs, proof)
    assert deliver(ours, welcome) == b""
    assert ours.done
    assert theirs.done


def test_what_follows_the_handshake_is_kept_apart() -> None:
    ours, theirs = client(), server()
    proof = ours.receive(theirs.receive(ours.hello()))
    welcome = theirs.receive(proof + b"the first message")
    ours.receive(welcome + b"the answer")
    assert theirs.rest == b"the first message"
    assert ours.rest == b"the answer"


# -- the server's view ------------------------------------------------------------------------------------------------


def refused(theirs: ServerSide, data: bytes) -> str:
    """The reason; the server must not take another byte."""
    with pytest.raises(HandshakeError) as caught:
        theirs.receive(data)
    assert not theirs.done
    assert theirs.role is None
    with pytest.raises(HandshakeError):
        theirs.receive(b"\x03" + bytes(32))
    return str(caught.value)


@pytest.mark.parametrize(
    ("role", "key"),
    [(Role.CLIENT, b"no key that anybody knows here.."), (Role.CLIENT, WORKER_KEY), (Role.WORKER, CLIENT_KEY)],
    ids=["unknown key", "a client with the workers' key", "a worker with the clients' key"],
)
def test_a_wrong_key_is_refused_and_both_sides_say_so(role: Role, key: bytes) -> None:
    ours, theirs = client(role, key), server()
    proof = ours.receive(theirs.receive(ours.hello()))
    assert f"key of a {role.name.lower()}" in refused(theirs, proof)
    with pytest.raises(HandshakeError, match=f"does not accept this key for the role of a {role.name.lower()}"):
        ours.receive(theirs.farewell)
    assert not ours.done


@pytest.mark.parametrize("byte", range(1, 33))
def test_every_byte_of_the_proof_counts(byte: int) -> None:
    ours, theirs = client(), server()
    proof = bytearray(ours.receive(theirs.receive(ours.hello())))
    proof[byte] ^= 1
    refused(theirs, bytes(proof))


def test_there_is_one_try() -> None:
    ours, theirs = client(), server()
    proof = ours.receive(theirs.receive(ours.hello()))
    refused(theirs, b"\x03" + bytes(32))
    with pytest.raises(HandshakeError, match="over"):
        theirs.receive(proof)
    assert not theirs.done


def test_a_role_that_is_not_let_in_is_refused() -> None:
    ours, theirs = client(Role.WORKER, WORKER_KEY), server({Role.CLIENT: CLIENT_KEY})
    assert "no peer of role 2" in refused(theirs, ours.hello())
    with pytest.raises(HandshakeError, match="does not let in a worker"):
        ours.receive(theirs.farewell)


@pytest.mark.parametrize("role", [0, 3, 4, 255])
def test_a_role_that_does_not_exist_is_refused(role: int) -> None:
    hello = bytearray(client().hello())
    hello[12] = role
    refused(server(), bytes(hello))


def test_a_proof_for_one_role_is_none_for_another() -> None:
    """Both roles with one key: what a client proved does not make it a worker."""
    keys = {Role.CLIENT: CLIENT_KEY, Role.WORKER: CLIENT_KEY}
    ours, theirs = client(), server(keys)
    hello = bytearray(ours.hello())
    hello[12] = Role.WORKER
    proof = ours.receive(theirs.receive(bytes(hello)))
    refused(theirs, proof)


def test_a_recorded_handshake_cannot_be_replayed() -> None:
    hello, _, proof, _ = transcript(client(), server())
    again = server(nonce=b"n" * NONCE_BYTES)
    again.receive(hello)
    refused(again, proof)


def test_a_proof_made_for_another_server_is_refused() -> None:
    """A server in the middle that hands on another server's challenge gets nothing for its own nonce."""
    ours, elsewhere, theirs = client(), server(nonce=b"e" * NONCE_BYTES), server()
    hello = ours.hello()
    theirs.receive(hello)
    refused(theirs, ours.receive(elsewhere.receive(hello)))


def test_the_server_says_nothing_of_the_key_before_the_client_proved_it() -> None:
    one, other = server({Role.CLIENT: CLIENT_KEY}), server({Role.CLIENT: b"quite another key of 32 bytes..."})
    assert one.receive(client().hello()) == other.receive(client().hello())


def test_a_version_mismatch_names_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = client(), server()
    with monkeypatch.context() as patch:
        patch.setattr(handshake, "VERSION", 7)
        hello = ours.hello()
    text = refused(theirs, hello)
    assert "version 7" in text
    assert f"version {VERSION}" in text
    with monkeypatch.context() as patch:
        patch.setattr(handshake, "VERSION", 7)
        with pytest.raises(HandshakeError, match=f"version {VERSION} .*version 7"):
            ours.receive(theirs.farewell)


def test_a_challenge_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = client(), server()
    challenge = bytearray(theirs.receive(ours.hello()))
    challenge[10:12] = b"\x09\x00"
    with pytest.raises(HandshakeError, match=r"version 9 .*version 1"):
        ours.receive(bytes(challenge))


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b"\x16\x03\x01\x02\x00", b"x", b"fastschex", b"\0" * 1_000_000],
    ids=["HTTP", "TLS", "one byte", "nearly", "a megabyte"],
)
def test_who_speaks_another_language_is_cut_off_at_once_and_not_answered(data: bytes) -> None:
    theirs = server()
    assert "no fastsched peer" in refused(theirs, data)
    assert theirs.farewell == b""


@pytest.mark.parametrize("kind", [0, *set(Frame) - {Frame.HELLO}, 255])
def test_a_server_wants_hello_first(kind: int) -> None:
    hello = bytearray(client().hello())
    hello[9] = kind
    refused(server(), bytes(hello))


@pytest.mark.parametrize("kind", [0, *set(Frame) - {Frame.PROOF}, 255])
def test_a_server_wants_the_proof_next(kind: int) -> None:
    ours, theirs = client(), server()
    proof = bytearray(ours.receive(theirs.receive(ours.hello())))
    proof[0] = kind
    refused(theirs, bytes(proof))


def test_messages_before_the_proof_are_no_proof() -> None:
    refused(server(), client().hello() + b"\x00" * 1000)


def test_a_client_with_the_servers_nonce_is_refused() -> None:
    refused(server(), client(nonce=S_NONCE).hello())


@given(st.binary(max_size=200), st.integers(0, 45))
def test_no_garbage_gets_in(garbage: bytes, kept: int) -> None:
    theirs = server()
    try:
        theirs.receive(client().hello()[:kept] + garbage)
    except HandshakeError:
        pass
    assert not theirs.done


# -- the client's view ------------------------------------------------------------------------------------------------


def distrusted(ours: ClientSide, data: bytes) -> str:
    with pytest.raises(HandshakeError) as caught:
        ours.receive(data)
    assert not ours.done
    with pytest.raises(HandshakeError):
        ours.receive(b"\x04" + bytes(32))
    return str(caught.value)


def test_a_server_that_does_not_know_the_key_is_not_trusted() -> None:
    """It can let anybody in, but not prove the key."""
    ours = client()
    ours.receive(server().receive(ours.hello()))
    assert "does not know the key" in distrusted(ours, b"\x04" + bytes(32))


def test_a_clients_own_proof_reflected_proves_nothing() -> None:
    ours = client()
    proof = ours.receive(server().receive(ours.hello()))
    assert "does not know the key" in distrusted(ours, b"\x04" + proof[1:])


def test_a_clients_own_nonce_reflected_is_refused() -> None:
    ours = client()
    challenge = server(nonce=C_NONCE).receive(client(nonce=b"x" * NONCE_BYTES).hello())
    assert "reflects" in distrusted(ours, challenge)


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request", b"\x15\x03\x01", MAGIC[:-1] + b"?"])
def test_whoever_else_answers_is_named_as_such(data: bytes) -> None:
    assert "no fastsched peer" in distrusted(client(), data)


@pytest.mark.parametrize("kind", [0, 1, 3, 4, 255])
def test_a_client_wants_the_challenge_first(kind: int) -> None:
    challenge = bytearray(server().receive(client().hello()))
    challenge[9] = kind
    assert f"frame of kind {kind}" in distrusted(client(), bytes(challenge))


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 255])
def test_a_client_wants_the_welcome_next(kind: int) -> None:
    ours, theirs = client(), server()
    welcome = bytearray(theirs.receive(ours.receive(theirs.receive(ours.hello()))))
    welcome[0] = kind
    assert f"frame of kind {kind}" in distrusted(ours, bytes(welcome))


def test_a_client_trusts_no_server_that_failed_before() -> None:
    ours, theirs = client(), server()
    welcome = theirs.receive(ours.receive(theirs.receive(ours.hello())))
    distrusted(ours, b"\x04" + bytes(32))
    with pytest.raises(HandshakeError, match="over"):
        ours.receive(welcome)


def test_a_refusal_may_arrive_byte_by_byte() -> None:
    ours, theirs = client(key=b"no key that anybody knows here.."), server()
    proof = ours.receive(theirs.receive(ours.hello()))
    with pytest.raises(HandshakeError):
        theirs.receive(proof)
    with pytest.raises(HandshakeError, match="does not accept this key"):
        for index in range(len(theirs.farewell)):
            ours.receive(theirs.farewell[index : index + 1])


def test_challenge_and_welcome_may_come_at_once() -> None:
    """Only from a server that knew the proof beforehand; it must not confuse the client."""
    ours, theirs = client(), server()
    challenge = theirs.receive(ours.hello())
    welcome = theirs.receive(client().receive(challenge))
    assert ours.receive(challenge + welcome + b"rest")
    assert ours.done
    assert ours.rest == b"rest"


# -- arguments --------------------------------------------------------------------------------------------------------


def test_short_keys_and_nonces_are_refused() -> None:
    with pytest.raises(ValueError, match="key"):
        client(key=b"k" * (KEY_BYTES - 1))
    with pytest.raises(ValueError, match="key"):
        server({Role.CLIENT: b""})
    with pytest.raises(ValueError, match="nonce"):
        client(nonce=b"n" * (NONCE_BYTES - 1))
    with pytest.raises(ValueError, match="nonce"):
        server(nonce=b"")


def test_keys_are_in_no_message_of_an_exception() -> None:
    ours, theirs = client(key=b"no key that anybody knows here.."), server()
    proof = ours.receive(theirs.receive(ours.hello()))
    with pytest.raises(HandshakeError) as caught:
        theirs.receive(proof)
    assert CLIENT_KEY.decode() not in str(caught.value)
