# The types of reporting.py.

from fastsched.worker.jobs cimport Child, Job
from fastsched.worker.machine cimport WorkerMachine
from fastsched.worker.nest cimport Nest
from fastsched.worker.runner cimport Outcome
from fastsched.worker.store cimport Value

cdef int _FAILED

cpdef report(WorkerMachine machine, Job job, Outcome outcome)
cpdef bint report_child(WorkerMachine machine, object host, Child child, Outcome outcome) except -1
