"""The command line: ``fastsched-scheduler`` and ``fastsched-worker``."""
