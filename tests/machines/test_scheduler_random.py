"""Anything that peers may do, in any order: the invariants hold after each turn, and in the end every future has one
outcome.

The driver knows what each fake peer holds and says only what a well-behaved peer could say at that moment; what a
worker says may be late. At the end all workers do all that they are told until nothing moves any more.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fastsched.config import Config
from fastsched.wire.messages import Stage, Verb
from tests.machines.helpers.scheduler_world import Client, Peer, Worker, World

INDEX = st.integers(0, 1 << 16)
LARGE = {"value": None, "nbytes": 2 << 20}  # beyond Config.locality_bytes


def pick(items, index):
    """One of the items, or None if there are none."""
    items = list(items)
    return items[index % len(items)] if items else None


class Cluster(RuleBasedStateMachine):
    """A scheduler with up to three clients and four workers."""

    CONFIG: ClassVar[dict[str, float]] = {
        "allowed_failures": 1,
        "inline_budget": 12,
        "retain_budget": 40,
        "batch_items": 3,
        "functions": 2,
        "inline_bytes": 10,
    }

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Config(**self.CONFIG))
        self.clients: list[Client] = [self.world.client("c0")]
        self.workers: list[Worker] = []
        self.names = 0
        self.late: list[tuple[Worker, object]] = []  # reports that are on their way

    def peers(self) -> list[Peer]:
        return [*self.clients, *self.workers]

    @initialize(known=st.booleans())
    def begin(self, known):
        """Perhaps a worker is known to be fast: then tasks are sent there before their inputs."""
        if known:
            self.worker_joins(2)
            fid = self.clients[0].submit("k0")
            self.workers[0].finish("k0", micros=1)
            self.clients[0].release(fid)

    # -- turns ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: not self.world.held)
    @rule()
    def turn_begins(self):
        """From here on, everything arrives in one wake-up of the scheduler."""
        self.world.hold()

    @precondition(lambda self: self.world.held)
    @rule()
    def turn_ends(self):
        self.world.go_on()

    # -- clients ----------------------------------------------------------------------------------------------------

    @rule(who=INDEX, key=st.integers(0, 8), inputs=st.lists(INDEX, max_size=3), pins=st.lists(INDEX, max_size=1),
          priority=st.integers(-1, 1), retries=st.integers(0, 1), parent=INDEX, fn=st.integers(0, 3))  # fmt: skip
    def submit(self, who, key, inputs, pins, priority, retries, parent, fn):
        peer = pick(self.peers(), who)
        running = pick(peer.tasks.values(), parent) if isinstance(peer, Worker) else None
        # a key names a value, so its inputs are a function of it, too: only keys below it
        below = [fid for fid in peer.keys if peer.keys[fid] < f"k{key}"]
        peer._sent.clear()  # functions are few here, and forgotten often: bring it each time
        peer.submit(
            f"k{key}",
            [pick(below, index) for index in inputs if below],
            pins=[pick(below, index) for index in pins if below],
            priority=priority,
            retries=retries,
            parent=running.id if running else 0,
            fn=bytes([65 + fn]) * 8,
        )

    @precondition(lambda self: self.workers)
    @rule(who=INDEX, key=st.integers(0, 8), stage=st.sampled_from(Stage), inputs=st.lists(INDEX, max_size=2),
          pins=st.lists(INDEX, max_size=1), source=st.integers(0, 8), retries=st.integers(0, 1), fn=st.integers(0, 3),
          inside=st.booleans())  # fmt: skip
    def publish(self, who, key, stage, inputs, pins, source, retries, fn, inside):
        """A task that a worker had kept to itself, perhaps with one that it was made from."""
        worker = pick(self.workers, who)
        below = [fid for fid in worker.keys if worker.keys[fid] < f"k{key}"]
        dependencies = [pick(below, index) for index in inputs if below]
        items = []
        if source < key:
            lower = [fid for fid in below if worker.keys[fid] < f"k{source}"]
            items.append(worker.local(f"k{source}", Stage.LINEAGE, lower[:1], fn=bytes([65 + fn]) * 8))
            dependencies += [items[0].fid] * (source % 2)
        worker._sent.clear()
        items.append(
            worker.local(
                f"k{key}",
                stage,
                dependencies,
                pins=[pick(below, index) for index in pins if below] + [item.fid for item in items if inside],
                retries=retries,
                fn=bytes([66 + fn]) * 8,
                value_pins=[f"k{n}" for n in (0, 3) if n <= key and inside],
            )
        )
        worker.publish(*items)

    @precondition(lambda self: self.workers)
    @rule(who=INDEX, tasks=st.integers(0, 3))
    def offer(self, who, tasks):
        pick(self.workers, who).offer(tasks)

    @rule(who=INDEX, which=INDEX)
    def release(self, who, which):
        peer = pick(self.peers(), who)
        fid = pick(peer.keys, which)
        if fid is not None:
            peer.release(fid)

    @rule(who=INDEX, which=INDEX, keep=st.booleans())
    def cancel_or_keep(self, who, which, keep):
        peer = pick(self.peers(), who)
        fid = pick(peer.keys, which)
        if fid is not None:
            peer.keep(fid) if keep else peer.cancel(fid)

    @rule(who=INDEX, key=st.integers(0, 9))
    def want(self, who, key):
        pick(self.peers(), who).want(f"k{key}")

    @rule(who=INDEX, key=st.integers(0, 2), size=st.sampled_from([1, 9, 20]), broadcast=st.booleans(), name=INDEX)
    def scatter(self, who, key, size, broadcast, name):
        workers = [worker.name for worker in self.workers] + ["", "nowhere"]
        name = pick(workers, name)
        pick(self.peers(), who).scatter(f"a{key}", (b"x" * size,), workers=[name] if name else [], broadcast=broadcast)

    @precondition(lambda self: not self.world.held)
    @rule(who=INDEX, which=INDEX)
    def locate(self, who, which):
        peer = pick(self.peers(), who)
        fid = pick(peer.keys, which)
        if fid is not None:
            frames, addresses = peer.locate(fid)
            assert peer.outcomes.get(fid) == "finished" or (frames is None and not addresses)

    @rule(who=INDEX, verb=st.sampled_from([Verb.INFO, Verb.NTHREADS, Verb.RUN]))
    def call(self, who, verb):
        pick(self.peers(), who).call(verb, frames=(b"",))

    @precondition(lambda self: len(self.clients) < 3)
    @rule()
    def client_joins(self):
        self.names += 1
        self.clients.append(self.world.client(f"c{self.names}"))

    @precondition(lambda self: len(self.clients) > 1)
    @rule(who=INDEX)
    def client_leaves(self, who):
        self._leave(self.clients.pop(who % len(self.clients)))

    # -- workers ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.workers) < 4)
    @rule(nthreads=st.integers(1, 2))
    def worker_joins(self, nthreads):
        self.names += 1
        self.workers.append(self.world.worker(f"w{self.names}", nthreads))

    @precondition(lambda self: self.workers)
    @rule(who=INDEX, blame=st.booleans(), planned=st.booleans())
    def worker_dies(self, who, blame, planned):
        worker = self.workers.pop(who % len(self.workers))
        executing = list(worker.tasks)[: worker.nthreads] if blame else [] if planned else None
        worker.die(executing=executing)
        self._leave(worker)
        if not self.workers:
            self.world.machine.give_up("no more", self.world.now)
            self.world.settle()

    @rule(who=INDEX, which=INDEX, what=st.sampled_from(["finish", "large", "fail", "return", "miss", "pins"]),
          late=st.booleans(), micros=st.sampled_from([1, 1000, 50_000]))  # fmt: skip
    def report(self, who, which, what, late, micros):
        worker = pick(self.workers, who)
        key = pick(worker.tasks, which) if worker else None
        if key is not None and what in ("finish", "large", "pins"):
            key = worker.runnable(key)
        if key is None:
            return
        if what == "finish":
            act = self._later(worker.done, finished=[worker.result(key, micros=micros)])
        elif what == "large":
            act = self._later(worker.done, finished=[worker.result(key, micros=micros, **LARGE)])
        elif what == "pins":
            pins = [f"k{n}" for n in (0, 3, 6) if f"k{n}" <= key]  # no rings: they live as long as the scheduler
            act = self._later(worker.done, finished=[worker.result(key, pins=pins)])
        elif what == "fail":
            act = self._later(worker.fail, key)
            late = False
        elif what == "return":
            item = worker.tasks.pop(key)
            act = self._later(worker.done, returned=[(item.id, item.run)])
        else:
            item = worker.tasks.pop(key)
            act = self._later(worker.done, missing=[(item.id, item.run, tuple(entry[0] for entry in item.inputs[:1]))])
        if late:
            self.late.append((worker, act))
        else:
            act()

    @precondition(lambda self: self.late)
    @rule(which=INDEX)
    def late_report(self, which):
        worker, act = self.late.pop(which % len(self.late))
        if worker in self.workers:
            act()

    @rule(who=INDEX, which=INDEX, nbytes=st.sampled_from([5, 2 << 20]))
    def store(self, who, which, nbytes):
        """A value that was put here, or fetched for a task, has come."""
        worker = pick(self.workers, who)
        id = pick(worker.put | worker.fetched, which) if worker else None
        if id is not None:
            worker.store_id(id, nbytes)

    @rule(who=INDEX, n=st.integers(0, 2))
    def lend(self, who, n):
        worker = pick(self.workers, who)
        if worker is not None:
            worker.lend(min(n, len(worker.tasks)))

    @rule(who=INDEX, which=INDEX, late=st.booleans())
    def answer(self, who, which, late):
        """It was asked for a key that nobody knew; what it had of that it has told of by now."""
        worker = pick(self.workers, who)
        number = pick(worker.questions, which) if worker else None
        if number is not None:
            worker.answer(number)
            if late:
                worker.answer(number)

    @rule(who=INDEX)
    def ran(self, who):
        worker = pick(self.workers, who)
        if worker is not None and worker.requests:
            worker.ran()

    @rule(who=INDEX, full=st.booleans())
    def congested(self, who, full):
        worker = pick(self.workers, who)
        if worker is not None:
            self.world.machine.congested(worker.number, full, self.world.now)
            self.world.settle()

    @precondition(lambda self: not self.world.held)
    @rule(seconds=st.sampled_from([0.001, 0.1, 10.0]))
    def time_passes(self, seconds):
        self.world.advance(seconds)

    # -- the end ----------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        self.world.go_on()
        self._finish_everything()
        for peer in self.peers():
            for fid in peer.keys:
                assert fid in peer.outcomes, f"the future of {peer.keys[fid]} of {peer} hangs"
        for peer in self.peers():
            peer.release(*list(peer.keys))
        self._finish_everything()  # tasks that are kept, or have not heard yet that they were dropped
        assert self.world.empty()
        assert self.world.put_out == []

    def _finish_everything(self) -> None:
        """Every worker does what it is told until nothing moves."""
        if not self.workers:
            self.names += 1
            self.workers.append(self.world.worker(f"w{self.names}"))
        for _, act in self.late:
            act()
        self.late.clear()
        for worker in self.workers:
            self.world.machine.congested(worker.number, False, self.world.now)
            worker.lend(0)
        moved = True
        while moved:
            moved = False
            self.world.advance(1.0)
            for worker in self.workers:
                for id in list(worker.put):
                    worker.store_id(id)
                    moved = True
                if worker.questions:
                    worker.answer()
                    moved = True
                if worker.tasks:
                    worker.finish(*list(worker.tasks))
                    moved = True

    def _leave(self, peer: Peer) -> None:
        self.world.lost(peer)
        peer.keys.clear()
        self.late = [entry for entry in self.late if entry[0] is not peer]

    @staticmethod
    def _later(function, *args, **kwargs):
        return lambda: function(*args, **kwargs)


TestCluster = Cluster.TestCase
TestCluster.settings = settings(stateful_step_count=60)
