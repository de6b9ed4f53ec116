"""Who is there? Fixed binary frames, before anything else is read.

One concern: two peers prove to each other that they know the key of a role, before a byte reaches msgpack or pickle.
The frames have fixed lengths; docs/wire.md shows them byte by byte::

    client                                                server
    HELLO   magic, version, role, nonce           ->
                                                  <-      CHALLENGE   magic, version, nonce
    PROOF   HMAC-SHA256(key, client's transcript) ->
                                                  <-      WELCOME     HMAC-SHA256(key, server's transcript)

A transcript is a label that names the side, the version, the role and both nonces. The label differs by side, so a
proof cannot be reflected; the server's nonce is new for each connection, so it cannot be replayed; the server proves
last, so a stranger learns nothing to try keys on. Instead of its frame the server may send REFUSED with a reason, and
closes.

Sans-I/O: nonces are arguments, deadlines are the caller's. Called by `net`. Imports errors and `Role`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from enum import IntEnum
from struct import Struct

from fastsched.errors import HandshakeError
from fastsched.wire.messages import Role

__all__ = ["KEY_BYTES", "MAGIC", "NONCE_BYTES", "VERSION", "ClientSide", "Reason", "ServerSide"]

VERSION = 1
"""The version of the wire: of this handshake, the framing and the messages. Peers of different versions part."""

MAGIC = b"fastsched"
NONCE_BYTES = 32
KEY_BYTES = 16
"""The shortest key that is accepted."""

_PROOF_BYTES = 32


class Frame(IntEnum):
    """The first byte of each frame after the magic."""

    HELLO = 1
    CHALLENGE = 2
    PROOF = 3
    WELCOME = 4
    REFUSED = 5


class Reason(IntEnum):
    """Why a server refuses."""

    VERSION = 1
    KEY = 2
    ROLE = 3
    FRAME = 4


_HELLO = Struct(f"<{len(MAGIC)}sBHB{NONCE_BYTES}s")  # magic, HELLO, version, role, nonce
_CHALLENGE = Struct(f"<{len(MAGIC)}sBH{NONCE_BYTES}s")  # magic, CHALLENGE, version, nonce
_PROOF = Struct(f"<B{_PROOF_BYTES}s")  # PROOF or WELCOME, proof
_REFUSED = Struct(f"<{len(MAGIC)}sBHB")  # magic, REFUSED, version, reason

_CLIENT_LABEL = b"fastsched: the connecting side proves\0"
_SERVER_LABEL = b"fastsched: the accepting side proves\0"

_WHY = {
    Reason.VERSION: "speaks version {0} of the wire, this side version {1}: install the same fastsched on both",
    Reason.KEY: "does not accept this key for the role of a {2}",
    Reason.ROLE: "does not let in a {2}",
    Reason.FRAME: "did not understand this side",
}


def _proof(key: bytes, label: bytes, role: int, client_nonce: bytes, server_nonce: bytes) -> bytes:
    transcript = label + VERSION.to_bytes(2, "little") + bytes((role,)) + client_nonce + server_nonce
    return hmac.digest(key, transcript, hashlib.sha256)


def _checked(name: str, value: bytes, least: int) -> bytes:
    if len(value) < least:
        raise ValueError(f"a {name} of {len(value)} bytes; {least} are the least")
    return bytes(value)


class _Side:
    """What both sides share: frames of a known length, one after the other."""

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._held = b""
        self._failed = False

    def _take(self, frame: Struct) -> bytes | None:
        """The next frame, or None until it is complete."""
        size = frame.size
        if len(self._held) < size:
            return None
        taken, self._held = self._held[:size], self._held[size:]
        return taken

    def _finish(self) -> None:
        self.done = True
        self.rest, self._held = self._held, b""

    def _accept(self, data: bytes) -> None:
        if self.done or self._failed:
            raise HandshakeError("the handshake is over")
        self._held += bytes(data)


class ServerSide(_Side):
    """The accepting side.

    Parameters
    ----------
    keys : mapping of Role to bytes
        The roles that are let in, each with its key of at least `KEY_BYTES`.
    nonce : bytes
        `NONCE_BYTES` random bytes, never used before.

    Attributes
    ----------
    done : bool
        The peer has proved its role and was answered.
    role : Role or None
        What it proved to be, once done.
    rest : bytes
        What arrived after the handshake, once done.
    farewell : bytes
        After a `HandshakeError`: what to tell the peer before closing.
    """

    def __init__(self, keys: Mapping[Role, bytes], nonce: bytes) -> None:
        super().__init__()
        self._keys = {role: _checked("key", key, KEY_BYTES) for role, key in keys.items()}
        self._nonce = _checked("nonce", nonce, NONCE_BYTES)
        self._peer_nonce = b""
        self._claimed = 0
        self.role: Role | None = None
        self.farewell = b""

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the peer; returns the bytes to send.

        Raises
        ------
        HandshakeError
            The peer is refused: send `farewell` and close.
        """
        self._accept(data)
        out = b""
        if not self._peer_nonce:
            out = self._challenge()
        if self._peer_nonce and not self.done:
            out += self._welcome()
        return out

    def _challenge(self) -> bytes:
        if not MAGIC.startswith(self._held[: len(MAGIC)]):
            self._refuse(None, "the peer is no fastsched peer")
        hello = self._take(_HELLO)
        if hello is None:
            return b""
        _, kind, version, role, nonce = _HELLO.unpack(hello)
        if kind != Frame.HELLO:
            self._refuse(Reason.FRAME, f"the peer begins with a frame of kind {kind}")
        if version != VERSION:
            self._refuse(Reason.VERSION, f"the peer {_WHY[Reason.VERSION].format(version, VERSION)}")
        if role not in self._keys:
            self._refuse(Reason.ROLE, f"no peer of role {role} is let in here")
        if nonce == self._nonce:
            self._refuse(Reason.FRAME, "the peer uses this side's nonce")
        self._claimed, self._peer_nonce = role, nonce
        return _CHALLENGE.pack(MAGIC, Frame.CHALLENGE, VERSION, self._nonce)

    def _welcome(self) -> bytes:
        frame = self._take(_PROOF)
        if frame is None:
            return b""
        kind, given = _PROOF.unpack(frame)
        role = Role(self._claimed)
        key = self._keys[role]
        if kind != Frame.PROOF:
            self._refuse(Reason.FRAME, f"a frame of kind {kind} in the place of the proof")
        if not hmac.compare_digest(given, _proof(key, _CLIENT_LABEL, role, self._peer_nonce, self._nonce)):
            self._refuse(Reason.KEY, f"the peer does not know the key of a {role.name.lower()}")
        self.role = role
        self._finish()
        return _PROOF.pack(Frame.WELCOME, _proof(key, _SERVER_LABEL, role, self._peer_nonce, self._nonce))

    def _refuse(self, reason: Reason | None, text: str) -> None:
        """End it. Somebody who does not speak our language is not answered."""
        self._failed = True
        self._held = b""
        if reason is not None:
            self.farewell = _REFUSED.pack(MAGIC, Frame.REFUSED, VERSION, reason)
        raise HandshakeError(text)


