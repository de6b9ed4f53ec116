"""Messages to bytes and back.

One concern: the bytes of a message and whether they are a message at all. Out: msgpack of the named tuple as it
stands; `Buffer` objects leave beside it. In: nothing reaches a machine that is not of exactly the shape that
`messages` annotates (`shapes` compiles the annotations into checkers), allowed for the peer's role, and within the
limits of `Config`. Whatever is wrong with the bytes, it is a `ProtocolError`.

Called by `net`. Imports framing, shapes and messages; the only module that imports msgpack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeAlias

import msgpack

from fastsched.config import Config
from fastsched.errors import ProtocolError, SerializationError
from fastsched.wire import shapes
from fastsched.wire.framing import BytesLike, FrameDecoder, Packet, frames_of
from fastsched.wire.messages import CODES, MESSAGES, Buffer, Message

__all__ = ["Decoder", "encode"]

DEFAULTS = Config()

# A `Buffer` inside the control bytes: an extension of this code, without content. The buffers follow in the order in
# which they stand there.
ATTACHED_CODE = 1
ATTACHED = msgpack.ExtType(ATTACHED_CODE, b"")

# Control bytes up to this size are unpacked at once. In longer ones a few bytes could claim arrays that nest so that
# their (empty) slots take gigabytes; there a first pass, which makes no objects, sees that each claimed item is
# backed by a byte.
TRUSTED_BYTES = 1 << 10


class _Packer:
    """A msgpack packer and the buffers that it met. Not for two threads at once: see `_packers`."""

    __slots__ = ("attached", "pack")

    def __init__(self) -> None:
        self.attached: list[memoryview] = []
        self.pack = msgpack.Packer(default=self._attach, unicode_errors="surrogatepass").pack

    def _attach(self, obj: object) -> msgpack.ExtType:
        if type(obj) is not Buffer:
            raise TypeError(f"a {type(obj).__name__} is no plain data")
        self.attached.append(obj.view)
        return ATTACHED


MapHook: TypeAlias = Callable[[dict[str, Any]], Any]

_unpackb = msgpack.unpackb

_packers: list[_Packer] = []  # those that are idle; append and pop are atomic


def encode(message: Message, config: Config = DEFAULTS) -> list[BytesLike]:
    """The bytes of a message, as pieces for one vectored write. Thread-safe.

    Parameters
    ----------
    message : Message
        Sent as several messages of its kind if it is a batch that is longer than `Config.control_bytes`.
    config : Config
        Must be the peer's.

    Returns
    -------
    list of bytes-like
        Large buffers are not copied: they must not change until they are sent.

    Raises
    ------
    SerializationError
        Something in the message is no plain data, or too large.
    """
    try:
        packer = _packers.pop()
    except IndexError:
        packer = _Packer()
    try:
        control = packer.pack(message)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        # this packer is not used again: what it holds of the message is not known
        raise SerializationError(f"cannot encode a {type(message).__name__} message: {error}") from error
    attached = packer.attached
    packer.attached = []
    _packers.append(packer)
    if len(control) > config.control_bytes or len(attached) > config.message_buffers:
        return [piece for half in _halves(message, config) for piece in encode(half, config)]
    return frames_of(CODES[type(message)], control, attached, config.frame_bytes)


def _halves(message: Message, config: Config) -> Iterator[Message]:
    """Two messages that say together, and in the same order, what this one says."""
    kind: Any = type(message)
    fields: tuple[Any, ...] = message
    places = shapes.batches(kind)
    total = sum(len(fields[place]) for place in places)
    if total < 2:
        raise SerializationError(
            f"a {kind.__name__} message is over {config.control_bytes} bytes or {config.message_buffers} buffers"
        )
    first, second = list(fields), list(fields)
    left = total // 2
    for place in places:
        batch = fields[place]
        first[place], second[place] = batch[:left], batch[left:]
        left = max(0, left - len(batch))
    yield kind._make(first)
    yield kind._make(second)


class _Reader(NamedTuple):
    """How to read the messages of one code."""

    kind: Any
    checker: shapes.Checker
    maps: MapHook | None


class Decoder:
    """Bytes of one peer to messages.

    Parameters
    ----------
    config : Config
        Its limits.
    allowed : frozenset of message types
        What this peer may send.
    """

    __slots__ = ("_allowed", "_broken", "_config", "_frames", "_readers")

    def __init__(self, config: Config, allowed: frozenset[type]) -> None:
        self._config = config
        self._allowed = allowed
        self._frames = FrameDecoder(config)
        self._broken = False
        self._readers: dict[int, _Reader] = {}

    @property
    def midway(self) -> bool:
        """Whether a message has begun and not ended: at the end of a stream that is a truncation."""
        return self._frames.midway

    def feed(self, data: BytesLike) -> list[Message]:
        """The messages that end in `data`. Items of batches are plain tuples of the annotated shape.

        Raises
        ------
        ProtocolError
            The peer broke a rule. The connection is to be closed; the decoder cannot be used afterwards.
        """
        if self._broken:
            raise ProtocolError("this peer broke a rule before")
        try:
            return [self._message(packet) for packet in self._frames.feed(data)]
        except ProtocolError:
            self._broken = True
            raise

    def _message(self, packet: Packet) -> Message:
        code, control, buffers = packet
        reader = self._readers.get(code)
        if reader is None:
            reader = self._readers[code] = self._admit(code)
        kind, checker, maps = reader
        try:
            fields = self._unpack(control, buffers, maps)
        except ProtocolError:
            raise
        except (ValueError, TypeError, RecursionError, MemoryError, msgpack.UnpackException) as error:
            raise ProtocolError(f"a {kind.__name__} message is no msgpack: {type(error).__name__} {error}") from error
        if not checker(fields, self._config.depth):
            raise ProtocolError(f"a {kind.__name__} message of the wrong shape")
        message: Message = kind._make(fields)
        return message

    def _admit(self, code: int) -> _Reader:
        """How to read the messages of this code, if the peer may send them."""
        kind: Any = MESSAGES.get(code)
        if kind is None:
            raise ProtocolError(f"no message has the code {code}")
        if kind not in self._allowed:
            raise ProtocolError(f"this peer may not send {kind.__name__}")
        return _Reader(kind, shapes.checker(kind), None if shapes.holds_plain_data(kind) else _refuse_map)

    def _unpack(self, control: bytes | bytearray, buffers: tuple[bytearray, ...], maps: MapHook | None) -> Any:
        size = len(control)
        if size > TRUSTED_BYTES:
            probe = msgpack.Unpacker(max_buffer_size=size)
            probe.feed(control)
            probe.skip()
        attach = _Attaching(buffers) if buffers else None
        config = self._config
        fields = _unpackb(
            control,
            use_list=False,
            object_hook=maps,
            ext_hook=attach or _attach_nothing,
            unicode_errors="surrogatepass",
            max_array_len=size if size < config.array_items else config.array_items,
            max_map_len=size if size < config.map_items else config.map_items,
        )
        if attach is not None and attach.left:
            raise ProtocolError("a buffer that the message does not name")
        return fields


class _Attaching:
    """Puts the buffers of a message where its control bytes name them."""

    def __init__(self, buffers: tuple[bytearray, ...]) -> None:
        self.left = list(reversed(buffers))

    def __call__(self, code: int, content: bytes) -> Buffer:
        if code != ATTACHED_CODE or content or not self.left:
            raise ProtocolError("an extension that names no buffer")
        return Buffer(self.left.pop())


def _attach_nothing(code: int, content: bytes) -> Buffer:
    raise ProtocolError("an extension in a message without buffers")


def _refuse_map(content: dict[str, Any]) -> Any:
    """Said at the first: an empty map takes one byte on the wire and 64 in memory."""
    raise ProtocolError("a map in a message without plain data")
