# The types of nest.py. The class is not final: tests plant bugs in subclasses of it.

cimport cython

from fastsched.wire.items cimport fields, make
from fastsched.worker.children cimport Children
from fastsched.worker.jobs cimport Brood, Child, Function, Job
from fastsched.worker.lineage cimport first_to_run, let_inputs_go
from fastsched.worker.post cimport Post
from fastsched.worker.store cimport Store, Value
from fastsched.worker.translate cimport Translator

cdef int WAITING
cdef int READY
cdef int RUNNING
cdef int DONE
cdef int FAILED
cdef int AWAY
cdef int GONE


cdef class Nest:
    cdef dict _functions
    cdef dict _orders
    cdef Store _store
    cdef Py_ssize_t _most_functions
    cdef bint _local
    cdef object _known
    cdef dict _asked
    cdef Post _post
    cdef Children _children
    cdef Translator _translator
    cdef Py_ssize_t _told_surplus

    @cython.locals(children=Children)
    cpdef take(self, object items, Brood brood)
    cdef _learn(self, object item)

    @cython.locals(child=Child, here=bint, only_named=bint, order=Job)
    cdef _submit(self, object item, Brood brood)

    @cython.locals(value=Value)
    cdef bint _take_from(self, Job order, Child child, bytes fn) except -1

    @cython.locals(source=Child, here=bint)
    cdef bint _tie(self, Child child, object dependencies, object pins) except -1

    @cython.locals(value=Value)
    cdef _attach(self, Child child, object fid, Brood brood)

    @cython.locals(child=Child)
    cdef _want(self, object item, Brood brood)

    @cython.locals(child=Child)
    cdef _release(self, object fid)

    @cython.locals(child=Child)
    cdef _cancel(self, object message)

    @cython.locals(child=Child)
    cdef _keep(self, object fids)

    @cython.locals(child=Child)
    cdef _locate(self, object fid)
    cpdef list translated(self, object messages)
    cpdef bint receive(self, object message) except -1
    cdef _granted(self, object message)

    @cython.locals(numbers=list, child=Child)
    cdef _seek(self, object message)

    @cython.locals(child=Child)
    cpdef list adopted(self, object message)
    cpdef settled(self, object message)
    cpdef ask(self, Child child, object id, object attempt)

    @cython.locals(child=Child)
    cpdef unask(self, object id, object attempt)
    cdef list _answered(self, Child child)
    cpdef part(self, object mark, object error)
    cpdef Function function(self, object fn)
    cpdef Child by_key(self, str key, bytes fn, tuple args)
    cpdef Children everybody(self)

    @cython.locals(child=Child, source=Child)
    cpdef Child claim(self, list stack, bint fine=*)

    @cython.locals(child=Child)
    cpdef list children(self, object fids)

    @cython.locals(source=Child)
    cdef _begin(self, Child child)
    cpdef list finished(self, Child child, Value value, object pins)

    @cython.locals(source=Child, dependent=Child)
    cpdef list failed(self, Child child, object error)

    @cython.locals(child=Child)
    cpdef bint claim_away(self, Brood brood) except -1
    cpdef bint waits(self)
    cpdef bint ages(self)

    @cython.locals(brood=Brood)
    cpdef tick(self)

    @cython.locals(oldest=Child, brood=Brood)
    cdef _tell_surplus(self)

    @cython.locals(child=Child)
    cpdef give_up(self, Brood brood)

    @cython.locals(child=Child)
    cpdef hand_over(self, object fids)
    cpdef share_keys(self, object keys)
    cpdef undeliverable(self, object fid, str text)
    cpdef bint has_messages(self)
    cpdef list messages(self)
    cpdef bint has_ends(self)

    @cython.locals(children=Children)
    cpdef tuple ends(self)