class ClientSide(_Side):
    """The connecting side.

    Parameters
    ----------
    role : Role
        What to be let in as.
    key : bytes
        The key of that role.
    nonce : bytes
        `NONCE_BYTES` random bytes, never used before.

    Attributes
    ----------
    done : bool
        The server has proved that it knows the key.
    role : Role
        As given.
    rest : bytes
        What arrived after the handshake, once done.
    """

    def __init__(self, role: Role, key: bytes, nonce: bytes) -> None:
        super().__init__()
        self.role = Role(role)
        self._key = _checked("key", key, KEY_BYTES)
        self._nonce = _checked("nonce", nonce, NONCE_BYTES)
        self._peer_nonce = b""

    def hello(self) -> bytes:
        """What to send first."""
        return _HELLO.pack(MAGIC, Frame.HELLO, VERSION, self.role, self._nonce)

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the server; returns the bytes to send.

        Raises
        ------
        HandshakeError
            The server refuses, could not prove that it knows the key, or speaks another version. Close.
        """
        self._accept(data)
        step: Callable[[], bytes] = self._welcomed if self._peer_nonce else self._challenged
        out = step()
        if out and self._held:
            out += self._welcomed()
        return out

    def _challenged(self) -> bytes:
        if not MAGIC.startswith(self._held[: len(MAGIC)]):
            self._fail("whoever answers at this address is no fastsched peer")
        self._see_refusal()
        challenge = self._take(_CHALLENGE)
        if challenge is None:
            return b""
        _, kind, version, nonce = _CHALLENGE.unpack(challenge)
        if kind != Frame.CHALLENGE:
            self._fail(f"the server begins with a frame of kind {kind}")
        if version != VERSION:
            self._fail(f"the server {_WHY[Reason.VERSION].format(version, VERSION)}")
        if nonce == self._nonce:
            self._fail("the server reflects this side's nonce")
        self._peer_nonce = nonce
        return _PROOF.pack(Frame.PROOF, _proof(self._key, _CLIENT_LABEL, self.role, self._nonce, nonce))

    def _welcomed(self) -> bytes:
        if self._held[:1] == MAGIC[:1]:
            self._see_refusal()
            return b""
        frame = self._take(_PROOF)
        if frame is None:
            return b""
        kind, given = _PROOF.unpack(frame)
        if kind != Frame.WELCOME:
            self._fail(f"a frame of kind {kind} in the place of the server's proof")
        if not hmac.compare_digest(given, _proof(self._key, _SERVER_LABEL, self.role, self._nonce, self._peer_nonce)):
            self._fail("the server does not know the key")
        self._finish()
        return b""

    def _see_refusal(self) -> None:
        held = self._held
        if len(held) < _REFUSED.size or held[len(MAGIC)] != Frame.REFUSED:
            return
        magic, _, version, reason = _REFUSED.unpack_from(held)
        if magic == MAGIC and reason in _WHY:
            self._fail(f"the server {_WHY[Reason(reason)].format(version, VERSION, self.role.name.lower())}")
        self._fail("the server refuses")

    def _fail(self, text: str) -> None:
        self._failed = True
        self._held = b""
        raise HandshakeError(text)
