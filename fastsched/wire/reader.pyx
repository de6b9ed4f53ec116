"""Bytes to messages, along a shape: msgpack is read and checked in one pass.

One concern: the objects of one message out of its control bytes, or a refusal. A `Shape` says what must stand where, so
bytes that say something else are refused where they do, before anything is made of them: what the peer's bytes can
make us allocate is bounded by their number. Plain data is the one place where a peer chooses the shape; there each
claimed element must be backed by a byte of its own.

No Python runs in here, and nothing that does is called: bytes that have left the socket are messages before a signal
handler can raise. Hence also no exceptions inside, only NULL and a reason, from which `read` makes a `ProtocolError`.

Called by `codec`; `shapes` makes the shapes. What `Op` and `Shape` mean is written in reader.pyi.
"""

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from cpython.object cimport PyObject
from libc.stdint cimport INT64_MAX, int8_t, int16_t, int32_t, int64_t, uint64_t
from libc.string cimport memcmp

from fastsched.errors import ProtocolError

from fastsched.wire.buffer cimport Buffer


cdef extern from "Python.h":
    ctypedef struct PyTypeObject:
        PyObject *(*tp_alloc)(PyTypeObject *, Py_ssize_t)
    PyObject *Py_None
    PyObject *Py_True
    PyObject *Py_False
    void Py_INCREF(PyObject *)
    void Py_DECREF(PyObject *)
    void Py_XDECREF(PyObject *)
    void Py_XSETREF(PyObject *, PyObject *)
    PyObject *PyTuple_New(Py_ssize_t)
    void PyTuple_SET_ITEM(PyObject *, Py_ssize_t, PyObject *)
    PyObject *PyTuple_GET_ITEM(PyObject *, Py_ssize_t)
    PyObject *PyLong_FromLongLong(long long)
    PyObject *PyLong_FromUnsignedLongLong(unsigned long long)
    PyObject *PyFloat_FromDouble(double)
    double PyFloat_Unpack4(const char *, int)
    double PyFloat_Unpack8(const char *, int)
    PyObject *PyBytes_FromStringAndSize(const char *, Py_ssize_t)
    char *PyBytes_AS_STRING(PyObject *)
    PyObject *PyUnicode_DecodeUTF8(const char *, Py_ssize_t, const char *)
    bint PyUnicode_IS_COMPACT_ASCII(PyObject *)
    Py_ssize_t PyUnicode_GET_LENGTH(PyObject *)
    void *PyUnicode_DATA(PyObject *)
    PyObject *PyDict_New()
    int PyDict_SetItem(PyObject *, PyObject *, PyObject *)
    PyObject *PyObject_CallOneArg(PyObject *, PyObject *)
    PyObject *PyErr_Occurred()
    void PyErr_Clear()
    void PyObject_GC_UnTrack(void *)

cdef enum:
    ATTACHED = 1  # the code of the extension, without content, that stands for a buffer
    REMEMBERED = 32  # bytes of a text or raw that is kept to be compared with the next

include "_reader_tokens.pxi"


@cython.final
cdef class Shape:
    """What stands in one place of a message."""

    def __cinit__(self):
        self.node.parts = NULL
        self.node.last = NULL

    def __init__(self, Op op, parts=(), int64_t low=0, int64_t high=0, bint optional=False):
        cdef Shape part
        cdef Py_ssize_t index
        if self.node.parts is not NULL:
            raise TypeError("a shape does not change")
        self.parts = tuple(parts)
        self.node.op = op
        self.node.low = low
        self.node.high = high
        self.node.optional = optional
        self.node.count = len(self.parts)
        self.node.least = 2 + high if op == Op.RAW else 3 if op == Op.FRAMES else 1
        self.node.parts = <Node **> PyMem_Malloc(max(1, self.node.count) * sizeof(Node *))
        if self.node.parts is NULL:
            raise MemoryError
        for index, part in enumerate(self.parts):
            self.node.parts[index] = &part.node
            if op == Op.FIXED:
                self.node.least += part.node.least
        if op == Op.BATCH and self.node.count != 1:
            raise ValueError("a batch has one part")
        if optional:
            self.node.least = 1

    def __dealloc__(self):
        PyMem_Free(self.node.parts)
        Py_XDECREF(self.node.last)


