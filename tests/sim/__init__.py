"""Whole clusters in one process, under a virtual clock, from one seed.

Real machines (scheduler, workers, clients, the client inside each worker) talk over a fake network, each message
through the real codec. Threads, sockets, clocks and pickles are played by the modules here, each with one concern:

==============  =====================================================================================================
`clock`         virtual time: it jumps to whatever is due next; processes that are stopped, and go on
`heart`         when a worker lets itself be heard
`network`       connections: bytes in order within a direction, delays and cuts by the seed
`journal`       what happened, readable when a seed fails
`language`      what tasks and users say: operations, calls, values
`programs`      the tasks: generators of operations, the same for the oracle and for the cluster
`freight`       values, arguments, functions and exceptions as frames
`oracle`        what each call must give: the programs run one after the other in plain Python
`world`         what all nodes share: time, chance, network, configuration, what each key must give
`ledger`        which faults there were, and so which failures are excused
`threads`       drives one generator in virtual time: a user's script or a task
`locks`         locks of users, in one process
`site`          the shell of a `ClientMachine`
`fetching`      the shell's connections to workers that serve data
`scheduler`     the shell of the `SchedulerMachine`
`worker`        the shell of a `WorkerMachine`: its threads, its page, the client inside
`cluster`       all of them, and the end of a run: outcomes, emptiness, silence
`users`         what users do, by their habits
`scenarios`     what happens in a run, by kind and seed
`planted`       machines with a bug each, to see that runs can fail
`seeds`         one seed after the other, and what is said of one that fails
`pool`          processes that run blocks of seeds
`__main__`      the command line
==============  =====================================================================================================

A failing seed is run again, with its whole journal, by ``python -m tests.sim <seed>``.
"""
