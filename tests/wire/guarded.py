"""A program, run by test_bounds: it reads messages that end where memory ends, so that one byte too far ends it."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.wire.catalogue import CODES, MESSAGES
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.framing import HEADER
from tests.wire import strategies

EVERYTHING = frozenset(MESSAGES.values())
CONFIG = Config()
PAGE = mmap.PAGESIZE
NO_ACCESS = 0


def guarded_page() -> memoryview:
    """A page, behind which lies one that nobody may read."""
    pages = mmap.mmap(-1, 2 * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(address + PAGE), ctypes.c_size_t(PAGE), NO_ACCESS):
        raise OSError("mprotect")
    return memoryview(pages)[:PAGE]


def refused(page: memoryview, data: bytes) -> bool:
    place = page[PAGE - len(data) :]
    place[:] = data
    try:
        Decoder(CONFIG, EVERYTHING).feed(place)
    except ProtocolError:
        return True
    return False


def main() -> None:
    """Each message, cut at each byte, with each value as its last byte."""
    page = guarded_page()
    tried = let_in = 0
    for kind in MESSAGES.values():
        message: Any = kind._make(strategies.without_buffers(strategies.example(kind)))
        control = b"".join(encode(message, CONFIG))[HEADER.size :]
        for cut in range(1, len(control) + 1):
            head = HEADER.pack(cut, CODES[kind]) + control[: cut - 1]
            for last in range(256):
                tried += 1
                let_in += not refused(page, head + bytes([last]))
    print(tried, let_in)


if __name__ == "__main__":
    main()
