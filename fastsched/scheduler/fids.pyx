"""A client's futures, by number: which row of the core each stands for, at a few bytes apiece.

One concern: `Fids`. A client counts its fids up, so a page of rows for each stretch of them is nearly full, where a dict
would keep three words and an int object for each. No reference to a record is held, so records need no garbage
collector. Described in fids.pyi. Imports nothing of fastsched.
"""

cimport cython


@cython.final
cdef class Page:

    def __cinit__(self, int64_t number):
        cdef int i
        self.number = number
        self.n = 0
        for i in range(SPAN):
            self.rows[i] = NO_ROW


@cython.final
cdef class Fids:

    def __cinit__(self):
        self._pages = {}
        self._newest = -1

    cpdef int32_t row(self, int64_t fid) except -2:
        cdef Page page = self._page(fid >> BITS)
        return NO_ROW if page is None else page.rows[fid & (SPAN - 1)]

    cpdef int put(self, int64_t fid, int32_t row) except -1:
        cdef int64_t number = fid >> BITS
        cdef Page page = self._page(number)
        if page is None:
            page = self._last = self._pages[number] = Page.__new__(Page, number)
            if number > self._newest:
                self._outdated()
                self._newest = number
        if page.rows[fid & (SPAN - 1)] != NO_ROW or row < 0:
            raise AssertionError(f"future {fid} stands for row {page.rows[fid & (SPAN - 1)]}, not {row}")
        page.rows[fid & (SPAN - 1)] = row
        page.n += 1
        self._n += 1
        return 0

    cpdef int32_t take(self, int64_t fid) except -2:
        cdef Page page = self._page(fid >> BITS)
        cdef int32_t row
        if page is None:
            return NO_ROW
        row = page.rows[fid & (SPAN - 1)]
        if row != NO_ROW:
            page.rows[fid & (SPAN - 1)] = NO_ROW
            page.n -= 1
            self._n -= 1
            if page.n == 0 and page.number != self._newest:
                self._remove(page)
        return row

    cpdef list items(self):
        cdef Page page
        cdef int i
        cdef list found = []
        for page in self._pages.values():
            for i in range(SPAN):
                if page.rows[i] != NO_ROW:
                    found.append((page.number * SPAN + i, page.rows[i]))
        return found

    cpdef list some(self, Py_ssize_t most):
        cdef Page page
        cdef int i
        cdef list found = []
        for page in self._pages.values():
            for i in range(SPAN):
                if page.rows[i] != NO_ROW:
                    if len(found) == most:
                        return found
                    found.append(page.number * SPAN + i)
        return found

    def __len__(self):
        return self._n

    def __contains__(self, int64_t fid):
        return self.row(fid) != NO_ROW

    cdef Page _page(self, int64_t number):
        if self._last is None or self._last.number != number:
            page = self._pages.get(number)
            if page is None:
                return None
            self._last = page
        return self._last

    cdef _outdated(self):
        """The page that was the newest is not any more."""
        cdef Page page = self._pages.get(self._newest)
        if page is not None and page.n == 0:
            del self._pages[self._newest]

    cdef _remove(self, Page page):
        del self._pages[page.number]
        self._last = None
