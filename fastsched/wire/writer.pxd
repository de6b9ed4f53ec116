# Messages to bytes: the one entry.

cdef bytes packed(object value, Py_ssize_t room, list attached)
