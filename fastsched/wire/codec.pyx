"""Messages to bytes and back.

One concern: the bytes of a message and whether they are a message at all. Out: msgpack of the named tuple as it
stands; `Buffer` objects leave beside it. In: nothing reaches a machine that is not of exactly the shape that
`messages` annotates, allowed for the peer's role, and within the limits of `Config`. Whatever is wrong with the bytes,
it is a `ProtocolError`.

Neither way runs Python, so a signal handler cannot raise between the bytes and the message (docs/decisions/0005).
Called by `net`; what it promises is written in codec.pyi. `writer` and `reader` know msgpack, `framing` what stands
around it, `shapes` what must stand in a message.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t, uint32_t

from fastsched.config import Config
from fastsched.errors import ProtocolError, SerializationError
from fastsched.wire import framing, shapes
from fastsched.wire.catalogue import CODES, MESSAGES

from fastsched.wire.reader cimport Limits, Shape, read
from fastsched.wire.writer cimport packed
from fastsched.wire.framing cimport FrameDecoder

__all__ = ["Decoder", "encode"]


cdef extern from "Python.h":
    int PyGC_Disable() noexcept
    int PyGC_Enable() noexcept

cdef enum:
    HEADER = 8         # bytes of a frame's header
    NESTED_MOST = 500  # plain data is read by recursion: whatever `Config.depth` says, the C stack has an end

cdef Py_ssize_t LONGEST = 0xFFFFFFFF  # payload that a header can announce
cdef Py_ssize_t FIRST_CODE = framing.FIRST_CODE
cdef Py_ssize_t LAST_CODE = framing.LAST_CODE
cdef dict codes = CODES
DEFAULTS = Config()

ctypedef struct Most:  # see Config
    Py_ssize_t frame_bytes
    Py_ssize_t control_bytes
    Py_ssize_t message_buffers

# The last `Config` that was asked for its limits: a process has one, and its fields are slow to look up.
cdef object known_config = None
cdef Most known_most


# -- messages to bytes ------------------------------------------------------------------------------------------------


def encode(message, config=DEFAULTS):
    """The bytes of a message, as pieces for one vectored write. Thread-safe."""
    cdef list attached = []
    cdef bytes control
    cdef Py_ssize_t size
    cdef Most most = most_of(config)
    code = codes.get(type(message))
    if code is None:
        raise SerializationError(f"a {type(message).__name__} is no message")
    try:
        control = packed(message, HEADER, attached)
    except (TypeError, ValueError, OverflowError, BufferError, RecursionError) as error:
        raise SerializationError(f"cannot encode a {type(message).__name__} message: {error}") from error
    size = len(control) - HEADER
    if size > most.control_bytes or len(attached) > most.message_buffers:
        return [piece for half in halves(message, config) for piece in encode(half, config)]
    if size > most.frame_bytes:
        pieces = framing.frames_of(memoryview(control)[HEADER:], code, len(attached), most.frame_bytes)
    else:
        write_header(<uint8_t *> PyBytes_AS_STRING(control), size, code, len(attached))
        pieces = [control]
    for view in attached:
        pieces += framing.frames_of(view, framing.BUFFER, 0, most.frame_bytes)
    return pieces


cdef Most most_of(config) except *:
    """How large what we send may be."""
    global known_config, known_most
    cdef Most most
    if config is known_config:
        return known_most
    most.frame_bytes = min(config.frame_bytes, LONGEST)
    most.control_bytes = config.control_bytes
    most.message_buffers = config.message_buffers
    known_most, known_config = most, config
    return most


cdef tuple halves(message, config):
    """Two messages that say together, and in the same order, what this one says."""
    kind = type(message)
    places = shapes.batches(kind)
    for place in places:
        if not isinstance(message[place], (tuple, list)):
            raise SerializationError(f"cannot encode a {kind.__name__} message: its {kind._fields[place]} are no batch")
    total = sum([len(message[place]) for place in places])
    if total < 2:
        raise SerializationError(
            f"a {kind.__name__} message is over {config.control_bytes} bytes or {config.message_buffers} buffers"
        )
    first, second = list(message), list(message)
    left = total // 2
    for place in places:
        batch = message[place]
        first[place], second[place] = batch[:left], batch[left:]
        left = max(0, left - len(batch))
    return tuple.__new__(kind, first), tuple.__new__(kind, second)


cdef void write_header(uint8_t *at, uint32_t length, uint32_t kind, uint32_t count) noexcept:
    """See `framing`: little endian."""
    cdef int index
    cdef uint32_t word = count << 8 | kind
    for index in range(4):
        at[index] = length >> 8 * index & 0xFF
        at[4 + index] = word >> 8 * index & 0xFF


# -- bytes to messages ------------------------------------------------------------------------------------------------


cdef inline uint32_t number(const uint8_t *at) noexcept:
    return <uint32_t> at[0] | <uint32_t> at[1] << 8 | <uint32_t> at[2] << 16 | <uint32_t> at[3] << 24


@cython.final
cdef class Admitted:
    """A kind of message that the peer may send."""

    cdef type kind
    cdef Shape shape

    def __init__(self, kind):
        self.kind = kind
        self.shape = shapes.shape(kind)


@cython.final
cdef class Decoder:
    """Bytes of one peer to messages."""

    cdef list _admitted  # by code
    cdef FrameDecoder _frames
    cdef Limits _limits
    cdef Py_ssize_t _whole_bytes  # a frame up to this size can be a message
    cdef bint _broken

    def __init__(self, config, allowed):
        self._admitted = [None] * 256
        for kind in allowed:
            self._admitted[CODES[kind]] = Admitted(kind)  # compiles its shape now: that is Python
        self._frames = FrameDecoder(config)
        self._limits.array_items = config.array_items
        self._limits.map_items = config.map_items
        self._limits.depth = min(config.depth, NESTED_MOST)
        self._whole_bytes = min(config.frame_bytes, config.control_bytes)
        self._broken = False

    @property
    def midway(self):
        """Whether a message has begun and not ended: at the end of a stream that is a truncation."""
        return self._frames.midway

    def feed(self, data):
        """The messages that end in `data`. Items of batches are plain tuples of the annotated shape."""
        cdef list messages = []
        cdef Py_buffer view
        cdef bint collecting
        if self._broken:
            raise ProtocolError("this peer broke a rule before")
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        collecting = PyGC_Disable()  # a collection could run anything, also what reads into the memory of `data`
        self._broken = True
        try:
            self._read(data, <const uint8_t *> view.buf, view.len, messages)
            self._broken = False
        finally:
            if collecting:
                PyGC_Enable()
            PyBuffer_Release(&view)
        return messages

    cdef int _read(self, object data, const uint8_t *bytes_, Py_ssize_t end, list messages) except -1:
        cdef Py_ssize_t length, start = 0
        cdef uint32_t word
        while start < end:
            if not self._frames.midway and end - start >= HEADER:
                length, word = number(bytes_ + start), number(bytes_ + start + 4)
                if FIRST_CODE <= word <= LAST_CODE and length <= min(end - start - HEADER, self._whole_bytes):
                    # a whole message without buffers: read where it lies
                    start += HEADER
                    messages.append(self._message(word, bytes_ + start, length, ()))
                    start += length
                    continue
            start = self._frames.take(data, start)
            if self._frames.packet is not None:
                messages.append(self._message_of(self._frames.packet))
        return 0

    cdef tuple _message_of(self, tuple packet):
        """What came in pieces, or with buffers."""
        cdef Py_buffer view
        code, control, buffers = packet
        PyObject_GetBuffer(control, &view, PyBUF_SIMPLE)
        try:
            return self._message(code, <const uint8_t *> view.buf, view.len, buffers)
        finally:
            PyBuffer_Release(&view)

    cdef tuple _message(self, Py_ssize_t code, const uint8_t *control, Py_ssize_t size, tuple buffers):
        cdef Admitted admitted = self._admitted[code]
        if admitted is None:
            kind = MESSAGES.get(code)
            if kind is None:
                raise ProtocolError(f"no message has the code {code}")
            raise ProtocolError(f"this peer may not send {kind.__name__}")
        return read(admitted.kind, admitted.shape, control, size, buffers, self._limits)
