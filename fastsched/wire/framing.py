"""From packets to frames and back.

One concern: where one packet ends and the next begins. A *packet* is what `codec` makes of one message: a code, the
control bytes and the buffers that travel beside them. On the wire each of these parts is one frame, or several if it is
large::

    frame  = length u32 | kind u8 | count u24 | payload of that length       (little endian)
    part   = frames of kind PIECE, then one of another kind; their payloads joined are the part
    packet = the control part: the kind of its last frame is the message's code, the count its number of buffers;
             then a part for each buffer: the kind of its last frame is BUFFER

What a peer claims is never allocated: memory grows by the bytes that have arrived, and a header that breaks the limits
of `Config` ends it at once. Imports only config and errors. Called by `codec`.
"""

from __future__ import annotations

from struct import Struct
from typing import TypeAlias

from fastsched.config import Config
from fastsched.errors import ProtocolError

__all__ = ["BUFFER", "FIRST_CODE", "HEADER", "LAST_CODE", "PIECE", "BytesLike", "FrameDecoder", "Packet", "frames_of"]

BytesLike: TypeAlias = bytes | bytearray | memoryview

HEADER = Struct("<II")  # length; count << 8 | kind
FIRST_CODE, LAST_CODE = 1, 253  # kinds that are message codes: the end of the control bytes
PIECE = 254  # kind: more of this part follows
BUFFER = 255  # kind: the end of a buffer

_pack = HEADER.pack
_unpack = HEADER.unpack
_SIZE = HEADER.size


Packet: TypeAlias = tuple[int, bytes | bytearray, tuple[bytearray, ...]]
"""The bytes of one message: its code, the control bytes, the buffers."""


def frames_of(part: BytesLike, kind: int, count: int, frame_bytes: int) -> list[BytesLike]:
    """The frames of one part, as pieces for a vectored write. The part is not copied.

    Parameters
    ----------
    part : bytes-like
        One-dimensional, of bytes.
    kind, count : int
        Of its last frame.
    frame_bytes : int
        The longest payload of a frame; a part that is longer is sent in several.
    """
    size = len(part)
    pieces: list[BytesLike] = []
    if size > frame_bytes:
        view = memoryview(part)
        start = 0
        while size - start > frame_bytes:
            pieces += (_pack(frame_bytes, PIECE), view[start : start + frame_bytes])
            start += frame_bytes
        part = view[start:]
        size -= start
    pieces += (_pack(size, count << 8 | kind), part)
    return pieces


class FrameDecoder:
    """Cuts a stream of bytes into packets. `codec` looks for itself at packets that come whole, as nearly all do; this
    here is for what comes in pieces or with buffers.

    Parameters
    ----------
    config : Config
        `frame_bytes`, `control_bytes`, `message_bytes` and `message_buffers` are its limits.

    Attributes
    ----------
    midway : bool
        Whether a packet has begun and not ended: at the end of a stream that is a truncation.
    packet : Packet or None
        The packet that ended where `take` stopped.
    """

    def __init__(self, config: Config) -> None:
        self.midway = False
        self.packet: Packet | None = None
        self._frame_bytes = config.frame_bytes
        self._control_bytes = config.control_bytes
        self._message_bytes = config.message_bytes
        self._message_buffers = config.message_buffers
        self._head = b""  # the beginning of a header
        self._word = 0  # count and kind of the frame whose payload is arriving, 0: a header is next
        self._missing = 0  # bytes of that payload
        self._part: bytearray | None = None  # what has arrived of a part that came in several frames or deliveries
        self._code = 0  # of the packet whose buffers are arriving, 0: the control bytes are
        self._control: bytes | bytearray = b""
        self._expected = 0  # buffers still to come
        self._buffers: list[bytearray] = []
        self._taken = 0  # bytes of this packet, with those that its last header promised

    def take(self, data: BytesLike, start: int) -> int:
        """Go on in `data` from `start`, to the end of a packet or of the data; returns how far it went.

        Raises
        ------
        ProtocolError
            A frame is too long, of unknown kind or out of place. The decoder cannot be used afterwards.
        """
        self.packet = None
        end = len(data)
        while start < end and self.packet is None:
            if not self._word:
                start = self._header(data, start)
                if not self._word:
                    break
            stop = start + self._missing
            if stop > end:
                self._keep(data, start, end)
                self._missing = stop - end
                start = end
                break
            kind = self._word & 0xFF
            if kind == PIECE:
                self._keep(data, start, stop)
            elif kind == BUFFER:
                self._end_buffer(data, start, stop)
            else:
                self._end_control(data, start, stop)
            start = stop
            self._missing = self._word = 0
        self.midway = bool(self._head) or self._word != 0 or self._part is not None or self._code != 0
        return start

    def _header(self, data: BytesLike, start: int) -> int:
        """The next header, or as much of it as has come; returns where it ends."""
        stop = start + _SIZE - len(self._head)
        head = self._head + bytes(data[start:stop])
        if len(head) < _SIZE:
            self._head = head
            return len(data)
        self._head = b""
        length, word = _unpack(head)
        self._admit(length, word & 0xFF, word >> 8)
        self._missing, self._word = length, word
        return stop

    def _admit(self, length: int, kind: int, count: int) -> None:
        """Is this header allowed here? Said before a byte of the payload is kept."""
        self._taken += length
        if length > self._frame_bytes:
            raise ProtocolError(f"a frame of {length} bytes; the limit is {self._frame_bytes}")
        if self._taken > (self._message_bytes if self._code else self._control_bytes):
            raise ProtocolError(f"a message of {self._taken} bytes or more")
        if kind == PIECE:
            if count or not length:
                raise ProtocolError("an empty or numbered piece")
        elif self._code:
            if kind != BUFFER or count:
                raise ProtocolError(f"a frame of kind {kind} in the place of a buffer")
        elif not FIRST_CODE <= kind <= LAST_CODE:
            raise ProtocolError(f"a frame of kind {kind} in the place of a message")
        elif count > self._message_buffers:
            raise ProtocolError(f"a message with {count} buffers; the limit is {self._message_buffers}")

    def _keep(self, data: BytesLike, start: int, stop: int) -> None:
        """A part that is not complete: its bytes so far."""
        if self._part is None:
            self._part = bytearray()
        self._part += memoryview(data)[start:stop]

    def _end_control(self, data: BytesLike, start: int, stop: int) -> None:
        control: bytes | bytearray
        if self._part is None:
            control = bytes(data[start:stop])
        else:
            self._keep(data, start, stop)
            control, self._part = self._part, None
        count = self._word >> 8
        if not count:
            self._taken = 0
            self.packet = (self._word & 0xFF, control, ())
            return
        self._code = self._word & 0xFF
        self._control = control
        self._expected = count

    def _end_buffer(self, data: BytesLike, start: int, stop: int) -> None:
        self._keep(data, start, stop)
        buffer, self._part = self._part, None
        assert buffer is not None
        self._buffers.append(buffer)
        if len(self._buffers) == self._expected:
            self.packet = (self._code, self._control, tuple(self._buffers))
            self._buffers = []
            self._control = b""
            self._code = self._taken = 0
