"""fastsched: a task scheduler for Python programs whose tasks are small and launch other tasks."""

__version__ = "0.1.0"
