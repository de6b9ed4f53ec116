"""The scheduler as a pure state machine: messages in, messages out.

One concern: the verbs that every machine has, and who handles what. All knowledge is in `books`, all decisions about
tasks are the core's; each group of messages has a module of its own (see the package's docstring). No clock (time is an
argument), no socket, no pickle, no thread: `server` holds the machine, tests drive it directly.

Peers are ints given by the server. A worker is a client too: its tasks submit tasks over its own connection. A peer
that breaks the rules is put out: it loses its connection and everything it held, and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

from fastsched._core import SECEDED, State
from fastsched.config import Config
from fastsched.errors import ProtocolError
from fastsched.scheduler import invariants
from fastsched.scheduler.books import Books
from fastsched.scheduler.calls import Calls
from fastsched.scheduler.circles import Circles
from fastsched.scheduler.claims import Claims
from fastsched.scheduler.demand import Demand
from fastsched.scheduler.effects import Effects
from fastsched.scheduler.futures import Futures
from fastsched.scheduler.heritage import Heritage
from fastsched.scheduler.outbox import Outbox
from fastsched.scheduler.prefill import Prefill
from fastsched.scheduler.publish import Publishing
from fastsched.scheduler.records import ClientRecord, WorkerRecord
from fastsched.scheduler.reports import Reports
from fastsched.scheduler.retire import Retirement
from fastsched.scheduler.scatter import Scattering
from fastsched.scheduler.seek import Seeking
from fastsched.scheduler.silence import Silence
from fastsched.scheduler.task import TaskRecord
from fastsched.wire.items import make, quoted
from fastsched.wire.messages import (
    Bring,
    Call,
    Cancel,
    Claim,
    Done,
    ErrorKind,
    Keep,
    Locate,
    Message,
    Publish,
    Pulse,
    RanFunction,
    Register,
    Release,
    Retire,
    Role,
    Scatter,
    Sought,
    Submit,
    Surplus,
    Waiting,
    Want,
    Welcome,
)

__all__ = ["Action", "Leave", "PutOut", "SchedulerMachine", "Send", "Stop"]


# A member of an enum costs several times as much to look up, and runs bytecode.
_WAITING, _READY, _ASSIGNED = int(State.WAITING), int(State.READY), int(State.ASSIGNED)
_CLIENT, _WORKER = int(Role.CLIENT), int(Role.WORKER)
_WORKER_LOST, _NO_WORKERS = int(ErrorKind.WORKER_LOST), int(ErrorKind.NO_WORKERS)


class Send(NamedTuple):
    """Send this to the peer."""

    peer: int
    message: Message


class PutOut(NamedTuple):
    """Tell the peer why (`Refuse`), and close its connection."""

    peer: int
    reason: str


class Leave(NamedTuple):
    """This worker leaves as planned: however its process ends, it shall not be replaced."""

    name: str


class Stop(NamedTuple):
    """Stop the workers and the scheduler."""

    reason: str


Action: TypeAlias = Send | PutOut | Leave | Stop

CALL_BITS = 24  # functions that a scheduler has workers run are numbered from its epoch on: see `Calls`
MOST_LEFT = 32  # tasks that wait for a patient drain's successor; more leave at once
NOT_NOW = "not a message that this peer may send now"


class SchedulerMachine:
    """The state of a scheduler.

    Parameters
    ----------
    config : Config
        Limits and policies.
    seed : int
        Decides what is left to chance: with which worker the round of scattered values begins.
    name, version : str
        What peers are told about this scheduler.
    epoch : int
        The first generation of task ids: another one in each scheduler that peers may come to from an earlier one.
    successor : bool
        Whether it takes the place of a scheduler that died; see `heritage`.
    """

    def __init__(
        self,
        config: Config,
        seed: int = 0,
        name: str = "scheduler",
        version: str = "",
        epoch: int = 1,
        successor: bool = False,
    ) -> None:
        self._config = config
        self._name = name
        self._version = version
        self._now = 0.0
        self._given_up: str | None = None  # why no more workers will come
        self._actions: list[PutOut | Leave | Stop] = []
        self.books = Books(config, epoch)
        self._prefill = Prefill(self.books)
        self._seeking = Seeking(self.books)
        self._heritage = Heritage(self.books, self._seeking, successor)
        self._scattering = Scattering(self.books, self._seeking, seed)
        self._futures = Futures(self.books, self._seeking)
        self._publishing = Publishing(self.books, self._futures, self._seeking)
        self._demand = Demand(self.books)
        self._circles = Circles(self.books)
        self._silence = Silence(self.books)
        self._reports = Reports(self.books, self._prefill, self._silence)
        self._effects = Effects(self.books, self._scattering, self._seeking, self._prefill)
        self._claims = Claims(self.books, self._effects)
        self._retirement = Retirement(self.books)
        self._calls = Calls(self.books, self._retirement, {"name": name, "version": version}, epoch << CALL_BITS)

    # -- verbs --------------------------------------------------------------------------------------------------------

    def joined(self, peer: int, role: Role, register: Register, now: float) -> None:
        """A peer has proved its role and told who it is."""
        self._now = now
        if role == _WORKER and register.comebacks:
            self._end_former(register)
        reason = self._objection(peer, role, register)
        if reason is not None:
            self._actions.append(make(PutOut, (peer, reason)))
            return
        books = self.books
        if not register.name:
            prefix = "worker" if role == _WORKER else "client"
            register = make(Register, (f"{prefix}-{peer}", *register[1:]))
        client = books.clients[peer] = ClientRecord(peer, register.name, books.outbox(peer))
        client.outbox.send(make(Welcome, (register.name, self._version, self._name)))
        self._heritage.joined(peer, register.comebacks > 0, now)
        if role == _WORKER:
            handle = books.core.add_worker(register.nthreads, register.nthreads)
            # an outbox of its own: what is said to its tasks must not break up the batches of what it shall run
            worker = WorkerRecord(client, handle, register, books.outbox(peer), now)
            books.workers[peer] = books.names[worker.name] = books.handles[handle] = worker
            books.hopeless = self._given_up = None
            books.settle_open(worker)
            self._prefill.joined(worker)
            self._scattering.joined(worker)
            self._calls.joined()

    def receive(self, peer: int, message: Message, now: float) -> None:
        """Take in a message. A peer that was put out is not listened to any more."""
        self._now = now
        client = self.books.clients.get(peer)
        if client is None:
            return
        self._hear(client, now)
        try:
            self._take_in(client, message, now)
        except (ProtocolError, OverflowError) as error:  # OverflowError: an int beyond the core's
            self._put_out(peer, f"{type(message).__name__}: {error}")

    def heard(self, peer: int, now: float) -> None:
        """Something came from this peer, though no whole message yet."""
        client = self.books.clients.get(peer)
        if client is not None:
            self._hear(client, now)

    def lost(
        self,
        peer: int,
        now: float,
        cause: str | None = None,
        executing: Sequence[int] | None = None,
        stderr: str = "",
    ) -> None:
        """The connection of a peer ended.

        Parameters
        ----------
        peer : int
            Which.
        now : float
            The time.
        cause : str, optional
            How a worker ended ("SIGKILL", "exit 3").
        executing : sequence of int, optional
            The task ids that a worker executed, to be blamed; empty: it stopped as planned; None: not known.
        stderr : str
            The last lines that a worker wrote there.
        """
        self._now = now
        books = self.books
        client = books.clients.pop(peer, None)
        if client is None:
            return
        client.outbox.closed = True
        worker = books.workers.get(peer)
        suspects = [] if worker is None or worker.retiring else self._suspects(worker, executing)
        self._calls.client_gone(client)
        self._publishing.close(client)
        self._heritage.gone(peer, worker)
        self._futures.gone(client, worker is not None, now)
        if worker is not None:
            worker.suspect = True
            books.settle_open(worker)
            self._blame(worker, suspects, cause or "its connection ended", stderr)
            self._effects.apply()  # what was decided about the worker in this turn: the core forgets it with the worker
            self._circles.gone(worker)
            self._remove(worker)
            self._circles.look_again()

    def suspect(self, peer: int, now: float) -> None:
        """The connection of a worker ended; how it died will be known soon.

        It gets no tasks, and is not named as a source of values.
        """
        self._now = now
        worker = self.books.workers.get(peer)
        if worker is not None:
            worker.suspect = True
            self._demand.gone(worker)
            self._seeking.gone(worker)
            self.books.settle_open(worker)

    def congested(self, peer: int, full: bool, now: float) -> None:
        """A worker does not read what it is sent (or does so again): no more tasks for it meanwhile."""
        self._now = now
        worker = self.books.workers.get(peer)
        if worker is not None:
            worker.full = full
            self.books.settle_open(worker)

    def give_up(self, text: str, now: float) -> None:
        """No more workers will come: once none is left all that waits ends as NO_WORKERS, until one joins after all."""
        self._now = now
        self._given_up = text
        self._end_if_hopeless()

    def retire(self, names: Iterable[str], now: float) -> None:
        """Those of these workers that are there shall leave as planned. See `retire.Retirement`."""
        self._now = now
        for name in names:
            worker = self.books.names.get(name)
            if worker is not None:
                self._retirement.begin(worker)

    def tick(self, now: float) -> None:
        """A deadline has passed."""
        self._now = now
        self._reports.tick(now)
        self._heritage.tick(now)
        for worker in self._silence.tick(now):
            self._give_up_on(worker, f"{worker.name} was not heard for {self._config.worker_ttl:g} s")
        for worker in self._retirement.overdue(now):
            self._give_up_on(worker, f"{worker.name} was told to end, and has not")
        self._seeking.look()
        self._futures.tick(now)

    def next_deadline(self) -> float | None:
        """When `tick` (and a drain) is due if nothing else happens."""
        first = self._reports.next_deadline()
        ours = (self._prefill.next_deadline(), self._demand.next_deadline(), self._silence.next_deadline())
        others = (self._retirement.next_deadline(), self._futures.next_deadline(), self._heritage.next_deadline())
        for when in (*ours, *others):
            if first is None or (when is not None and when < first):
                first = when
        return first

    def drain(self, patient: bool = False) -> list[Action]:
        """End of the turn: place tasks; what is to be sent, by peer and in order.

        Parameters
        ----------
        patient : bool
            Whether tasks for workers that have no slot free for them may stay, so that they leave together with more of
            them (`has_left`). Another drain must follow, when a worker has said something or nothing else is to do.
        """
        books = self.books
        for leaver in self._retirement.look(self._now):
            self._actions.append(make(Leave, (leaver.name,)))
        self._effects.apply()
        self._prefill.look(self._now)
        self._demand.look(self._now, self._prefill.expected(self._now))
        actions: list[Action] = []
        staying: list[Outbox] = []
        dirty = books.dirty
        while dirty:
            outbox = dirty.pop()
            if patient and self._may_stay(outbox):
                staying.append(outbox)
                continue
            peer = outbox.peer
            worker = books.workers.get(peer)
            if worker is not None:
                self._silence.told(worker, self._now)
            actions += [make(Send, (peer, message)) for message in outbox.take()]
        dirty += staying
        books.let_pass()
        if self._calls.shutdown is not None:
            self._actions.append(make(Stop, (self._calls.shutdown,)))
            self._calls.shutdown = None
        if self._actions:
            actions += self._actions
            self._actions = []
        return actions

    def has_left(self) -> bool:
        """Whether a patient `drain` has left something."""
        return bool(self.books.dirty)

    def check(self) -> None:
        """Recompute every invariant from scratch, after a `drain`; AssertionError says which one does not hold."""
        invariants.check(self.books)
        self._scattering.check()
        self._calls.check()
        self._prefill.check()
        self._publishing.check()
        self._demand.check()
        self._circles.check()
        self._reports.check()
        self._claims.check()
        self._silence.check()
        self._seeking.check()
        self._retirement.check()
        self._heritage.check()

    def info(self) -> dict[str, Any]:
        """The identity of the scheduler and of all workers, as plain data."""
        return self._calls.info()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _hear(self, client: ClientRecord, now: float) -> None:
        client.heard = now
        client.answered = True
        if client.silent:
            self._silence.returned(self.books.workers[client.peer], now)

    def _may_stay(self, outbox: Outbox) -> bool:
        """Whether this peer is a worker that can do nothing with what there is for it, but put it behind the rest."""
        worker = self.books.workers.get(outbox.peer)
        if worker is None:
            return False
        brings = outbox.only_brings()
        return 0 <= brings <= MOST_LEFT and (
            brings == 0 or self.books.core.occupancy(worker.handle) - brings >= worker.slots
        )

    def _take_in(self, client: ClientRecord, message: Message, now: float) -> None:
        """The most frequent messages come first."""
        if self._publishing.open and not isinstance(message, Publish):
            self._publishing.close(client)
        if isinstance(message, Submit):
            self._demand.answered(client)
            self._futures.submit(client, message)
        elif isinstance(message, Release):
            self._futures.release(client, message.fids)
        elif isinstance(message, Done):
            self._reports.done(self._worker(client), message, now)
            if message.returned:
                self._claims.returned(message.returned)
        elif isinstance(message, Want):
            self._futures.want(client, message.items)
        elif isinstance(message, Publish):
            self._publishing.publish(client, self._worker(client), message)
        elif isinstance(message, Claim):
            self._claim(client, message)
        elif isinstance(message, Surplus):
            self._demand.offered(self._worker(client), message.tasks)
        elif isinstance(message, Sought):
            self._seeking.answered(self._worker(client), message.numbers)
        elif isinstance(message, Waiting):
            self._circles.report(client, self._worker(client), message)
        elif isinstance(message, Locate):
            self._futures.locate(client, message.fids)
        elif isinstance(message, Bring):
            self._heritage.bring(client.peer, self.books.workers.get(client.peer), message)
        elif isinstance(message, Keep):
            self._futures.keep(client, message.fids)
        elif isinstance(message, Cancel):
            self._futures.cancel(client, message)
        elif isinstance(message, Scatter):
            self._scattering.scatter(client, message)
        elif isinstance(message, Call):
            self._calls.call(client, message)
        elif isinstance(message, RanFunction):
            self._calls.ran(self._worker(client), message)
        elif isinstance(message, Pulse):
            self._pulse(client, now)
        elif isinstance(message, Retire):
            self._retirement.begin(self._worker(client))
        else:
            raise ProtocolError(NOT_NOW)

    def _pulse(self, client: ClientRecord, now: float) -> None:
        """It lives. The first one says that more will follow."""
        worker = self.books.workers.get(client.peer)
        if worker is not None and not client.beats:
            self._silence.begins(worker, now)

    def _claim(self, client: ClientRecord, message: Claim) -> None:
        """A worker is sent what it waits for, if nobody was."""
        worker = self._worker(client)
        self._effects.apply()
        for fid in message.fids:
            self._claims.claim(self.books.future(client, fid), worker)

    def _worker(self, client: ClientRecord) -> WorkerRecord:
        """Only workers send this message."""
        worker = self.books.workers.get(client.peer)
        if worker is None:
            raise ProtocolError(NOT_NOW)
        return worker

    def _end_former(self, register: Register) -> None:
        """A worker whose connection broke is back on another one: what it was is over, and nobody is to blame.

        It may not even be known here that the connection has ended. What it was told on it does not count; it will say
        what it has. (If what it said on one that broke as well arrives last, that one is refused, which nobody hears.)
        """
        former = self.books.names.get(register.name)
        if former is None or former.comebacks >= register.comebacks:
            return
        if former.pid == register.pid and former.address == register.address:
            self.lost(former.peer, self._now, "its connection broke", ())

    def _objection(self, peer: int, role: Role, register: Register) -> str | None:
        """Why this peer is not let in, if there is a reason."""
        if register.version and self._version and register.version != self._version:
            return f"the scheduler is fastsched {self._version}, {register.name or 'this peer'} is {register.version}"
        if role == _WORKER:
            if register.nthreads < 1:
                return f"a worker needs a thread, {quoted(register.name)} says that it has {register.nthreads}"
            if (register.name or f"worker-{peer}") in self.books.names:
                return f"there is a worker with the name {quoted(register.name)} already"
        elif role != _CLIENT:
            return f"a {role.name.lower()} is not let in"
        return None

    def _give_up_on(self, worker: WorkerRecord, text: str) -> None:
        self._actions.append(make(PutOut, (worker.peer, text)))
        self.lost(worker.peer, self._now, text)

    def _put_out(self, peer: int, reason: str) -> None:
        self._actions.append(make(PutOut, (peer, reason)))
        self.lost(peer, self._now, "it was put out", ())

    def _suspects(self, worker: WorkerRecord, executing: Sequence[int] | None) -> list[list[TaskRecord]]:
        """What the worker executed when it died; after each task those there that had launched it."""
        books, core = self.books, self.books.core
        if executing is None:
            # Tasks that hold no slot wait for others: they are not blamed. They were the first to start. Those that the
            # worker had kept to itself hold none either.
            lent = max(0, worker.lent)
            sent = [task_id for task_id in core.assigned_to(worker.handle) if not core.flags(task_id) & SECEDED]
            executing = sent[lent : lent + worker.slots]
        suspects: list[list[TaskRecord]] = []
        for task_id in dict.fromkeys(executing):
            chain: list[TaskRecord] = []
            while self._is_at(worker, task_id):
                record = books.record(task_id)
                chain.append(record)
                task_id = 0 if record.extras is None else record.extras.parent
            if chain:
                suspects.append(chain)
        return suspects

    def _is_at(self, worker: WorkerRecord, task_id: int) -> bool:
        """Whether this task was sent there and has not ended."""
        core = self.books.core
        return core.known(task_id) and core.state(task_id) == _ASSIGNED and core.worker(task_id) == worker.handle

    def _blame(self, worker: WorkerRecord, suspects: Iterable[list[TaskRecord]], cause: str, stderr: str) -> None:
        """Count a failure for the tasks under which a worker died; end those that had too many.

        A task that is gone, because only a task of this worker had wanted it, has left its failure to that one: which
        launches it again, and would do so for ever.
        """
        blamed: set[TaskRecord] = set()
        for chain in suspects:
            record = next((record for record in chain if self._is_at(worker, record.id)), None)
            if record is None or record in blamed:  # it was executing, and what it has launched was, too
                continue
            blamed.add(record)
            record.failures += 1
            if record.failures > self._config.allowed_failures:
                count, allowed = record.failures, self._config.allowed_failures
                died = "a worker died," if count == 1 else f"{count} workers died, the last time"
                limit = f"allowed are {allowed} failures" if allowed else "no failure is allowed"
                launched = "" if record is chain[0] else f" had launched {chain[0].key}, which"
                text = f"{record.key}{launched} was executing when {died} on {worker.name} ({cause}); {limit}"
                if stderr:
                    text += f". The last lines that {worker.name} wrote to stderr:\n{stderr}"
                self.books.fail(record, _WORKER_LOST, text, worker.name)

    def _end_if_hopeless(self) -> None:
        books, text = self.books, self._given_up
        if text is None or books.workers:
            return
        books.hopeless = text
        for record in list(books.unfinished()):
            # one that was ended with another one, a moment ago, keeps that one's error
            if books.core.known(record.id) and books.core.state(record.id) in (_WAITING, _READY):
                books.fail(record, _NO_WORKERS, text)

    def _remove(self, worker: WorkerRecord) -> None:
        books = self.books
        books.core.remove_worker(worker.handle)
        worker.outbox.closed = True
        del books.workers[worker.peer], books.names[worker.name], books.handles[worker.handle]
        self._prefill.gone(worker)
        self._demand.gone(worker)
        self._reports.gone(worker)
        self._claims.gone(worker)
        self._silence.gone(worker)
        self._retirement.gone(worker)
        self._calls.worker_gone(worker)
        self._scattering.gone(worker)
        self._seeking.gone(worker)
        self._end_if_hopeless()