cdef tuple read(type kind, Shape shape, const unsigned char *data, Py_ssize_t size, tuple buffers, Limits limits):
    """A message of this kind, whose fields have this shape, and its attached buffers. Raises ProtocolError."""
    cdef Reader reader
    cdef PyObject *result
    reader.at = data
    reader.end = data + size
    reader.limits = limits
    reader.buffers = <PyObject *> buffers
    reader.count = len(buffers)
    reader.attached = 0
    reader.owed = 0
    reader.tracked = False
    reader.failure = NULL
    result = message_of(<PyTypeObject *> kind, &shape.node, &reader)
    if result is NULL:
        fail(kind, &reader, data)
    message = <tuple> result
    Py_DECREF(result)
    return message


cdef PyObject *message_of(PyTypeObject *kind, Node *node, Reader *reader) noexcept:
    """All of the bytes and all of the buffers, as a named tuple: made as `tuple.__new__` does, without the detour."""
    cdef PyObject *result
    if array_length(reader) != node.count:
        return refuse(reader, "another number of fields")
    result = kind.tp_alloc(kind, node.count)
    if result is NULL:
        return NULL
    if fill(result, node, reader):
        if reader.at != reader.end:
            refuse(reader, "more after the end")
        elif reader.attached != reader.count:
            refuse(reader, "a buffer without a place")
        else:
            return result
    Py_DECREF(result)
    return NULL


cdef int pending() except? -1:
    """Raises what the C API left."""
    return -1


cdef int fail(type kind, Reader *reader, const unsigned char *data) except -1:
    """Raises the ProtocolError."""
    cdef Py_ssize_t where = reader.at - data
    try:
        pending()
    except (MemoryError, ValueError) as error:
        raise ProtocolError(f"a {kind.__name__} message that cannot be read: {error} at byte {where}") from error
    raise ProtocolError(f"a {kind.__name__} message of the wrong shape: {reader.failure.decode()} at byte {where}")


# -- what stands in one place -----------------------------------------------------------------------------------------


cdef PyObject *value(Node *node, Reader *reader) noexcept:
    """The next value, of this shape: a new reference, or NULL."""
    cdef int64_t number
    cdef Op op = node.op
    if reader.at >= reader.end:
        return refuse(reader, "less than there should be")
    if node.optional and reader.at[0] == NIL:
        reader.at += 1
        Py_INCREF(Py_None)
        return Py_None
    if op == Op.INTEGER:
        if not integer(reader, &number):
            return NULL
        if number < node.low or number > node.high:
            return refuse(reader, "a number beyond its limits")
        return PyLong_FromLongLong(number)
    if op == Op.TEXT:
        return text(node, reader)
    if op == Op.FIXED:
        return fixed(node, reader)
    if op == Op.FRAMES:
        return frames(reader)
    if op == Op.BATCH:
        return batch(node, reader)
    if op == Op.RAW:
        return raw(node, reader)
    if op == Op.TRUTH:
        return truth(reader)
    return plain(reader, reader.limits.depth)


cdef bint fill(PyObject *result, Node *node, Reader *reader) noexcept:
    """The elements of a tuple of fixed length."""
    cdef Py_ssize_t index
    cdef PyObject *part
    for index in range(node.count):
        part = value(node.parts[index], reader)
        if part is NULL:
            return False
        PyTuple_SET_ITEM(result, index, part)
    return True


cdef PyObject *fixed(Node *node, Reader *reader) noexcept:
    cdef PyObject *result
    cdef bint before = reader.tracked
    if array_length(reader) != node.count:
        return refuse(reader, "another number of elements")
    result = PyTuple_New(node.count)
    if result is NULL:
        return NULL
    reader.tracked = False
    if not fill(result, node, reader):
        Py_DECREF(result)
        return NULL
    return settled(result, reader, before)


cdef PyObject *batch(Node *node, Reader *reader) noexcept:
    cdef Node *each = node.parts[0]
    cdef Py_ssize_t index, count = array_length(reader)
    cdef PyObject *result
    cdef PyObject *part
    cdef bint before = reader.tracked
    if count < 0:
        return refuse(reader, "no batch")
    if <int64_t> count * each.least > reader.end - reader.at:
        return refuse(reader, "a batch that claims more than there is")
    result = PyTuple_New(count)
    if result is NULL or count == 0:
        return result
    reader.tracked = False
    for index in range(count):
        part = value(each, reader)
        if part is NULL:
            Py_DECREF(result)
            return NULL
        PyTuple_SET_ITEM(result, index, part)
    return settled(result, reader, before)


