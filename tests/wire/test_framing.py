"""Frames: packets survive every way of being cut up, and a peer's claims cost it the connection, not us the memory."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.wire.framing import BUFFER, HEADER, LAST_CODE, PIECE, BytesLike, FrameDecoder, Packet, frames_of

CONFIG = Config()
TIGHT = Config(frame_bytes=10, control_bytes=25, message_bytes=40, message_buffers=3)


def header(length: int, kind: int, count: int = 0) -> bytes:
    return HEADER.pack(length, count << 8 | kind)


def packet(code: int, control: bytes, buffers: tuple[bytearray, ...]) -> Packet:
    return code, control, buffers


def joined(*packets: Packet, frame_bytes: int = CONFIG.frame_bytes) -> bytes:
    pieces: list[BytesLike] = []
    for code, control, buffers in packets:
        pieces += frames_of(control, code, len(buffers), frame_bytes)
        for buffer in buffers:
            pieces += frames_of(buffer, BUFFER, 0, frame_bytes)
    return b"".join(pieces)


def fed(decoder: FrameDecoder, data: BytesLike) -> list[Packet]:
    """All packets that end in `data`."""
    found, start = [], 0
    while start < len(data):
        before, start = start, decoder.take(data, start)
        assert start > before
        if decoder.packet is not None:
            found.append(decoder.packet)
    return found


PACKETS = [
    packet(1, b"control", ()),
    packet(LAST_CODE, b"", ()),
    packet(7, b"c" * 30, (bytearray(b"x" * 35), bytearray(), bytearray(b"y" * 20))),
    packet(2, b"after", (bytearray(b"z"),)),
]


@pytest.mark.parametrize("frame_bytes", [CONFIG.frame_bytes, 10], ids=["whole parts", "parts in pieces"])
def test_packets_survive_a_cut_at_every_byte(frame_bytes: int) -> None:
    data = joined(*PACKETS, frame_bytes=frame_bytes)
    for cut in range(len(data) + 1):
        decoder = FrameDecoder(CONFIG)
        assert fed(decoder, data[:cut]) + fed(decoder, data[cut:]) == PACKETS
        assert not decoder.midway


def test_packets_survive_byte_by_byte() -> None:
    decoder = FrameDecoder(CONFIG)
    data = joined(*PACKETS, frame_bytes=10)
    assert [found for index in range(len(data)) for found in fed(decoder, data[index : index + 1])] == PACKETS


@given(st.data())
def test_packets_survive_any_cutting(data: st.DataObject) -> None:
    part = st.binary(max_size=50)
    kinds = st.builds(packet, st.integers(1, LAST_CODE), part, st.lists(part.map(bytearray), max_size=3).map(tuple))
    packets = data.draw(st.lists(kinds, max_size=4))
    stream = joined(*packets, frame_bytes=data.draw(st.integers(1, 60)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder = FrameDecoder(CONFIG)
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += fed(decoder, memoryview(stream)[start:stop])
    assert found == packets


def test_every_true_prefix_is_a_truncation() -> None:
    data = joined(*PACKETS, frame_bytes=10)
    ends = {len(joined(*PACKETS[:count], frame_bytes=10)) for count in range(len(PACKETS) + 1)}
    for cut in range(len(data)):
        decoder = FrameDecoder(CONFIG)
        fed(decoder, data[:cut])
        assert decoder.midway == (cut not in ends)


def test_parts_are_not_copied_on_the_way_out() -> None:
    buffer = memoryview(bytearray(b"b" * 100))
    assert frames_of(buffer, BUFFER, 0, 100)[1] is buffer
    in_pieces = frames_of(buffer, BUFFER, 0, 30)
    assert [piece.obj for piece in in_pieces if isinstance(piece, memoryview)] == [buffer.obj] * 4


def test_a_part_keeps_to_the_length_of_frames() -> None:
    assert b"".join(frames_of(b"control", 5, 2, 100)) == header(7, 5, 2) + b"control"
    assert b"".join(frames_of(b"control", 5, 2, 4)) == header(4, PIECE) + b"cont" + header(3, 5, 2) + b"rol"


def test_buffers_arrive_writable_and_apart() -> None:
    ((_, _, buffers),) = fed(FrameDecoder(CONFIG), joined(PACKETS[2]))
    assert all(type(buffer) is bytearray for buffer in buffers)


@pytest.mark.parametrize(
    "data",
    [
        header(11, 1),
        header(2**32 - 1, 1),
        header(11, PIECE),
        (header(10, PIECE) + bytes(10)) * 2 + header(6, 1),
        header(1, 1, 1) + b"c" + (header(10, PIECE) + bytes(10)) * 3 + header(10, BUFFER),
        header(1, 1, 4),
        header(1, 1, 2**24 - 1),
        header(0, PIECE),
        header(1, PIECE, 1),
        header(1, 0),
        header(1, BUFFER),
        header(1, 1, 1) + b"c" + header(1, 1),
        header(1, 1, 1) + b"c" + header(1, BUFFER, 1),
    ],
    ids=[
        "frame too long",
        "frame of 4 GiB",
        "piece too long",
        "control bytes too many in pieces",
        "message too large",
        "too many buffers",
        "16 million buffers",
        "empty piece",
        "numbered piece",
        "kind 0",
        "a buffer without a message",
        "a message in the place of a buffer",
        "a numbered buffer",
    ],
)  # fmt: skip
def test_a_frame_that_breaks_a_rule_is_refused_at_its_header(data: bytes) -> None:
    decoder = FrameDecoder(TIGHT)
    fed(decoder, data[:-1])
    with pytest.raises(ProtocolError):
        fed(decoder, data[-1:])


@pytest.mark.parametrize(
    "data",
    [
        header(11, 1) + bytes(11),
        header(1, 1, 1) + b"c" + header(1, 1) + b"c",
        header(5, PIECE) + bytes(5) + header(0, BUFFER),
    ],
    ids=["too long", "in the place of a buffer", "a buffer after a piece of a message"],
)
def test_a_frame_that_breaks_a_rule_is_refused_also_if_it_is_all_there(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        fed(FrameDecoder(TIGHT), data)


def test_limits_are_exact() -> None:
    control, buffers = b"c" * 25, (bytearray(5), bytearray(6), bytearray(4))
    data = joined(packet(1, control, buffers), frame_bytes=10)
    assert fed(FrameDecoder(TIGHT), data + data) == [packet(1, control, buffers)] * 2


def test_claims_cost_no_memory() -> None:
    claim = header(1, 1, CONFIG.message_buffers) + b"c" + header(CONFIG.frame_bytes, BUFFER)
    decoders = [FrameDecoder(CONFIG) for _ in range(100)]
    tracemalloc.start()
    for decoder in decoders:
        fed(decoder, claim + b"xyz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 * 2_000


@given(st.lists(st.binary(max_size=30)))
def test_garbage_raises_protocol_errors_only(chunks: list[bytes]) -> None:
    decoder = FrameDecoder(TIGHT)
    try:
        for chunk in chunks:
            fed(decoder, chunk)
    except ProtocolError:
        pass
