"""Messages to bytes and back."""

from fastsched.config import Config
from fastsched.wire.framing import BytesLike
from fastsched.wire.messages import Message

__all__ = ["Decoder", "encode"]

def encode(message: Message, config: Config = ...) -> list[BytesLike]:
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
        One, unless there are buffers or the message is very large. Buffers are not copied: they must not change until
        they are sent.

    Raises
    ------
    SerializationError
        Something in the message is no plain data, or too large.
    """

class Decoder:
    """Bytes of one peer to messages.

    Parameters
    ----------
    config : Config
        Its limits.
    allowed : frozenset of message types
        What this peer may send.
    """

    def __init__(self, config: Config, allowed: frozenset[type]) -> None: ...
    @property
    def midway(self) -> bool:
        """Whether a message has begun and not ended: at the end of a stream that is a truncation."""

    def feed(self, data: BytesLike) -> list[Message]:
        """The messages that end in `data`. Items of batches are plain tuples of the annotated shape.

        Raises
        ------
        ProtocolError
            The peer broke a rule. The connection is to be closed; the decoder cannot be used afterwards.
        """
