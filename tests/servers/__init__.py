"""The shells with real sockets, one process, no worker processes."""
