"""What is measured: the `catalogue` names every workload and yardstick, the other modules are the programs.

A module that the catalogue names has ``measure(subject, workload, size, placing) -> Sample``. It runs in a process of
its own (`benchmarks.sample`), so its state is nobody else's.
"""
