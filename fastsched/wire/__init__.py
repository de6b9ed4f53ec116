"""Bytes to objects and back, without I/O: messages, framing, codec, handshake, payload (the only pickle) and keys."""
