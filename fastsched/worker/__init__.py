"""The worker: runs the scheduler's tasks in threads, holds their results and hands them to other workers."""
