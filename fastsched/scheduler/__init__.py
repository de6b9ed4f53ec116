"""The scheduler's room: a pure machine that places tasks on workers, and a server that owns the sockets and the clock.

`machine.SchedulerMachine` is the door. Behind it, one module per concern, all over the same `books.Books`:

===============  ================================================================================
`records`        what is known about a client, a worker, a function
`task`           what is known about a task, in few bytes
`fids`           which task each future of a client stands for, in few bytes
`books`          the tables of all of them, and the few operations that keep them and the core in step
`futures`        what clients say: submit, want, release, cancel, keep, locate
`publish`        tasks that a worker has kept to itself, and that others need now
`seek`           keys that are wanted, and that nobody has told of
`scatter`        values that clients put into the cluster
`calls`          questions about the cluster, and functions to run on its workers
`reports`        what workers say: done, missing, returned
`heritage`       what workers bring along from a scheduler that is gone
`effects`        what the core decided, turned into messages
`claims`         what a stuck thread waits for is sent to its worker
`silence`        workers that are not heard, whose work moves
`retire`         workers that leave as planned, after what only they hold
`demand`         idle slots, and workers that have more than they can run
`prefill`        how far ahead of its free slots a worker is sent tasks, and which of them are asked back
`outbox`         the messages of one turn, by peer, in order
`invariants`     `check()`: everything recomputed from scratch
`server`         sockets, timers, supervision
===============  ================================================================================

The scheduler never unpickles: functions, arguments and values are opaque frames.
"""
