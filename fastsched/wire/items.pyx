"""Items, messages and their texts, made where no signal handler can strike.

Three functions: `make`, `fields` and `quoted`. Calling a named tuple runs bytecode, where a signal handler may raise; in code that changes a
machine's state in a user's thread nothing may (see `fastsched/_compiled.py`). It also takes four times as long. `repr` is C,
but begins with a look for signals.

Called by the compiled modules of all rooms. Imports nothing.
"""

cdef extern from *:
    """
    static PyObject *fastsched_make(PyTypeObject *kind, PyObject *fields) {
        Py_ssize_t i, n = PyTuple_GET_SIZE(fields);
        PyObject *made;
        if (!PyType_HasFeature(kind, Py_TPFLAGS_TUPLE_SUBCLASS)) {
            PyErr_Format(PyExc_TypeError, "%s is not a named tuple", kind->tp_name);
            return NULL;
        }
        made = kind->tp_alloc(kind, n);
        if (made == NULL) {
            return NULL;
        }
        for (i = 0; i < n; i++) {
            PyObject *field = PyTuple_GET_ITEM(fields, i);
            Py_INCREF(field);
            PyTuple_SET_ITEM(made, i, field);
        }
        return made;
    }
    """
    object fastsched_make(type kind, tuple fields)

cdef extern from *:
    """
    static PyObject *fastsched_fields(PyObject *item) {
        return PyTuple_GetSlice(item, 0, PY_SSIZE_T_MAX);
    }
    """
    tuple fastsched_fields(object item)

cdef extern from *:
    """
    static PyObject *fastsched_quoted(PyObject *text) { return PyUnicode_Type.tp_repr(text); }
    """
    str fastsched_quoted(str text)


cpdef object make(type kind, tuple fields):
    assert len(fields) == len(kind.__match_args__), f"{kind.__name__} has other fields than {fields}"
    return fastsched_make(kind, fields)


cpdef tuple fields(object item):
    return fastsched_fields(item)


cpdef str quoted(str text):
    if text is None:
        raise TypeError("only text is quoted")
    return fastsched_quoted(text)
