"""The only sockets: event loops, addresses, streams, listeners, and the in-process channel with the same face."""
