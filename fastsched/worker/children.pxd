# The types of children.py.

cimport cython

from fastsched.wire.items cimport make
from fastsched.worker.jobs cimport Brood, Child
from fastsched.worker.lineage cimport can_leave, drop_held, drop_roots, held_keys, is_light, keep_roots, let_inputs_go
from fastsched.worker.lineage cimport made_from, need_less
from fastsched.worker.post cimport Post
from fastsched.worker.store cimport Value

cdef int WAITING
cdef int READY
cdef int RUNNING
cdef int DONE
cdef int FAILED
cdef int AWAY
cdef int GONE


@cython.final
cdef class Children:
    cdef Py_ssize_t _inline_bytes
    cdef object _numbers
    cdef readonly Post post
    cdef readonly dict fids
    cdef readonly dict publics
    cdef readonly dict keys
    cdef readonly dict broods
    cdef readonly dict unadopted
    cdef readonly dict late
    cdef public list finished
    cdef public list erred
    cdef readonly Py_ssize_t handed_over
    cdef public bint shaken
    cdef readonly dict warm
    cdef Py_ssize_t _old
    cdef Py_ssize_t _ticks

    # -- what becomes of one
    @cython.locals(dependent=Child)
    cdef settle(self, Child child, Value value)

    @cython.locals(dependent=Child, held=Child, other=Child, todo=list, known=dict)
    cdef fail(self, Child child, object error)

    @cython.locals(child=Child, held=Child)
    cdef abandon(self, object error)

    @cython.locals(source=Child)
    cdef _ended(self, Child child)

    cdef retire(self, Child child)

    @cython.locals(value=Value)
    cdef bint _may_serve(self, Child child) except -1
    cpdef bint is_warm(self, Child child) except -1
    cpdef Child known(self, str key, bytes fn, tuple args)
    cdef _cool(self, Child child)
    cdef tick(self)

    @cython.locals(todo=list, begun=bint)
    cdef _drop(self, Child child)

    @cython.locals(child=Child)
    cdef tuple held(self, object pins)

    # -- what has not begun
    @cython.locals(brood=Brood)
    cdef make_ready(self, Child child)

    @cython.locals(brood=Brood)
    cdef take_out(self, Child child)

    @cython.locals(brood=Brood, child=Child)
    cdef Child oldest(self)

    @cython.locals(brood=Brood)
    cdef Py_ssize_t n_ready(self) except -1

    @cython.locals(child=Child, micros=double, most=Py_ssize_t)
    cdef bint hand_over_for(self, Py_ssize_t slots) except -1

    @cython.locals(source=Child, dependent=Child, todo=list, ahead=list)
    cdef hand_over(self, Child child)

    @cython.locals(source=Child)
    cdef _send(self, Child child)
    cdef name(self, Child child)

    # -- what others shall know of
    @cython.locals(child=Child)
    cdef tuple shared(self, object fids)
    cdef object share(self, Child child)

    @cython.locals(child=Child)
    cdef share_keys(self, object keys)

    @cython.locals(source=Child, held=Child, names=dict, todo=list)
    cdef _publish(self, Child child)

    @cython.locals(source=Child, held=Child, value=Value)
    cdef _tell(self, Child child, object fid, dict names)

    @cython.locals(child=Child)
    cdef not_due(self, object fid)

    @cython.locals(child=Child)
    cdef undeliverable(self, object fid, str text)