cdef inline PyObject *settled(PyObject *result, Reader *reader, bint before) noexcept:
    """What holds nothing but numbers, texts and bytes is in no cycle: as the garbage collector itself would, at its
    first sight of this tuple, take it out of what it looks at. `before`: `tracked`, before this tuple was begun."""
    if not reader.tracked:
        PyObject_GC_UnTrack(result)
        reader.tracked = before
    return result


cdef PyObject *frames(Reader *reader) noexcept:
    cdef Py_ssize_t index, count = array_length(reader)
    cdef PyObject *result
    cdef PyObject *piece
    cdef bint before = reader.tracked
    if count < 1 or 2 * count > reader.end - reader.at:
        return refuse(reader, "no pickled value")
    result = PyTuple_New(count)
    if result is NULL:
        return NULL
    reader.tracked = False
    for index in range(count):
        piece = frame(reader)
        if piece is NULL:
            Py_DECREF(result)
            return NULL
        PyTuple_SET_ITEM(result, index, piece)
    return settled(result, reader, before)


cdef inline PyObject *frame(Reader *reader) noexcept:
    """Bytes, or one of the message's buffers: they are named in the order in which they came."""
    cdef const unsigned char *at = reader.at
    cdef Py_ssize_t length
    if reader.end - at < 2:
        return refuse(reader, "less than there should be")
    if at[0] == EXTENSION_8:
        if reader.end - at < 3 or at[1] != 0 or at[2] != ATTACHED:
            return refuse(reader, "an extension that names no buffer")
        if reader.attached == reader.count:
            return refuse(reader, "a buffer that did not come")
        reader.at += 3
        reader.attached += 1
        reader.tracked = True
        return PyObject_CallOneArg(<PyObject *> Buffer, PyTuple_GET_ITEM(reader.buffers, reader.attached - 1))
    length = raw_length(reader)
    if length < 0:
        return NULL
    reader.at += length
    return PyBytes_FromStringAndSize(<const char *> reader.at - length, length)


cdef inline PyObject *truth(Reader *reader) noexcept:
    cdef unsigned char first = reader.at[0]
    cdef PyObject *result = Py_True if first == TRUE else Py_False
    if first != TRUE and first != FALSE:
        return refuse(reader, "no bool")
    reader.at += 1
    Py_INCREF(result)
    return result


cdef inline PyObject *text(Node *node, Reader *reader) noexcept:
    """A text. If it is short and the same as the last in this place it is the same object: names of types repeat."""
    cdef Py_ssize_t length = text_length(reader)
    cdef PyObject *result = node.last
    if length < 0:
        return NULL
    if (
        result is not NULL
        and PyUnicode_GET_LENGTH(result) == length
        and memcmp(PyUnicode_DATA(result), reader.at, length) == 0
    ):
        reader.at += length
        Py_INCREF(result)
        return result
    result = decoded(reader, length)
    if result is not NULL and length <= REMEMBERED and PyUnicode_IS_COMPACT_ASCII(result):
        Py_INCREF(result)
        Py_XSETREF(node.last, result)
    return result


cdef inline PyObject *raw(Node *node, Reader *reader) noexcept:
    """Bytes, remembered like texts if their length is fixed: the tasks of a batch often call one function."""
    cdef Py_ssize_t length = raw_length(reader)
    cdef PyObject *result = node.last
    if length < 0:
        return NULL
    if node.high and length != node.high:
        return refuse(reader, "bytes of another length")
    if result is not NULL and memcmp(PyBytes_AS_STRING(result), reader.at, length) == 0:
        reader.at += length
        Py_INCREF(result)
        return result
    result = PyBytes_FromStringAndSize(<const char *> reader.at, length)
    reader.at += length
    if result is not NULL and 0 < node.high <= REMEMBERED:
        Py_INCREF(result)
        Py_XSETREF(node.last, result)
    return result


# -- plain data -------------------------------------------------------------------------------------------------------


