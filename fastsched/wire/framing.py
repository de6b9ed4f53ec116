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

from collections.abc import Iterator, Sequence
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

# Control bytes up to here are copied behind their header: a write of one piece less saves more than the copy costs.
COALESCE = 32 << 10

_pack = HEADER.pack
_unpack_from = HEADER.unpack_from
_SIZE = HEADER.size


Packet: TypeAlias = tuple[int, bytes | bytearray, tuple[bytearray, ...]]
"""The bytes of one message: its code, the control bytes, the buffers. A plain tuple: there is one for each message."""


def frames_of(code: int, control: bytes, buffers: Sequence[BytesLike], frame_bytes: int) -> list[BytesLike]:
    """The frames of one packet, as pieces for one vectored write.

    Parameters
    ----------
    code : int
        `FIRST_CODE` .. `LAST_CODE`.
    control : bytes
        Copied if small.
    buffers : sequence of bytes-like
        One-dimensional, of bytes. Never copied.
    frame_bytes : int
        The longest payload of a frame; parts that are longer are sent in several.
    """
    size = len(control)
    word = len(buffers) << 8 | code
    if not buffers and size <= COALESCE and size <= frame_bytes:
        return [_pack(size, word) + control]
    pieces: list[BytesLike] = []
    for payload, header in _part(control, word, frame_bytes):
        pieces += (header, payload)
    if size <= COALESCE:
        pieces = [b"".join(pieces)]
    for buffer in buffers:
        for payload, header in _part(buffer, BUFFER, frame_bytes):
            pieces += (header, payload)
    return pieces


def _part(part: BytesLike, word: int, frame_bytes: int) -> Iterator[tuple[BytesLike, bytes]]:
    """Payloads and headers of one part."""
    size = len(part)
    if size > frame_bytes:
        view = memoryview(part)
        start = 0
        while size - start > frame_bytes:
            yield view[start : start + frame_bytes], _pack(frame_bytes, PIECE)
            start += frame_bytes
        part = view[start:]
        size -= start
    yield part, _pack(size, word)


class FrameDecoder:
    """Cuts a stream of bytes into packets.

    Parameters
    ----------
    config : Config
        `frame_bytes`, `control_bytes`, `message_bytes` and `message_buffers` are its limits.
    """

    __slots__ = (
        "_buffers",
        "_code",
        "_control",
        "_expected",
        "_head",
        "_limits",
        "_missing",
        "_part",
        "_taken",
        "_whole_bytes",
        "_word",
    )

    def __init__(self, config: Config) -> None:
        self._limits = (config.frame_bytes, config.control_bytes, config.message_bytes, config.message_buffers)
        self._head = b""  # the beginning of a header
        self._word = 0  # count and kind of the frame whose payload is arriving, 0: a header is next
        self._missing = 0  # bytes of that payload
        self._part: bytearray | None = None  # what has arrived of a part that came in several frames or deliveries
        self._code = 0  # of the packet whose buffers are arriving, 0: the control bytes are
        self._control: bytes | bytearray = b""
        self._expected = 0  # buffers still to come
        self._buffers: list[bytearray] = []
        self._taken = 0  # bytes of this packet, with those that its last header promised
        self._whole_bytes = min(config.frame_bytes, config.control_bytes)

    @property
    def midway(self) -> bool:
        """Whether a packet has begun and not ended: at the end of a stream that is a truncation."""
        return bool(self._head or self._word or self._part is not None or self._code)

    def feed(self, data: BytesLike) -> list[Packet]:
        """The packets that end in `data`.

        Raises
        ------
        ProtocolError
            A frame is too long, of unknown kind or out of place. The decoder cannot be used afterwards.
        """
        packets: list[Packet] = []
        if self._head:
            data = self._head + data
            self._head = b""
        start, end = 0, len(data)
        while start < end:
            if not self._word:
                if end - start < _SIZE:
                    self._head = bytes(data[start:])
                    break
                length, word = _unpack_from(data, start)
                start += _SIZE
                whole = FIRST_CODE <= word <= LAST_CODE and length <= end - start and length <= self._whole_bytes
                if whole and not self._code and self._part is None:
                    # a whole message without buffers, as nearly all are: nothing to remember
                    packets.append((word, bytes(data[start : start + length]), ()))
                    start += length
                    continue
                self._missing, self._word = length, word
                self._admit(length, word & 0xFF, word >> 8)
            stop = start + self._missing
            if stop > end:
                self._keep(data, start, end)
                self._missing = stop - end
                break
            kind = self._word & 0xFF
            if kind == PIECE:
                self._keep(data, start, stop)
            elif kind == BUFFER:
                self._end_buffer(data, start, stop, packets)
            else:
                self._end_control(data, start, stop, packets)
            start = stop
            self._missing = self._word = 0
        return packets

    def _admit(self, length: int, kind: int, count: int) -> None:
        """Is this header allowed here? Said before a byte of the payload is kept."""
        frame_bytes, control_bytes, message_bytes, message_buffers = self._limits
        self._taken += length
        if length > frame_bytes:
            raise ProtocolError(f"a frame of {length} bytes; the limit is {frame_bytes}")
        if self._taken > (message_bytes if self._code else control_bytes):
            raise ProtocolError(f"a message of {self._taken} bytes or more")
        if kind == PIECE:
            if count or not length:
                raise ProtocolError("an empty or numbered piece")
        elif self._code:
            if kind != BUFFER or count:
                raise ProtocolError(f"a frame of kind {kind} in the place of a buffer")
        elif not FIRST_CODE <= kind <= LAST_CODE:
            raise ProtocolError(f"a frame of kind {kind} in the place of a message")
        elif count > message_buffers:
            raise ProtocolError(f"a message with {count} buffers; the limit is {message_buffers}")

    def _keep(self, data: BytesLike, start: int, stop: int) -> None:
        """A part that is not complete: its bytes so far."""
        if self._part is None:
            self._part = bytearray()
        self._part += memoryview(data)[start:stop]

    def _end_control(self, data: BytesLike, start: int, stop: int, packets: list[Packet]) -> None:
        control: bytes | bytearray
        if self._part is None:
            control = bytes(data[start:stop])
        else:
            self._keep(data, start, stop)
            control, self._part = self._part, None
        count = self._word >> 8
        if not count:
            self._taken = 0
            packets.append((self._word & 0xFF, control, ()))
            return
        self._code = self._word & 0xFF
        self._control = control
        self._expected = count

    def _end_buffer(self, data: BytesLike, start: int, stop: int, packets: list[Packet]) -> None:
        self._keep(data, start, stop)
        buffer, self._part = self._part, None
        assert buffer is not None
        self._buffers.append(buffer)
        if len(self._buffers) == self._expected:
            packets.append((self._code, self._control, tuple(self._buffers)))
            self._buffers = []
            self._control = b""
            self._code = self._taken = 0
