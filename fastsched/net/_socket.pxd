# Sending, and the seams between messages: see _socket.pyi.

cdef extern from *:
    """
    #ifndef FASTSCHED_SEAM
    #define FASTSCHED_SEAM
    #include <errno.h>
    #include <pthread.h>
    #include <sys/socket.h>
    #include <time.h>
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif
    #define MOST_BEAT 64

    typedef struct {
        pthread_mutex_t mutex;  /* guards all below, and writing to the socket; nobody waits for anything while holding it */
        int fd;                 /* -1: closed */
        int midway;             /* a message has left in part */
        double sent;            /* when something last left */
        int size;
        int left;               /* of the beat that has left in part */
        char beat[MOST_BEAT];
    } fastsched_seam;

    static inline double fastsched_now(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double) now.tv_sec + 1e-9 * (double) now.tv_nsec;
    }

    static inline void fastsched_finish_beat(fastsched_seam *seam) {
        while (seam->left) {
            ssize_t sent = send(seam->fd, seam->beat + seam->size - seam->left, seam->left, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (sent < 0 && errno == EINTR) continue;
            if (sent <= 0) break;
            seam->left -= (int) sent;
            seam->sent = fastsched_now();
        }
    }

    /* Beat, if nothing has left for so many seconds; returns the seconds until the next beat is due, -1 if none is.
       A beat that has left pays what was owed. */
    static inline double fastsched_beat(fastsched_seam *seam, double every, int *owed) {
        double left = every;
        if (pthread_mutex_trylock(&seam->mutex)) return every;  /* somebody is sending */
        if (seam->fd < 0) left = -1;
        else if (!seam->midway) {
            left = seam->sent + every - fastsched_now();
            if (left <= 0) {
                if (!seam->left) seam->left = seam->size;
                fastsched_finish_beat(seam);
                if (seam->left == seam->size) seam->left = 0;  /* the socket is full: the peer has enough to read */
                else *owed = 0;
                left = every;
            }
        }
        pthread_mutex_unlock(&seam->mutex);
        return left;
    }
    #endif
    """
    ctypedef struct fastsched_seam:
        pass


cdef class Seam:
    cdef fastsched_seam seam

    cpdef int close(self) except -1


cpdef Py_ssize_t send_some(int fd, object pieces, Seam seam=*, bint ends=*) except -2
cpdef Py_ssize_t receive_some(int fd, object buffer) except -2
