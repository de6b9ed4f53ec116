# Shapes as the reader walks them, and what it needs to know while it reads.

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

cpdef enum Op:  # what kind of value stands in a place
    INTEGER = 0  # within limits
    TEXT = 1
    RAW = 2      # bytes of a length
    TRUTH = 3
    FRAMES = 4   # a pickled value: one or more bytes or buffers
    PLAIN = 5    # plain data of limited depth
    FIXED = 6    # a tuple with a shape for each element
    BATCH = 7    # a tuple of any length, one shape for all

cdef struct Node:  # a Shape, for C
    Op op
    bint optional     # None may stand here too
    int64_t low       # INTEGER: limits
    int64_t high      # RAW: also the length
    Py_ssize_t count  # of parts
    Node **parts
    Py_ssize_t least  # bytes that a value takes at the least
    PyObject *last    # TEXT, RAW: what was read here before, NULL: nothing

ctypedef struct Limits:  # see Config
    Py_ssize_t array_items
    Py_ssize_t map_items
    int depth


@cython.final
cdef class Shape:
    cdef Node node
    cdef readonly tuple parts  # owns the nodes that `node` points to

cdef tuple read(type kind, Shape shape, const unsigned char *data, Py_ssize_t size, tuple buffers, Limits limits)
