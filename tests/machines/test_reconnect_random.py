"""Clients, workers and schedulers that die, at random: what is wanted has its value, and nothing is computed twice.

The real machines with lists between them; a seed decides what happens next. No worker dies here, so each task has to
run once: that it does is what the test is for.
"""

from __future__ import annotations

import os
import random
from collections import Counter, deque

import pytest

from fastsched.client.machine import ClientMachine, Fetched, GetFrom
from fastsched.client.machine import Send as ClientSend
from fastsched.client.record import FutureRecord, Status
from fastsched.config import Config
from fastsched.scheduler.machine import SchedulerMachine
from fastsched.scheduler.machine import Send as SchedulerSend
from fastsched.wire.messages import DatumItem, ErrorItem, ErrorKind, Register, Role, TaskItem, Welcome
from fastsched.worker.jobs import Fetch, Job, Start
from fastsched.worker.machine import SCHEDULER, WorkerMachine
from fastsched.worker.store import Value

LOST = ErrorItem(ErrorKind.SCHEDULER_LOST, None, "", "", 0, "the scheduler is gone")
CLIENT = 1
STEPS = 250
MOST_STEPS = 20_000


def value_of(key: str, inputs: list[bytes]) -> bytes:
    """What a task gives: its inputs can be read from it."""
    return key.encode() + b"(" + b",".join(inputs) + b")"


