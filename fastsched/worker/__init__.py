"""The worker: takes tasks from the scheduler, runs them in threads, holds their results and hands them to other workers."""
