"""What the scheduler knows of one task, in as few bytes as can be: there may be millions.

One concern: `TaskRecord`, and `Extras` for what few of them have. It is not known to the garbage collector, which would walk over all of them again and again:
they are in no cycle, since clients name their tasks by row (`fids`). The exception are two values that contain each
other's futures, which no counting of references ever frees. Described in task.pyi.
"""

cimport cython


@cython.final
@cython.no_gc
cdef class Extras:

    def __init__(self, tuple pins=()):
        self.pins = pins
        self.value_pins = ()
        self.held = ()


@cython.final
@cython.no_gc
cdef class TaskRecord:

    def __init__(self, str key, Function function, tuple args, tuple dependencies, tuple pins):
        self.key = key
        specify(self, function, args, dependencies, pins)
        self.type_name = ""
        self.keyed = True

    def __repr__(self):
        return f"<TaskRecord {self.id >> 32}.{self.id & 0xFFFFFFFF} {self.key}>"


cpdef Extras extras_of(TaskRecord record):
    if record.extras is None:
        record.extras = Extras()
    return record.extras


cpdef tuple args_of(TaskRecord record):
    if type(record.args) is tuple:
        return <tuple> record.args
    return (record.args,)


cpdef specify(TaskRecord record, Function function, tuple args, tuple dependencies, tuple pins):
    record.function = function
    record.args = args[0] if len(args) == 1 else args  # a tuple for one would weigh as much as the frame
    record.dependencies = dependencies
    if pins:
        extras_of(record).pins = pins
