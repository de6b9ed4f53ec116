"""Questions about the cluster, and functions that run on its workers outside of the slots.

One concern: each `Call` of a client is answered by exactly one `Answer`, at once or when its condition holds, also if
workers leave in between. Called by `machine`.
"""

from __future__ import annotations

from typing import Any

from fastsched._core import State
from fastsched.errors import ProtocolError
from fastsched.scheduler.books import Books
from fastsched.scheduler.records import ClientRecord, WorkerRecord
from fastsched.scheduler.retire import Retirement
from fastsched.wire.items import make, quoted
from fastsched.wire.messages import Answer, Call, Frames, RanFunction, RunFunction, Verb

__all__ = ["Calls"]

# A member of an enum costs several times as much to look up, and runs bytecode.
_INFO, _NTHREADS, _RUN = int(Verb.INFO), int(Verb.NTHREADS), int(Verb.RUN)
_WAIT_FOR_WORKERS, _SHUTDOWN, _RETIRE = int(Verb.WAIT_FOR_WORKERS), int(Verb.SHUTDOWN), int(Verb.RETIRE)
_STATES = {state.name.lower(): int(state) for state in State if state != State.FREE}


class Running:
    """A `Client.run` whose answer is not complete.

    Parameters
    ----------
    client : ClientRecord
        Who asked.
    request : int
        The client's number for the call.
    workers : set of str
        Names of the workers that have not answered.
    """

    __slots__ = ("client", "request", "results", "workers")

    def __init__(self, client: ClientRecord, request: int, workers: set[str]) -> None:
        self.client = client
        self.request = request
        self.workers = workers
        self.results: dict[str, tuple[bool, Frames | str]] = {}


class Leaving:
    """A `Client.retire_workers` whose workers have not all left.

    Parameters
    ----------
    client : ClientRecord
        Who asked.
    request : int
        The client's number for the call.
    workers : dict
        By name, what is to be told of them.
    """

    __slots__ = ("client", "left", "request", "workers")

    def __init__(self, client: ClientRecord, request: int, workers: dict[str, Any]) -> None:
        self.client = client
        self.request = request
        self.workers = workers
        self.left = set(workers)  # names of those that are still there


