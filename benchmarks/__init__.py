"""Benchmarks.

``bench_*.py``   suites for pytest-benchmark, one per floor of the house (`make bench`): does something get slower?
``compare.py``   ratios to yardsticks, measured in turn in fresh processes: how fast is it?
``floors.py``    what the same round trips cost without a scheduler: how fast could it be?
``wakeups.py``   wake-ups, time and system calls of one round trip, by thread: where does the rest go?
``detection.py`` how soon is it noticed that a worker is dead, or silent?

`workloads` are the programs that are measured, `comparing` is the machinery around them.
"""
