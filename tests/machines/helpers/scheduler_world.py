"""A scheduler's machine with fake clients and fake workers around it: no I/O, no clock, no threads.

Every message goes through the real codec in both directions, so that the machine neither sends nor needs what the wire
would refuse. No verb may enter a Python frame. After every turn the machine checks itself. What the fakes hear becomes
short lines of *news* ("run a", "finished a", "free a"), and a test must ask for all of them: at its end nothing may be
left (`World.end`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from fastsched.config import Config
from fastsched.scheduler.machine import Leave, PutOut, SchedulerMachine, Send, Stop
from fastsched.wire.codec import Decoder, encode
from fastsched.wire.messages import (
    Accept,
    Adopt,
    Answer,
    Bring,
    Call,
    Cancel,
    Circle,
    Done,
    Drop,
    ErredItem,
    ErrorItem,
    ErrorKind,
    FinishedItem,
    Frames,
    Free,
    FunctionItem,
    Grant,
    Keep,
    LocalItem,
    Locate,
    Located,
    Message,
    MissingItem,
    Publish,
    Pulse,
    Put,
    RanFunction,
    Register,
    Release,
    Replicate,
    Report,
    Retract,
    Role,
    Run,
    RunFunction,
    RunItem,
    Scatter,
    ScatterItem,
    Seek,
    Shutdown,
    Sought,
    Stage,
    Submit,
    Surplus,
    TaskItem,
    Verb,
    Want,
    WantItem,
    Welcome,
)
from tests.machines.helpers.frames import without_frames

FN = b"function"
VALUE: Frames = (b"value",)


def through_the_wire(message: Message) -> Message:
    """What the other side sees of a message."""
    data = b"".join(encode(message))
    (decoded,) = Decoder(Config(), frozenset((type(message),))).feed(data)
    return decoded


class World:
    """A scheduler and its peers."""

    def __init__(self, config: Config | None = None, successor: bool = False) -> None:
        self.config = config or Config()
        self.machine = SchedulerMachine(self.config, name="world", version="1", epoch=7, successor=successor)
        self.now = 100.0
        self.peers: dict[int, Peer] = {}
        self.put_out: list[str] = []
        self.stopped: list[str] = []
        self.left: list[str] = []  # workers that leave as planned
        self._numbers = itertools.count(1)
        self.held = False  # inside a turn: nothing is drained
        self.patient = False  # what has no slot waiting for it may stay

    def client(self, name: str = "c", comebacks: int = 0) -> Client:
        client = Client(self, next(self._numbers), name)
        self._join(client, Role.CLIENT, Register(name, "1", 0, 0, "", 0, "", comebacks))
        return client

    def worker(self, name: str = "w", nthreads: int = 1, beats: bool = False, comebacks: int = 0) -> Worker:
        """A worker; one that `beats` is heard whenever time passes, until the test sets `beats` to False."""
        worker = Worker(self, next(self._numbers), name, nthreads)
        self._join(worker, Role.WORKER, Register(name, "1", 7, nthreads, f"tcp://{name}:1", 0, "", comebacks))
        if beats:
            worker.beats = True
            worker.beat()
        return worker

    def join(self, role: Role, register: Register) -> Peer:
        """Somebody comes who may not be let in."""
        peer = Peer(self, next(self._numbers), register.name)
        self._join(peer, role, register)
        return peer

    def _join(self, peer: Peer, role: Role, register: Register) -> None:
        self.peers[peer.number] = peer
        self.machine.joined(peer.number, role, through_the_wire(register), self.now)
        self.settle()

    def receive(self, peer: int, message: Message) -> None:
        without_frames(self.machine.receive, peer, through_the_wire(message), self.now)
        self.settle()

    def lost(self, peer: Peer, cause: str | None = None, executing: Sequence[int] | None = None) -> None:
        self.machine.lost(peer.number, self.now, cause, executing)
        self.settle()

    def advance(self, seconds: float) -> None:
        """Let time pass, deadline by deadline."""
        end = self.now + seconds
        while (deadline := without_frames(self.machine.next_deadline)) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            for peer in self.peers.values():
                if isinstance(peer, Worker) and peer.beats:
                    peer.beat()
            without_frames(self.machine.tick, self.now)
            self.settle()
            again = self.machine.next_deadline()
            assert again is None or again > self.now, "a deadline that has passed stays due: a server would spin"
        self.now = end

    @contextmanager
    def one_turn(self) -> Iterator[None]:
        """Everything inside happens before one drain."""
        self.hold()
        yield
        self.go_on()

    def hold(self) -> None:
        """From now on everything happens in one turn."""
        self.held = True

    def go_on(self) -> None:
        """End that turn."""
        self.held = False
        self.settle()

    def settle(self) -> None:
        """End the turn: deliver what the machine sends."""
        if self.held:
            return
        self._deliver()
        for peer in self.peers.values():
            peer.forget_crossed()
        if not self.machine.has_left():
            self.machine.check()

    @contextmanager
    def patience(self) -> Iterator[None]:
        """Turns are patient until the end of this; then what they left is sent."""
        self.patient = True
        yield
        self.patient = False
        self.settle()

    def _deliver(self) -> None:
        for action in without_frames(self.machine.drain, self.patient):
            match action:
                case Send(number, message):
                    self.peers[number].hear(through_the_wire(message))
                case PutOut(number, reason):
                    self.put_out.append(self.peers[number].name)
                    self.peers[number].reason = reason
                case Leave(name):
                    self.left.append(name)
                case Stop(reason):
                    self.stopped.append(reason)

    def end(self) -> None:
        """Nothing was said that the test did not expect, and all is well."""
        for peer in self.peers.values():
            assert peer.news() == [], f"unexpected news of {peer.name}"
        assert self.put_out == [], "peers were put out"
        self.machine.check()

    def empty(self) -> bool:
        """Nothing is known of any task."""
        books = self.machine.books
        assert books.retained == 0
        return books.core.n_tasks == 0 and not books.keys and all(record is None for record in books.records)


class Peer:
    """What clients and workers have in common: they hold futures."""

    def __init__(self, world: World, number: int, name: str) -> None:
        self.world = world
        self.number = number
        self.name = name
        self.reason = ""  # why it was put out
        self.keys: dict[int, str] = {}  # by fid, of futures that are held
        self.outcomes: dict[int, str] = {}  # by fid: "finished" or "erred"; a future has one at most
        self._crossed: set[int] = set()  # futures that were released in this turn: news of them may be on the way
        self.values: dict[int, Frames | None] = {}  # by fid, as reported
        self.errors: dict[int, ErrorItem] = {}  # by fid
        self.settled: set[int] = set()  # futures of values that are here: a report brings nothing new
        self.located: dict[int, tuple[Frames | None, tuple[str, ...]]] = {}
        self.answers: dict[int, tuple[bool, Any]] = {}
        self._sent: set[bytes] = set()
        self._fids = itertools.count(1)
        self._requests = itertools.count(1)
        self._news: list[str] = []

    def __repr__(self) -> str:
        return self.name

    def news(self) -> list[str]:
        """What was heard since the last call."""
        news, self._news = self._news, []
        return news

    def say(self, message: Message) -> None:
        self.world.receive(self.number, message)

    # -- futures ----------------------------------------------------------------------------------------------------

    def item(
        self,
        key: str,
        dependencies: Sequence[int] = (),
        *,
        pins: Sequence[int] = (),
        priority: int = 0,
        retries: int = 0,
        parent: int = 0,
        fn: bytes = FN,
        fid: int = 0,
    ) -> TaskItem:
        fid = fid or next(self._fids)
        self.keys[fid] = key
        return TaskItem(fid, key, fn, (b"args",), tuple(dependencies), tuple(pins), priority, retries, parent)

    def submit(self, key: str, dependencies: Sequence[int] = (), **kwargs: Any) -> int:
        """Submit one task; returns its fid."""
        item = self.item(key, dependencies, **kwargs)
        self.submit_items([item])
        return item.fid

    def submit_items(self, items: Iterable[TaskItem]) -> None:
        items = tuple(items)
        self.say(Submit(self._functions_of(items), items))

    def _functions_of(self, items: Iterable[TaskItem | LocalItem]) -> tuple[FunctionItem, ...]:
        """Those that the scheduler has not."""
        new = dict.fromkeys(item.fn for item in items if item.fn not in self._sent)
        self._sent.update(new)
        return tuple(FunctionItem(fn, (b"code of " + fn,)) for fn in new)

    def want(self, key: str) -> int:
        fid = next(self._fids)
        self.keys[fid] = key
        self.say(Want((WantItem(fid, key),)))
        return fid

    def release(self, *fids: int) -> None:
        self.say(Release(fids))
        for fid in fids:
            self.keys.pop(fid, None)
            self.outcomes.pop(fid, None)
        if self.world.held:
            self._crossed.update(fids)

    def keep(self, *fids: int) -> None:
        self.say(Keep(fids))

    def cancel(self, *fids: int, reason: str = "") -> None:
        self.say(Cancel(fids, reason))

    def scatter(
        self,
        key: str,
        value: Frames = VALUE,
        *,
        workers: Sequence[str] = (),
        broadcast: bool = False,
        pins: Sequence[int] = (),
    ) -> int:
        fid = next(self._fids)
        self.keys[fid] = key
        item = ScatterItem(fid, key, "bytes", value, tuple(pins))
        self.say(Scatter((item,), tuple(workers), broadcast))
        return fid

    def locate(self, fid: int) -> tuple[Frames | None, tuple[str, ...]]:
        self.say(Locate((fid,)))
        return self.located.pop(fid)

    def bring(self, *values: str, running: Sequence[str] = (), nbytes: int = 5, more: bool = False) -> None:
        """Have come back with the values of these keys, and with these tasks running; and with `more`, to be told."""
        self.say(Bring(tuple([(key, "bytes", nbytes) for key in values]), tuple(running), more))

    def call(self, verb: Verb, *args: Any, frames: Frames | None = None) -> int:
        request = next(self._requests)
        self.say(Call(request, verb, args, frames))
        return request

    # -- hearing ----------------------------------------------------------------------------------------------------

    def forget_crossed(self) -> None:
        """The turn has ended: from now on news of released futures is wrong."""
        self._crossed.clear()

    def hear(self, message: Message) -> None:
        match message:
            case Welcome(name, _, _):
                self.name = name
            case Report(finished, erred, lost):
                finished = [item for item in finished if item[0] not in self._crossed]
                erred = [item for item in erred if item[0] not in self._crossed]
                for fid, _, _, frames in finished:
                    assert fid not in self.outcomes or fid in self.settled, f"{self.keys[fid]} has an outcome, and now"
                    self.outcomes[fid] = "finished"
                    self.values[fid] = frames
                    self._news.append(f"finished {self.keys[fid]}")
                for fid, error in erred:
                    assert self.outcomes.get(fid) != "erred", f"{self.keys[fid]} erred twice"
                    self.outcomes[fid] = "erred"
                    self.errors[fid] = ErrorItem(*error)
                    self._news.append(f"erred {self.keys[fid]} {ErrorKind(error[0]).name}")
                for fid in [fid for fid in lost if fid not in self._crossed]:
                    assert self.outcomes.pop(fid, None) != "erred", f"{self.keys[fid]} erred, and now it is lost"
                    self._news.append(f"lost {self.keys[fid]}")
            case Located(items):
                for fid, _, frames, addresses in items:
                    self.located[fid] = (frames, addresses)
            case Answer(request, ok, value):
                self.answers[request] = (ok, value)
            case _:
                raise AssertionError(f"{self.name} got {message}")


class Client(Peer):
    """A client."""


class Worker(Peer):
    """A worker that does what the test says."""

    def __init__(self, world: World, number: int, name: str, nthreads: int) -> None:
        super().__init__(world, number, name)
        self.nthreads = nthreads
        self.tasks: dict[str, RunItem] = {}  # by key: the attempts that it was sent and has not ended
        self.held: dict[int, str] = {}  # values: id -> key
        self.functions: dict[bytes, Frames] = {}
        self.requests: list[int] = []  # functions to run
        self.lent = 0
        self.beats = False
        self.put: dict[int, str] = {}  # values that it was sent and has not acknowledged: id -> key
        self.fetched: dict[int, str] = {}  # inputs of its tasks
        self.grants: list[int] = []
        self.circles: list[tuple[int, tuple[str, ...]]] = []
        self.questions: dict[int, str] = {}  # keys that it was asked for, by the number of the question
        self.adopted: dict[int, tuple[int, int]] = {}  # by fid: (task id, run)
        self._published: dict[int, LocalItem] = {}  # by fid, until it is adopted or not
        self._names: dict[int, str] = {}

    def hear(self, message: Message) -> None:
        match message:
            case Run(functions, tasks):
                self.functions.update(functions)
                for entry in tasks:
                    item = RunItem(*entry)
                    assert item.fn in self.functions, f"{self.name} does not know the function of {item.key}"
                    self._names[item.id] = item.key
                    self.fetched.update((source[0], source[1]) for source in item.inputs)
                    self.tasks[item.key] = item
                    self._news.append(f"run {item.key}")
            case Put(items):
                for id, key, _, _ in items:
                    self._names[id] = key
                    self.put[id] = key
                    self._news.append(f"put {key}")
            case Replicate(items):
                for id, key, _, frames, addresses in items:
                    self._names[id] = key
                    self.put[id] = key
                    how = "put" if frames is not None else f"fetch from {','.join(addresses)}:"
                    self._news.append(f"{how} {key}")
            case Shutdown(reason):
                self._news.append(f"end: {reason}")
            case Free(ids):
                for id in ids:
                    self.held.pop(id, None)
                    self._news.append(f"free {self._names.get(id, id)}")
            case Drop(attempts):
                self._news += [f"drop {self._names.get(id, id)}" for id, _ in attempts]
                for id, run in attempts:
                    self._remove(id, run)
            case Retract(attempts):
                self._news += [f"retract {self._names[id]}" for id, _ in attempts]
            case RunFunction(request, _):
                self.requests.append(request)
            case Adopt(items):
                for fid, id, run in items:
                    self._adopt(fid, id, run)
            case Accept(items):
                for key, id, run in items:
                    self._accept(key, id, run)
            case Grant(slots):
                self.grants.append(slots)
            case Seek(items):
                for number, key in items:
                    self.questions[number] = key
                    self._news.append(f"seek {key}")
            case Circle(wait, keys):
                self.circles.append((wait, keys))
            case _:
                super().hear(message)

    def answer(self, *numbers: int) -> None:
        """It has told of all that it had of the keys that it was asked for: in all questions, or in these."""
        numbers = numbers or tuple(self.questions)
        for number in numbers:
            self.questions.pop(number, None)
        self.say(Sought(numbers))

    def _adopt(self, fid: int, id: int, run: int) -> None:
        item = self._published.pop(fid)
        if not id:
            assert run == 0
            self._news.append(f"attach {item.key}")
            return
        assert id not in self._names, f"{item.key} is known already"
        self.adopted[fid] = (id, run)
        self._names[id] = item.key
        self._news.append(f"adopt {item.key}")
        if item.stage == Stage.RUNNING:
            assert run == 1
            self.tasks[item.key] = RunItem(id, run, item.key, item.fn, item.args, (), item.priority, 0)
        else:
            assert (item.stage, run) == (Stage.FINISHED, 0)
            self.held[id] = item.key
            self.settled.add(fid)
            if fid in self.keys:
                self.outcomes.setdefault(fid, "finished")

    def _accept(self, key: str, id: int, run: int) -> None:
        """What it has brought along."""
        if not id:
            assert run == 0
            self._news.append(f"refuse {key}")
            return
        assert id not in self._names, f"{key} is known already"
        self._names[id] = key
        if run:
            self.tasks[key] = RunItem(id, run, key, FN, (b"",), (), 0, 0)
            self._news.append(f"go on {key}")
        else:
            self.held[id] = key
            self._news.append(f"keep {key}")

    def _remove(self, id: int, run: int) -> None:
        for key, item in list(self.tasks.items()):
            if (item.id, item.run) == (id, run):
                del self.tasks[key]

    def done(
        self,
        finished: Iterable[FinishedItem] = (),
        erred: Iterable[ErredItem] = (),
        returned: Iterable[tuple[int, int]] = (),
        missing: Iterable[MissingItem] = (),
        replicas: Iterable[tuple[int, int]] = (),
    ) -> None:
        news = (tuple(finished), tuple(erred), tuple(returned), tuple(missing), tuple(replicas))
        self.say(Done(*news, self.lent))

    # -- local tasks ------------------------------------------------------------------------------------------------

    def local(
        self,
        key: str,
        stage: Stage,
        dependencies: Sequence[int] = (),
        *,
        value: Frames | None = VALUE,
        nbytes: int = 5,
        value_pins: Sequence[str] = (),
        error: ErrorKind = ErrorKind.TASK,
        **kwargs: Any,
    ) -> LocalItem:
        """A task that this worker has kept to itself. What is said about a value or an error goes with the stage."""
        task = self.item(key, dependencies, **kwargs)
        outcome: tuple[Any, ...] = ("", 0, None, (), ())
        if stage == Stage.FINISHED:
            outcome = ("bytes", nbytes, value, tuple(value_pins), ())
        elif stage == Stage.FAILED:
            outcome = ("", 0, None, (), (ErrorItem(error, (b"exception",), key, self.name, 0, "Traceback"),))
        return LocalItem(*task, stage, *outcome)

    def publish(self, *items: LocalItem) -> None:
        """Tell the scheduler of them."""
        for item in items:
            if item.stage == Stage.LINEAGE:
                del self.keys[item.fid]  # it is no future
            else:
                self._published[item.fid] = item
        self.say(Publish(self._functions_of(items), items))

    def offer(self, tasks: int) -> None:
        """Say how many tasks it could submit."""
        self.say(Surplus(tasks))

    def result(
        self, key: str, value: Frames | None = VALUE, *, nbytes: int = 5, micros: int = 10_000, pins: Sequence[str] = ()
    ) -> FinishedItem:
        """The report that this task is finished; it is no longer among `tasks`."""
        item = self.tasks.pop(key)
        self.held[item.id] = key
        return FinishedItem(item.id, item.run, "bytes", nbytes, micros, value, tuple(pins))

    def runnable(self, key: str) -> str:
        """This task, or the one that it has to wait for here."""
        by_id = {item.id: item for item in self.tasks.values()}
        item = self.tasks[key]
        while inputs := [by_id[source[0]] for source in item.inputs if source[0] in by_id]:
            item = inputs[0]
        return item.key

    def finish(self, *keys: str, **kwargs: Any) -> None:
        """Report these tasks as finished."""
        self.done(finished=[self.result(key, **kwargs) for key in keys])

    def fail(self, key: str, kind: ErrorKind = ErrorKind.TASK) -> None:
        """Report that a task raised."""
        item = self.tasks.pop(key)
        error = ErrorItem(kind, (b"exception",), key, self.name, item.run, "Traceback")
        self.done(erred=[ErredItem(item.id, item.run, error)])

    def give_back(self, *keys: str) -> None:
        """Return tasks that were asked back."""
        items = [self.tasks.pop(key) for key in keys]
        self.done(returned=[(item.id, item.run) for item in items])

    def miss(self, key: str, *inputs: int) -> None:
        """Report that these inputs of a task are not to be had."""
        item = self.tasks.pop(key)
        self.done(missing=[MissingItem(item.id, item.run, tuple(inputs))])

    def beat(self) -> None:
        """A sign of life."""
        self.say(Pulse(0))

    def lend(self, n: int) -> None:
        """Say how many of its tasks hold no slot."""
        self.lent = n
        self.done()

    def store(self, key: str, nbytes: int = 5) -> None:
        """Acknowledge a value that was put here or fetched."""
        known = self.fetched | self.put
        self.store_id(next(id for id in reversed(known) if known[id] == key), nbytes)  # the last of this name

    def store_id(self, id: int, nbytes: int = 5) -> None:
        """The same, by its id."""
        self._names[id] = self.held[id] = self.put.pop(id, "") or self.fetched[id]
        self.done(replicas=[(id, nbytes)])

    def ran(self, frames: Frames = VALUE, ok: bool = True) -> None:
        """Answer the oldest function to run."""
        self.say(RanFunction(self.requests.pop(0), ok, frames))

    def die(self, cause: str | None = "SIGKILL", executing: Sequence[str] | None = None) -> None:
        """End; `executing`: keys of the tasks to be blamed."""
        ids = None if executing is None else [self.tasks[key].id for key in executing]
        self.world.lost(self, cause, ids)
