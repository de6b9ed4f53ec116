# What the decoder of frames remembers, and what `codec` asks it.

cimport cython
from libc.stdint cimport uint32_t


@cython.final
cdef class FrameDecoder:
    cdef readonly bint midway
    cdef readonly tuple packet

    cdef Py_ssize_t _frame_bytes, _control_bytes, _message_bytes
    cdef Py_ssize_t _message_buffers
    cdef bytes _head
    cdef uint32_t _word
    cdef Py_ssize_t _missing
    cdef bytearray _part
    cdef int _code
    cdef object _control
    cdef Py_ssize_t _expected
    cdef list _buffers
    cdef Py_ssize_t _taken

    cpdef Py_ssize_t take(self, object data, Py_ssize_t start) except -1
    cdef Py_ssize_t _header(self, object data, Py_ssize_t start) except -1
    cdef void _admit(self, Py_ssize_t length, int kind, Py_ssize_t count) except *
    cdef void _keep(self, object data, Py_ssize_t start, Py_ssize_t stop) except *
    cdef void _end_control(self, object data, Py_ssize_t start, Py_ssize_t stop) except *
    cdef void _end_buffer(self, object data, Py_ssize_t start, Py_ssize_t stop) except *
