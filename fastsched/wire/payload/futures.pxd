# Types for the compiled futures.py: what each argument and each result of a call goes through.

cpdef bint is_future(object obj) except -1
cpdef bint scalar(object value) noexcept
cpdef bint flat(object values) except -1
cpdef bint scalars_and_futures(object values) except -1
cpdef bint plain(object value) except -1
cdef Py_ssize_t _unspent(object container, Py_ssize_t parts) except? -2

cdef class collecting:
    cdef list _found
    cdef object _outer

cdef class resolving:
    cdef object _inputs
    cdef object _outer