cdef PyObject *plain(Reader *reader, int depth) noexcept:
    """Whatever msgpack stands here, with nothing but texts as the keys of maps, and no extensions."""
    cdef unsigned char first
    cdef Py_ssize_t length
    cdef uint64_t natural
    cdef int64_t number
    if reader.at >= reader.end:
        return refuse(reader, "less than there should be")
    first = reader.at[0]
    if first == NIL:
        reader.at += 1
        Py_INCREF(Py_None)
        return Py_None
    if first == TRUE or first == FALSE:
        return truth(reader)
    if FIXED_ARRAY <= first < FIXED_TEXT or ARRAY_16 <= first < MAP_16:
        return plain_array(reader, depth)
    if FIXED_MAP <= first < FIXED_ARRAY or MAP_16 <= first < NEGATIVE:
        return plain_map(reader, depth)
    if FIXED_TEXT <= first < NIL or TEXT_8 <= first < ARRAY_16:
        length = text_length(reader)
        return NULL if length < 0 else decoded(reader, length)
    if RAW_8 <= first < EXTENSION_8:
        length = raw_length(reader)
        reader.at += max(0, length)
        return NULL if length < 0 else PyBytes_FromStringAndSize(<const char *> reader.at - length, length)
    if first == FLOAT_32 or first == FLOAT_64:
        return plain_float(reader, 4 if first == FLOAT_32 else 8)
    if first == UNSIGNED_64:
        return PyLong_FromUnsignedLongLong(natural) if big_endian(reader, 8, &natural) else NULL
    return PyLong_FromLongLong(number) if integer(reader, &number) else NULL


cdef PyObject *plain_float(Reader *reader, int width) noexcept:
    cdef uint64_t bits
    cdef const char *at = <const char *> reader.at + 1
    if not big_endian(reader, width, &bits):
        return NULL
    return PyFloat_FromDouble(PyFloat_Unpack4(at, 0) if width == 4 else PyFloat_Unpack8(at, 0))


cdef bint claim(Reader *reader, Py_ssize_t count, int depth) noexcept:
    """May so many elements come next? Each, and each that was claimed around them, needs a byte of its own."""
    if depth <= 0:
        refuse(reader, "plain data that is nested too deep")
    elif reader.owed + count > reader.end - reader.at:
        refuse(reader, "plain data that claims more than there is")
    else:
        reader.owed += count
        return True
    return False


cdef PyObject *plain_array(Reader *reader, int depth) noexcept:
    cdef Py_ssize_t index, count = array_length(reader)
    cdef PyObject *result
    cdef PyObject *part
    cdef bint before = reader.tracked
    if count < 0 or not claim(reader, count, depth):
        return NULL
    result = PyTuple_New(count)
    if result is NULL or count == 0:
        return result
    reader.tracked = False
    for index in range(count):
        reader.owed -= 1
        part = plain(reader, depth - 1)
        if part is NULL:
            Py_DECREF(result)
            return NULL
        PyTuple_SET_ITEM(result, index, part)
    return settled(result, reader, before)


cdef PyObject *plain_map(Reader *reader, int depth) noexcept:
    cdef Py_ssize_t _index, count = map_length(reader)
    cdef PyObject *result
    if count < 0 or not claim(reader, 2 * count, depth):
        return NULL
    result = PyDict_New()
    if result is NULL:
        return NULL
    reader.tracked = True
    for _index in range(count):
        reader.owed -= 2
        if not plain_entry(result, reader, depth):
            Py_DECREF(result)
            return NULL
    return result


cdef bint plain_entry(PyObject *result, Reader *reader, int depth) noexcept:
    """One key and its value."""
    cdef Py_ssize_t length = text_length(reader)
    cdef PyObject *key
    cdef PyObject *part
    cdef bint good
    if length < 0:
        return False
    key = decoded(reader, length)
    if key is NULL:
        return False
    part = plain(reader, depth - 1)
    good = part is not NULL and PyDict_SetItem(result, key, part) == 0
    Py_DECREF(key)
    Py_XDECREF(part)
    return good


cdef inline PyObject *decoded(Reader *reader, Py_ssize_t length) noexcept:
    """The next bytes as a text. The name of a file in a traceback holds surrogates if it is no UTF-8."""
    cdef const char *start = <const char *> reader.at
    reader.at += length
    return PyUnicode_DecodeUTF8(start, length, "surrogatepass")
