# What other compiled modules may call directly.

cpdef object make(type kind, tuple fields)
cpdef tuple fields(object item)
cpdef str quoted(str text)
