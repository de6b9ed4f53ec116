"""Reading and writing a non-blocking socket without letting go of the interpreter lock.

One concern: four system calls. Each takes about a microsecond; to let go of the lock for so long, and to ask for it
back, costs more than that as soon as another thread wants it. Only pieces that take longer to copy are sent without
it. Described in _socket.pyi. Imports nothing of fastsched.
"""

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EAGAIN, EINTR, errno

cdef extern from *:
    """
    #include <sys/types.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <string.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #define MOST_PIECES 64
    static ssize_t fastsched_send(int fd, struct iovec *pieces, int n) {
        struct msghdr message;
        if (n == 1) return send(fd, pieces[0].iov_base, pieces[0].iov_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        memset(&message, 0, sizeof(message));
        message.msg_iov = pieces;
        message.msg_iovlen = n;
        return sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    static ssize_t fastsched_recv(int fd, void *buffer, size_t size) {
        return recv(fd, buffer, size, MSG_DONTWAIT);
    }
    """
    cdef struct iovec:
        void *iov_base
        size_t iov_len
    const int MOST_PIECES
    ssize_t fastsched_send(int fd, iovec *pieces, int n) nogil
    ssize_t fastsched_recv(int fd, void *buffer, size_t size) nogil

cdef size_t LONG = 64 << 10  # bytes that take longer to copy than a hand-over of the interpreter lock


cpdef Py_ssize_t send_some(int fd, object pieces) except -2:
    cdef Py_buffer views[MOST_PIECES]
    cdef iovec vector[MOST_PIECES]
    cdef int n = 0, i
    cdef size_t size = 0
    cdef ssize_t sent
    try:
        for piece in pieces:
            PyObject_GetBuffer(piece, &views[n], PyBUF_SIMPLE)
            vector[n].iov_base = views[n].buf
            vector[n].iov_len = views[n].len
            size += views[n].len
            n += 1
            if n == MOST_PIECES:
                break
        while True:
            if size < LONG:
                sent = fastsched_send(fd, vector, n)
            else:
                with nogil:
                    sent = fastsched_send(fd, vector, n)
            if sent >= 0 or errno != EINTR:
                break
        if sent < 0:
            if errno == EAGAIN:
                return -1
            PyErr_SetFromErrno(OSError)
        return sent
    finally:
        for i in range(n):
            PyBuffer_Release(&views[i])


cpdef Py_ssize_t receive_some(int fd, object buffer) except -2:
    cdef Py_buffer view
    cdef ssize_t got
    PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
    try:
        while True:
            got = fastsched_recv(fd, view.buf, view.len)
            if got >= 0 or errno != EINTR:
                break
        if got < 0:
            if errno == EAGAIN:
                return -1
            PyErr_SetFromErrno(OSError)
        return got
    finally:
        PyBuffer_Release(&view)
