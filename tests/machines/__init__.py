"""The pure machines of scheduler, worker and client, one at a time; no I/O, no clock."""
