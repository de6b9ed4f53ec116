"""Reading and writing a non-blocking socket without letting go of the interpreter lock.

One concern: four system calls, and the seams between messages. Each call takes about a microsecond; to let go of the
lock for so long, and to ask for it back, costs more than that as soon as another thread wants it. Only pieces that take
longer to copy are sent without it. Described in _socket.pyi. Imports nothing of fastsched.
"""

cimport cython

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
    /* The same at a seam; `ends`: the last piece is the end of a message. */
    static ssize_t fastsched_send_at(fastsched_seam *seam, int fd, struct iovec *pieces, int n, size_t size, int ends) {
        ssize_t sent = -1;
        int kept;
        pthread_mutex_lock(&seam->mutex);
        if (seam->left) fastsched_finish_beat(seam);
        if (seam->left) errno = EAGAIN;
        else sent = fastsched_send(fd, pieces, n);
        if (sent > 0) {
            seam->midway = (size_t) sent < size || !ends;
            seam->sent = fastsched_now();
        }
        kept = errno;
        pthread_mutex_unlock(&seam->mutex);
        errno = kept;
        return sent;
    }
    static void fastsched_open_seam(fastsched_seam *seam, int fd, const char *beat, int size, int midway) {
        memset(seam, 0, sizeof(*seam));
        pthread_mutex_init(&seam->mutex, NULL);
        seam->fd = fd;
        seam->midway = midway;
        seam->sent = fastsched_now();
        seam->size = size;
        memcpy(seam->beat, beat, size);
    }
    static void fastsched_close_seam(fastsched_seam *seam) {
        pthread_mutex_lock(&seam->mutex);
        seam->fd = -1;
        pthread_mutex_unlock(&seam->mutex);
    }
    static ssize_t fastsched_recv(int fd, void *buffer, size_t size) {
        return recv(fd, buffer, size, MSG_DONTWAIT);
    }
    """
    cdef struct iovec:
        void *iov_base
        size_t iov_len
    const int MOST_PIECES
    const int MOST_BEAT
    ssize_t fastsched_send(int fd, iovec *pieces, int n) nogil
    ssize_t fastsched_send_at(fastsched_seam *seam, int fd, iovec *pieces, int n, size_t size, int ends) nogil
    void fastsched_open_seam(fastsched_seam *seam, int fd, const char *beat, int size, int midway)
    void fastsched_close_seam(fastsched_seam *seam)
    ssize_t fastsched_recv(int fd, void *buffer, size_t size) nogil

cdef size_t LONG = 64 << 10  # bytes that take longer to copy than a hand-over of the interpreter lock


@cython.final
cdef class Seam:

    def __cinit__(self, int fd, bytes beat, bint midway=False):
        if len(beat) > MOST_BEAT:
            raise ValueError(f"a beat has at most {MOST_BEAT} bytes, not {len(beat)}")
        fastsched_open_seam(&self.seam, fd, <const char *> beat, <int> len(beat), midway)

    cpdef int close(self) except -1:
        fastsched_close_seam(&self.seam)
        return 0


cpdef Py_ssize_t send_some(int fd, object pieces, Seam seam=None, bint ends=True) except -2:
    cdef Py_buffer views[MOST_PIECES]
    cdef iovec vector[MOST_PIECES]
    cdef int n = 0, i
    cdef size_t size = 0
    cdef ssize_t sent
    cdef fastsched_seam *at = NULL if seam is None else &seam.seam
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
            if size >= LONG:
                with nogil:
                    sent = fastsched_send(fd, vector, n) if at == NULL else fastsched_send_at(at, fd, vector, n, size, ends)
            elif at == NULL:
                sent = fastsched_send(fd, vector, n)
            else:
                sent = fastsched_send_at(at, fd, vector, n, size, ends)
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
