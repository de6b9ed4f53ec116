"""Bytes to objects and back: framing, messages, payloads, handshake; no socket."""