class World:
    """One client, some workers, and one scheduler after the other."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.config = Config(inline_bytes=self.random.choice([0, 20, 1000]), batch_items=self.random.choice([2, 1000]))
        self.now = 0.0
        self.epoch = 1
        self.client = ClientMachine(self.config, True)
        self.workers: dict[str, WorkerMachine] = {}
        self.slots: dict[str, int] = {}
        for n in range(self.random.randint(1, 3)):
            name, address, slots = f"w{n}", f"tcp://w{n}:1", self.random.randint(1, 3)
            self.workers[address] = WorkerMachine(self.config, slots, name, address, n)
            self.slots[name] = slots
        self.running: list[tuple[WorkerMachine, Job]] = []
        self.ran: Counter[str] = Counter()
        self.expected: dict[str, bytes] = {}
        self.held: dict[int, FutureRecord] = {}
        self.fetched: dict[int, bytes | None] = {}
        self.fetches: list[tuple[object, object]] = []
        self.last = 0
        self.scheduler: SchedulerMachine | None = None
        self.away: list[object] = []
        self.queues: dict[tuple[int, bool], deque] = {}  # by peer, and whether it is to the scheduler
        self.peers: dict[int, object] = {}
        self.numbers = 1
        self.again = False
        self.begin(successor=False)
        while self.away:
            self.come()

    # -- schedulers ----------------------------------------------------------------------------------------------------

    def begin(self, successor: bool) -> None:
        self.epoch += 1
        self.scheduler = SchedulerMachine(self.config, self.epoch, version="", epoch=self.epoch, successor=successor)
        self.away = [self.client, *self.workers.values()]
        self.random.shuffle(self.away)

    def crash(self) -> None:
        self.queues.clear()
        self.scheduler = None
        self.again = True
        for peer in self.peers.values():
            if isinstance(peer, WorkerMachine):
                peer.part(set(), 0, LOST)
                peer.check()
            else:
                peer.part(0, self.now, LOST)
        self.peers.clear()
        self.step_all()

    def come(self) -> None:
        """One more peer finds the scheduler."""
        assert self.scheduler is not None
        machine = self.away.pop()
        self.numbers += 1
        number = self.numbers
        self.peers[number] = machine
        worker = isinstance(machine, WorkerMachine)
        name, slots, address = (machine.name, self.slots[machine.name], machine.address) if worker else ("c", 0, "")
        register = Register(name, "", 1, slots, address, 0, "", int(self.again))
        self.scheduler.joined(number, Role.WORKER if worker else Role.CLIENT, register, self.now)
        self.queues[number, True], self.queues[number, False] = deque(), deque()
        if worker:
            self.queues[number, True].extend(machine.brought() if self.again else ())
        else:
            machine.come_back(0, self.now)
        self.step_all()

    # -- what the machines want ----------------------------------------------------------------------------------------

    def step_all(self) -> None:
        if self.scheduler is not None:
            for action in self.scheduler.drain():
                assert isinstance(action, SchedulerSend), action
                self.queues[action.peer, False].append(action.message)
            self.scheduler.check()
        numbers = {id(machine): number for number, machine in self.peers.items()}
        for action in self.client.drain():
            if isinstance(action, ClientSend):
                self.queues[numbers[id(self.client)], True].append(action.message)
            elif isinstance(action, GetFrom):
                self.fetches.append((self.client, action))
            elif isinstance(action, Fetched):
                self.fetched[action.record.fid] = action.frames and b"".join(action.frames)
        self.client.check()
        for machine in self.workers.values():
            for action in machine.errands():
                if isinstance(action, Start):
                    self.running.append((machine, action.job))
                elif isinstance(action, Fetch):
                    self.fetches.append((machine, action))
            if id(machine) in numbers:
                self.queues[numbers[id(machine)], True].extend(machine.reports())
            machine.check()

    def deliver(self) -> None:
        full = [key for key, queue in self.queues.items() if queue]
        number, up = self.random.choice(full)
        message = self.queues[number, up].popleft()
        if up:
            self.scheduler.receive(number, message, self.now)
        elif not isinstance(message, Welcome):
            machine = self.peers[number]
            machine.receive(SCHEDULER, message, self.now)

    def finish(self) -> None:
        machine, job = self.running.pop(self.random.randrange(len(self.running)))
        result = value_of(job.key, [b"".join(value.frames) for value in job.values])
        self.ran[job.key] += 1
        machine.finished(job, Value((result,), "bytes"), 5, ())

    def fetch(self) -> None:
        machine, action = self.fetches.pop(self.random.randrange(len(self.fetches)))
        if isinstance(action, Fetch):
            source = self.workers[action.address]
            machine.fetched(action.address, [(id, source.frames_of(id)) for id in action.ids], self.now)
        else:
            frames = self.workers[action.addresses[0]].frames_of(action.id)
            machine.fetched(action.fid, DatumItem(action.id, frames), self.now)

    # -- what the user does --------------------------------------------------------------------------------------------

    def submit(self) -> None:
        self.last += 1
        fid, key = self.last, f"k{self.last}"
        sources = self.random.sample(list(self.held.values()), min(len(self.held), self.random.choice([0, 0, 1, 2])))
        record = FutureRecord(fid, key)
        fn = self.random.choice([b"f" * 8, b"g" * 8])
        item = TaskItem(fid, key, fn, (b"args",), tuple(source.fid for source in sources), (), 0, 0, 0)
        self.expected[key] = value_of(key, [self.expected[source.key] for source in sources])
        self.held[fid] = record
        self.client.submit(record, item, (b"function",))

    def release(self) -> None:
        fid = self.random.choice(list(self.held))
        del self.held[fid]
        self.client.release(fid)

    # -- a run --------------------------------------------------------------------------------------------------------

    def step(self, users: bool) -> bool:
        """One thing happens; False: there is nothing that could."""
        can = []
        if any(self.queues.values()):
            can += [self.deliver] * 8
        if self.running:
            can += [self.finish] * 2
        if self.fetches:
            can += [self.fetch] * 2
        if self.scheduler is not None and self.away:
            can += [self.come]
        if users:
            can += [self.submit, self.submit]
            if self.held:
                can.append(self.release)
            if self.scheduler is None:
                can.append(lambda: self.begin(successor=True))
            elif not self.away and self.random.random() < 0.1:
                can.append(self.crash)
        elif self.scheduler is None:
            can = [lambda: self.begin(successor=True)]
        if not can:
            return False
        self.random.choice(can)()
        self.step_all()
        return True

    def pass_time(self) -> bool:
        """Nothing else happens before the next deadline. False: there is none."""
        deadlines = [self.scheduler.next_deadline(), self.client.next_deadline()]
        deadlines = [deadline for deadline in deadlines if deadline is not None]
        if not deadlines:
            return False
        self.now = max(self.now, min(deadlines))
        self.scheduler.tick(self.now)
        if self.client.has_deadline() and self.client.next_deadline() <= self.now:
            self.client.tick(self.now)
        self.step_all()
        return True

    def run(self) -> None:
        for _ in range(STEPS):
            self.step(users=True)
            scheduler = self.scheduler
            if scheduler is None or self.away or self.random.random() >= 0.05:
                continue
            if not (scheduler.books.gathering and any(self.queues.values())):  # else somebody would be late
                self.pass_time()
        self.settle()
        for record in self.held.values():
            self.client.fetch(record.fid)
        self.step_all()
        self.settle()

    def settle(self) -> None:
        for _ in range(MOST_STEPS):
            if not self.step(users=False) and not self.pass_time():
                return
        raise AssertionError("it never ends")


@pytest.mark.parametrize("seed", range(int(os.environ.get("FASTSCHED_TEST_RETURNS", "30"))))
def test_nothing_is_lost_and_nothing_runs_twice(seed):
    world = World(seed)
    world.run()
    for fid, record in world.held.items():
        assert record.status is Status.FINISHED, record
        assert world.fetched[fid] == world.expected[record.key]
    assert set(world.ran.values()) <= {1}, [key for key, count in world.ran.items() if count > 1]
    for fid in list(world.held):
        world.client.release(fid)
    world.step_all()
    world.settle()
    assert world.scheduler.books.core.n_tasks == 0
    assert [machine.n_rows for machine in world.workers.values()] == [0] * len(world.workers)