class Calls:
    """Calls under way.

    Parameters
    ----------
    books : Books
        The tables.
    retirement : Retirement
        Sees workers off.
    identity : dict
        What is told about the scheduler itself.
    last : int
        Workers know functions by the numbers above it. Answers to another scheduler may still come.
    """

    def __init__(self, books: Books, retirement: Retirement, identity: dict[str, Any], last: int = 0) -> None:
        self._books = books
        self._retirement = retirement
        self._identity = identity
        self._running: dict[int, Running] = {}  # by the number under which the workers know it
        self._last = last
        self._waiting: list[tuple[ClientRecord, int, int]] = []  # (client, request, workers that must be there)
        self._leaving: list[Leaving] = []
        self.shutdown: str | None = None  # why everything shall stop, once a client has asked for it

    def call(self, client: ClientRecord, message: Call) -> None:
        """Answer a call now, or note it.

        Raises
        ------
        ProtocolError
            If there is no such verb.
        """
        request, args = message.request, message.args
        if message.verb == _INFO:
            self._answer(client, request, self.info())
        elif message.verb == _NTHREADS:
            self._answer(client, request, {worker.name: worker.slots for worker in self._books.workers.values()})
        elif message.verb == _RUN:
            self._run(client, request, args, message.frames)
        elif message.verb == _WAIT_FOR_WORKERS:
            if len(args) != 1 or not isinstance(args[0], int):
                self._refuse(client, request, "wait_for_workers takes one number")
            else:
                self._waiting.append((client, request, args[0]))
                self.joined()
        elif message.verb == _SHUTDOWN:
            self.shutdown = f"{client.name} asked for it"
            self._answer(client, request, None)
        elif message.verb == _RETIRE:
            self._retire(client, request, args)
        else:
            raise ProtocolError(f"there is no verb {message.verb}")

    def info(self) -> dict[str, Any]:
        """The identity of the scheduler and of all workers, as plain data."""
        books = self._books
        return {
            **self._identity,
            "clients": len(books.clients) - len(books.workers),
            "tasks": {name: books.core.count(state) for name, state in _STATES.items()},
            "workers": {worker.name: self._info_of(worker) for worker in books.workers.values()},
        }

    def ran(self, worker: WorkerRecord, message: RanFunction) -> None:
        """A worker ran a function."""
        running = self._running.get(message.request)
        if running is None or worker.name not in running.workers:
            return  # the client is gone
        self._note(message.request, running, worker.name, message.ok, message.frames)

    def joined(self) -> None:
        """A worker came: are there enough?"""
        there = len(self._books.workers)
        for client, request, n in self._waiting:
            if there >= n:
                self._answer(client, request, there)
        self._waiting = [entry for entry in self._waiting if there < entry[2]]

    def worker_gone(self, worker: WorkerRecord) -> None:
        """Its answers will not come."""
        for number, running in list(self._running.items()):
            if worker.name in running.workers:
                self._note(number, running, worker.name, False, f"worker {worker.name} was lost before it answered")
        for leaving in self._leaving:
            leaving.left.discard(worker.name)
            if not leaving.left:
                self._answer(leaving.client, leaving.request, leaving.workers)
        self._leaving = [leaving for leaving in self._leaving if leaving.left]

    def client_gone(self, client: ClientRecord) -> None:
        """Nobody waits for its answers."""
        self._waiting = [entry for entry in self._waiting if entry[0] is not client]
        self._leaving = [leaving for leaving in self._leaving if leaving.client is not client]
        self._running = {number: running for number, running in self._running.items() if running.client is not client}

    def check(self) -> None:
        """Every call under way is of a client that is there, and waits for somebody that is there."""
        books = self._books
        for client in [entry[0] for entry in self._waiting] + [running.client for running in self._running.values()]:
            if books.clients.get(client.peer) is not client:
                raise AssertionError(f"a call of {client}, which is gone, is under way")
        for number, running in self._running.items():
            if not running.workers or not running.workers <= books.names.keys():
                raise AssertionError(f"call {number} waits for {running.workers}")
        for leaving in self._leaving:
            if books.clients.get(leaving.client.peer) is not leaving.client:
                raise AssertionError(f"workers retire for {leaving.client}, which is gone")
            there = [name for name in leaving.left if name in books.names and books.names[name].retiring]
            if not there or len(there) < len(leaving.left):
                raise AssertionError(f"a client waits until these have left: {leaving.left}")
        if any(entry[2] <= len(books.workers) for entry in self._waiting):
            raise AssertionError("a client waits for workers that are there")

    # -- inside -------------------------------------------------------------------------------------------------------

    def _run(self, client: ClientRecord, request: int, args: tuple[Any, ...], frames: Frames | None) -> None:
        books = self._books
        names = [str(name) for name in args] or list(books.names)
        if frames is None:
            self._refuse(client, request, "there is no function to run")
            return
        here = [name for name in dict.fromkeys(names) if name in books.names]
        running = Running(client, request, set(here))
        for name in names:
            if name not in books.names:  # it was there when the client looked
                running.results[name] = (False, f"worker {name} was lost before it answered")
        if not here:
            self._answer(client, request, running.results)
            return
        self._last += 1
        self._running[self._last] = running
        for name in here:
            books.names[name].outbox.send(make(RunFunction, (self._last, frames)))

    def _retire(self, client: ClientRecord, request: int, args: tuple[Any, ...]) -> None:
        books = self._books
        staying = [worker for worker in books.workers.values() if not (worker.retiring or worker.suspect)]
        if len(args) == 1 and isinstance(args[0], int):
            others = sorted([(*self._weight(worker), worker) for worker in staying if worker.client is not client])
            workers = [entry[-1] for entry in others[: args[0]]]
            if args[0] > len(workers):
                workers = staying
        else:
            names = [str(name) for name in args]
            if not self._are_known(client, request, names):
                return
            workers = [books.names[name] for name in dict.fromkeys(names)]
        if workers and not [worker for worker in staying if worker not in workers]:
            text = "no worker would be left to take over what these hold: to end all of them is to close the cluster"
            self._refuse(client, request, text)
        elif not workers:
            self._answer(client, request, {})
        elif [worker for worker in workers if worker.client is client]:
            self._refuse(client, request, f"a task cannot wait until its own worker, {client.name}, has left")
        else:
            self._leaving.append(Leaving(client, request, {worker.name: self._info_of(worker) for worker in workers}))
            for worker in workers:
                self._retirement.begin(worker)

    def _weight(self, worker: WorkerRecord) -> tuple[int, int, int]:
        """What is to be moved if it leaves; the last is for a difference."""
        core = self._books.core
        return core.n_assigned(worker.handle), core.n_replicas(worker.handle), worker.handle

    def _are_known(self, client: ClientRecord, request: int, names: list[str]) -> bool:
        """Whether there are workers of these names; else the call is refused."""
        there = self._books.names
        for name in names:
            if name not in there:
                known = ", ".join(sorted(there)) or "none"
                self._refuse(client, request, f"no worker has the name {quoted(name)} (there are: {known})")
                return False
        return True

    def _info_of(self, worker: WorkerRecord) -> dict[str, Any]:
        core = self._books.core
        return {
            "name": worker.name,
            "address": worker.address,
            "pid": worker.pid,
            "nthreads": worker.slots,
            "memory_limit": worker.memory_limit,
            "tasks": core.n_assigned(worker.handle),
            "lent": core.lent(worker.handle),
            "silent": bool(worker.client.silent),
            "retiring": bool(worker.retiring),
        }

    def _note(self, number: int, running: Running, name: str, ok: bool, result: Frames | str) -> None:
        running.workers.discard(name)
        running.results[name] = (ok, result)
        if not running.workers:
            del self._running[number]
            self._answer(running.client, running.request, running.results)

    def _answer(self, client: ClientRecord, request: int, value: Any) -> None:
        client.outbox.send(make(Answer, (request, True, value)))

    def _refuse(self, client: ClientRecord, request: int, text: str) -> None:
        client.outbox.send(make(Answer, (request, False, text)))
