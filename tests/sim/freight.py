"""Values, arguments, functions and exceptions as frames.

One concern: play the pickle. Plain JSON and ballast whose every byte is known, so that a frame that was cut, mixed up
or delivered to the wrong place is seen.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, NamedTuple

from fastsched.wire.messages import Buffer, ErrorItem, ErrorKind, Frames
from tests.sim.language import Failed

__all__ = [
    "Packed",
    "failure_of",
    "function_id",
    "pack_args",
    "pack_exception",
    "pack_function",
    "pack_value",
    "unpack_args",
    "unpack_function",
    "unpack_value",
    "weigh",
]

TYPE_NAME = "Value"


class Packed(NamedTuple):
    """A value as it travels: futures inside it are keys."""

    n: int
    size: int
    keys: tuple[str, ...]


def weigh(frames: Frames) -> int:
    """Bytes of a value."""
    return sum(map(len, frames))


def pack_value(value: Packed, attach_bytes: int) -> Frames:
    """Small ballast is bytes, large ballast travels out of band, as in `wire.payload`."""
    head = json.dumps([value.n, value.size, value.keys]).encode()
    if not value.size:
        return (head,)
    ballast = bytes((value.n & 0xFF,)) * value.size
    return (head, ballast if value.size < attach_bytes else Buffer(ballast))


def unpack_value(frames: Frames) -> Packed:
    """The value; AssertionError if a byte of it is wrong."""
    n, size, keys = json.loads(_plain(frames[0]))
    ballast = b"".join(map(_plain, frames[1:]))
    if ballast != bytes((n & 0xFF,)) * size:
        raise AssertionError(f"the value {n} of {size} bytes came with other bytes: {ballast[:20]!r}")
    return Packed(n, size, tuple(keys))


def pack_args(args: tuple[Any, ...], pins: tuple[str, ...]) -> Frames:
    """Plain arguments, and keys of futures among them."""
    return (json.dumps([args, pins]).encode(),)


def unpack_args(frames: Frames) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The inverse of `pack_args`."""
    args, pins = json.loads(_plain(frames[0]))
    return tuple(args), tuple(pins)


def function_id(name: str) -> bytes:
    """The content hash of a function."""
    return blake2b(name.encode(), digest_size=8).digest()


def pack_function(name: str) -> Frames:
    """A function is its name."""
    return (name.encode(),)


def unpack_function(frames: Frames) -> str:
    """The inverse of `pack_function`."""
    return _plain(frames[0]).decode()


def pack_exception(kind: ErrorKind, key: str, text: str) -> Frames:
    """The exception of a task: where it began, also if it came out of a future that the task waited for."""
    return (json.dumps([int(kind), key, text]).encode(),)


def failure_of(error: ErrorItem) -> Failed:
    """Where the trouble began, whatever it went through."""
    if error.frames is None:
        return Failed(ErrorKind(error.kind), error.key, error.text)
    kind, key, text = json.loads(_plain(error.frames[0]))
    return Failed(ErrorKind(kind), key, text)


def _plain(frame: bytes | Buffer) -> bytes:
    return bytes(frame.view) if isinstance(frame, Buffer) else frame
