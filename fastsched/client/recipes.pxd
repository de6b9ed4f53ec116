# The types of recipes.py.

cimport cython

from fastsched.wire.items cimport make


@cython.final
cdef class Recipe:
    cdef object kind
    cdef object item
    cdef bint held
    cdef Py_ssize_t users


@cython.final
cdef class Function:
    cdef object frames
    cdef Py_ssize_t users


@cython.final
cdef class Recipes:
    cdef dict _recipes
    cdef dict _functions

    @cython.locals(function=Function)
    cdef add_task(self, object item, object frames)

    @cython.locals(recipe=Recipe)
    cdef add(self, object fid, object kind, object item)

    @cython.locals(recipe=Recipe)
    cdef settled(self, object fid)

    @cython.locals(recipe=Recipe, todo=list)
    cdef release(self, object fid)

    @cython.locals(function=Function)
    cdef _disuse(self, object fn)

    @cython.locals(function=Function)
    cdef object function(self, object fn)

    @cython.locals(recipe=Recipe)
    cdef list entries(self)

    @cython.locals(function=Function, recipe=Recipe)
    cpdef check(self)


cdef object _named(object kind, object item)
