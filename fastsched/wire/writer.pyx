"""Messages to bytes: msgpack of tuples, texts, numbers and what else a message may hold.

One concern: the control bytes of one message, as one object, with room for the frame's header in front. No Python runs
in here and no other thread, so nothing is shared, locked or copied on the way: bytes are collected on the C stack, and
once they are more, in the bytes object that is given out in the end.

A `Buffer` stays outside: an extension without content (`ATTACHED`) stands for it, and it is appended to a list. Called
by `codec`.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Check, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_Check, PyBytes_CheckExact, PyBytes_FromStringAndSize
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.dict cimport PyDict_Check, PyDict_Next, PyDict_Size
from cpython.float cimport PyFloat_AS_DOUBLE, PyFloat_Check
from cpython.list cimport PyList_Check, PyList_GET_ITEM, PyList_GET_SIZE
from cpython.long cimport PyLong_AsLongLongAndOverflow, PyLong_AsUnsignedLongLong, PyLong_Check
from cpython.memoryview cimport PyMemoryView_Check
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_Check, PyTuple_GET_ITEM, PyTuple_GET_SIZE
from cpython.unicode cimport PyUnicode_AsEncodedString, PyUnicode_Check
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from fastsched.wire.buffer cimport Buffer


cdef extern from "Python.h":
    int _PyBytes_Resize(PyObject **, Py_ssize_t) except -1
    void Py_XDECREF(PyObject *)
    void Py_INCREF(PyObject *)
    bint PyLong_CheckExact(object)
    bint PyUnicode_IS_COMPACT_ASCII(object)
    Py_ssize_t PyUnicode_GET_LENGTH(object)
    void *PyUnicode_DATA(object)
    int PyFloat_Pack8(double, char *, int) except -1
    int PyGC_Disable() noexcept
    int PyGC_Enable() noexcept

cdef enum:
    ON_THE_STACK = 1024  # a message of one task has 100 to 300 bytes
    NESTED_MOST = 500    # of tuples and dicts: what points to itself must end somewhere; a peer takes far less

ctypedef struct Writer:
    uint8_t *at
    uint8_t *end
    uint8_t *start
    PyObject *held      # the bytes object that all stands in, NULL: it stands on the stack
    PyObject *attached  # a list, borrowed


cdef bytes packed(object value, Py_ssize_t room, list attached):
    """`room` bytes that the caller fills, then the msgpack of a value. The views of its buffers go to `attached`.

    Raises TypeError, ValueError, OverflowError, BufferError or RecursionError: there is something in the value that is
    no plain data.
    """
    cdef uint8_t[ON_THE_STACK] stack
    cdef Writer writer
    cdef bint collecting
    writer.start = stack
    writer.at = stack + room
    writer.end = stack + ON_THE_STACK
    writer.held = NULL
    writer.attached = <PyObject *> attached
    collecting = PyGC_Disable()  # a collection could run anything, also what changes the list that is being read here
    try:
        put(&writer, value, NESTED_MOST)
        if writer.held is NULL:
            return PyBytes_FromStringAndSize(<char *> stack, writer.at - stack)
        _PyBytes_Resize(&writer.held, writer.at - writer.start)
        return <bytes> writer.held
    finally:
        if collecting:
            PyGC_Enable()
        Py_XDECREF(writer.held)


cdef int grow(Writer *writer, Py_ssize_t more) except -1:
    """Twice the space, or as much as is needed."""
    cdef Py_ssize_t used = writer.at - writer.start
    cdef Py_ssize_t size = max(2 * (writer.end - writer.start), used + more)
    cdef PyObject *held = writer.held
    if held is NULL:
        room = PyBytes_FromStringAndSize(NULL, size)
        memcpy(PyBytes_AS_STRING(room), writer.start, used)
        Py_INCREF(<PyObject *> room)
        writer.held = <PyObject *> room
    else:
        _PyBytes_Resize(&writer.held, size)
    writer.start = <uint8_t *> PyBytes_AS_STRING(<object> writer.held)
    writer.at = writer.start + used
    writer.end = writer.start + size
    return 0


cdef inline int reserve(Writer *writer, Py_ssize_t more) except -1:
    return grow(writer, more) if writer.end - writer.at < more else 0


# -- values, the most frequent first ----------------------------------------------------------------------------------


cdef int put(Writer *writer, object value, int depth) except -1:
    if PyLong_CheckExact(value):
        return put_integer(writer, value)
    if PyUnicode_Check(value):
        return put_text(writer, value)
    if PyBytes_CheckExact(value):
        return put_raw(writer, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    if PyTuple_Check(value):
        return put_tuple(writer, value, depth)
    if value is None:
        return put_byte(writer, 0xC0)
    if value is True:
        return put_byte(writer, 0xC3)
    if value is False:
        return put_byte(writer, 0xC2)
    if PyLong_Check(value):  # a member of an IntEnum
        return put_integer(writer, value)
    if type(value) is Buffer:
        return put_attached(writer, <Buffer> value)
    if PyFloat_Check(value):
        return put_float(writer, PyFloat_AS_DOUBLE(value))
    if PyList_Check(value):
        return put_list(writer, value, depth)
    if PyDict_Check(value):
        return put_map(writer, value, depth)
    if PyBytes_Check(value):  # its bytes themselves: a subclass may offer others, by Python code
        return put_raw(writer, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value))
    if PyByteArray_Check(value):
        return put_raw(writer, PyByteArray_AS_STRING(value), PyByteArray_GET_SIZE(value))
    if PyMemoryView_Check(value):
        return put_view(writer, value)
    raise TypeError(f"a {type(value).__name__} is no plain data")


cdef int put_byte(Writer *writer, uint8_t byte) except -1:
    reserve(writer, 1)
    writer.at[0] = byte
    writer.at += 1
    return 0


cdef inline void big_endian(Writer *writer, uint8_t first, int width, uint64_t number) noexcept:
    """A byte, and a number of `width` bytes behind it, for which there is space."""
    cdef int index
    writer.at[0] = first
    for index in range(width, 0, -1):
        writer.at[index] = number & 0xFF
        number >>= 8
    writer.at += 1 + width


cdef int put_integer(Writer *writer, object value) except -1:
    cdef int overflow = 0
    cdef int64_t number = PyLong_AsLongLongAndOverflow(value, &overflow)
    reserve(writer, 9)
    if overflow > 0:
        big_endian(writer, 0xCF, 8, PyLong_AsUnsignedLongLong(value))
    elif overflow < 0:
        raise OverflowError("an integer of more than 64 bits")
    elif number >= 0:
        if number < 0x80:
            big_endian(writer, number, 0, 0)
        elif number < 0x100:
            big_endian(writer, 0xCC, 1, number)
        elif number < 0x10000:
            big_endian(writer, 0xCD, 2, number)
        elif number < 0x100000000:
            big_endian(writer, 0xCE, 4, number)
        else:
            big_endian(writer, 0xCF, 8, number)
    elif number >= -0x20:
        big_endian(writer, number & 0xFF, 0, 0)
    elif number >= -0x80:
        big_endian(writer, 0xD0, 1, number)
    elif number >= -0x8000:
        big_endian(writer, 0xD1, 2, number)
    elif number >= -0x80000000:
        big_endian(writer, 0xD2, 4, number)
    else:
        big_endian(writer, 0xD3, 8, number)
    return 0


cdef int put_float(Writer *writer, double number) except -1:
    reserve(writer, 9)
    writer.at[0] = 0xCB
    PyFloat_Pack8(number, <char *> writer.at + 1, 0)
    writer.at += 9
    return 0


cdef int put_text(Writer *writer, object value) except -1:
    if PyUnicode_IS_COMPACT_ASCII(value):
        return put_utf8(writer, <char *> PyUnicode_DATA(value), PyUnicode_GET_LENGTH(value))
    encoded = PyUnicode_AsEncodedString(value, "utf-8", "surrogatepass")
    return put_utf8(writer, PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded))


cdef int put_utf8(Writer *writer, const char *data, Py_ssize_t length) except -1:
    reserve(writer, 5 + length)
    if length < 0x20:
        big_endian(writer, 0xA0 | length, 0, 0)
    else:
        put_length(writer, 0xD9, length)
    memcpy(writer.at, data, length)
    writer.at += length
    return 0


cdef int put_raw(Writer *writer, const char *data, Py_ssize_t length) except -1:
    reserve(writer, 5 + length)
    put_length(writer, 0xC4, length)
    memcpy(writer.at, data, length)
    writer.at += length
    return 0


cdef inline int put_length(Writer *writer, uint8_t first, Py_ssize_t length) except -1:
    """Of a text or bytes. `first`: the byte that announces a length of one byte."""
    if length < 0x100:
        big_endian(writer, first, 1, length)
    elif length < 0x10000:
        big_endian(writer, first + 1, 2, length)
    elif length <= 0xFFFFFFFF:
        big_endian(writer, first + 2, 4, length)
    else:
        raise OverflowError("a text or bytes of more than 4 GiB")
    return 0


cdef int put_view(Writer *writer, object value) except -1:
    """A memoryview."""
    cdef Py_buffer view
    PyObject_GetBuffer(value, &view, PyBUF_SIMPLE)
    try:
        return put_raw(writer, <char *> view.buf, view.len)
    finally:
        PyBuffer_Release(&view)


cdef int put_attached(Writer *writer, Buffer buffer) except -1:
    (<list> writer.attached).append(buffer.view)
    reserve(writer, 3)
    writer.at[0] = 0xC7  # an extension without content, of code 1
    writer.at[1] = 0
    writer.at[2] = 1
    writer.at += 3
    return 0


# -- what holds values ------------------------------------------------------------------------------------------------


cdef inline int put_count(Writer *writer, uint8_t small, uint8_t first, Py_ssize_t count, int depth) except -1:
    """Of a tuple or dict. `small`: the byte for none; `first`: the byte that announces a count of two bytes."""
    if depth <= 0:
        raise RecursionError(f"tuples and dicts nest deeper than {NESTED_MOST}")
    reserve(writer, 5)
    if count < 0x10:
        big_endian(writer, small | count, 0, 0)
    elif count < 0x10000:
        big_endian(writer, first, 2, count)
    elif count <= 0xFFFFFFFF:
        big_endian(writer, first + 1, 4, count)
    else:
        raise OverflowError("a tuple or dict of more than 32 bits")
    return 0


cdef int put_tuple(Writer *writer, object value, int depth) except -1:
    cdef Py_ssize_t index, count = PyTuple_GET_SIZE(value)
    put_count(writer, 0x90, 0xDC, count, depth)
    for index in range(count):
        put(writer, <object> PyTuple_GET_ITEM(value, index), depth - 1)
    return 0


cdef int put_list(Writer *writer, object value, int depth) except -1:
    cdef Py_ssize_t index, count = PyList_GET_SIZE(value)
    put_count(writer, 0x90, 0xDC, count, depth)
    for index in range(count):
        put(writer, <object> PyList_GET_ITEM(value, index), depth - 1)
    return 0


cdef int put_map(Writer *writer, object value, int depth) except -1:
    cdef Py_ssize_t place = 0
    cdef PyObject *key
    cdef PyObject *part
    put_count(writer, 0x80, 0xDE, PyDict_Size(value), depth)
    while PyDict_Next(value, &place, &key, &part):
        if not PyUnicode_Check(<object> key):
            raise TypeError(f"a {type(<object> key).__name__} is no key of plain data: that is a text")
        put_text(writer, <object> key)
        put(writer, <object> part, depth - 1)
    return 0
