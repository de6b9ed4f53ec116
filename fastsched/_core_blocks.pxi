"""C memory that Python may look at: who owns it, and how it shows (PEP 3118).

So numpy can look at it without being imported here.
"""


cdef class Block:
    """C memory, freed with the last view of it."""

    def __dealloc__(self):
        free(self.data)

    @staticmethod
    cdef Block adopt(void *data):
        """Take ownership of memory that came from malloc."""
        cdef Block block = Block.__new__(Block)
        block.data = data
        return block


@cython.final
cdef class _View:
    """Numbers within a block: one or two dimensions, with a stride, read-only."""

    cdef Block block
    cdef char *start
    cdef const char *format
    cdef Py_ssize_t itemsize
    cdef int ndim
    cdef Py_ssize_t shape[2]
    cdef Py_ssize_t strides[2]

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        if flags & PyBUF_WRITABLE:
            raise BufferError("the core's tables are read-only")
        if flags & PyBUF_STRIDES != PyBUF_STRIDES:
            raise BufferError("a view of the core has strides")
        buffer.buf = self.start
        buffer.obj = self
        buffer.len = self.shape[0] * (self.shape[1] if self.ndim == 2 else 1) * self.itemsize
        buffer.itemsize = self.itemsize
        buffer.readonly = 1
        buffer.ndim = self.ndim
        buffer.format = <char *> self.format
        buffer.shape = self.shape
        buffer.strides = self.strides
        buffer.suboffsets = NULL
        buffer.internal = NULL


cdef _View column(Block block, void *first, int64_t n, Py_ssize_t stride, Py_ssize_t itemsize, const char *format):
    """One field of `n` records that lie `stride` bytes apart."""
    cdef _View view = _View.__new__(_View)
    view.block = block
    view.start = <char *> first
    view.format = format
    view.itemsize = itemsize
    view.ndim = 1
    view.shape[0] = n
    view.strides[0] = stride
    return view


cdef object table(Block block, int64_t n, Py_ssize_t width):
    """The whole block as `n` records of `width` int64 (a flat array if `width` is 1), as a memoryview."""
    cdef _View view = column(block, block.data, n, width * sizeof(int64_t), sizeof(int64_t), b"q")
    if width > 1:
        view.ndim = 2
        view.shape[1] = width
        view.strides[1] = sizeof(int64_t)
    return memoryview(view)
