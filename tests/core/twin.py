"""The core again, in plain Python and as slowly as one likes: what it should do, said in another way.

The core keeps counters and passes changes on; the twin recomputes who is needed from the whole graph and applies rules
until none applies. It learns ids from the core, and otherwise shares nothing with it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction

from fastsched._core import Effect, State

GONE = -2
REJOINS_IN_A_ROW = 8
ACTIVE = (State.WAITING, State.READY, State.ASSIGNED)


@dataclass
class TwinTask:
    id: int
    deps: list[int]
    wants: int
    priority: int
    order: int
    seq: int
    only: int = -1
    external: bool = False
    handed: bool = False
    young: bool = False
    held: bool = False
    state: State = State.RELEASED
    run: int = 0
    worker: int = -1
    seceded: bool = False
    rejoining: bool = False
    early: bool = False
    nbytes: int = 0
    holders: set[int] = field(default_factory=set)
    causes: set[int] = field(default_factory=set)

    @property
    def active(self) -> bool:
        return self.state in ACTIVE and not self.external

    @property
    def queued(self) -> bool:
        """Active, and not yet with a worker."""
        return self.active and self.state != State.ASSIGNED

    @property
    def key(self) -> tuple[int, int, int]:
        return (-self.priority, self.order, self.seq)


@dataclass
class TwinWorker:
    slots: int
    limit: int
    open: bool = True
    lent: int = 0
    early: int = 0
    rejoins: int = 0
    rejoining: list[int] = field(default_factory=list)


class Twin:
    def __init__(self, locality_bytes: int = 1 << 20) -> None:
        self.locality_bytes = locality_bytes
        self.tasks: dict[int, TwinTask] = {}
        self.workers: dict[int, TwinWorker] = {}
        self.effects: list[tuple[int, int, int, int]] = []
        self.arrivals = 0
        self.seen: set[int] = set()

    # ---- rules -----------------------------------------------------------------------------------------------------

    def needed(self, task: TwinTask) -> bool:
        return task.wants > 0 or self.n_needed(task) > 0

    def n_needed(self, task: TwinTask) -> int:
        return sum(other.deps.count(task.id) for other in self.tasks.values() if other.active)

    def unmet(self, task: TwinTask) -> int:
        return sum(self.tasks[dep].state != State.MEMORY for dep in task.deps)

    def settle(self) -> None:
        erred: list[TwinTask] = []
        while any(self.advance(task, erred) for task in self.tasks.values()):
            pass
        changed = True
        while changed:  # which of several reasons an error is blamed on is free
            before = [len(task.causes) for task in erred]
            for task in erred:
                task.causes |= {c for dep in task.deps for c in self.tasks[dep].causes}
            changed = before != [len(task.causes) for task in erred]
        while any(self.retire(task) for task in list(self.tasks.values())):
            pass

    def advance(self, task: TwinTask, erred: list[TwinTask]) -> bool:
        """One step towards what is needed, if there is one."""
        if task.state == State.RELEASED and self.needed(task):
            task.state = State.WAITING
            if task.external:
                self.effect(Effect.FETCH, task)
        elif task.early and not self.unmet(task):
            task.early = False
        elif task.early and not self.comes_to(task, task.worker):
            self.effect(Effect.DROP, task, task.worker, task.run)
            self.detach(task)
            task.state = State.WAITING
        elif not task.queued:
            return False
        elif task.only == GONE:
            self.enter_erred(task, {task.id})
            erred.append(task)
        elif any(self.tasks[dep].state == State.ERRED for dep in task.deps):
            self.enter_erred(task, set())
            erred.append(task)
        elif task.state == State.WAITING and not self.unmet(task):
            task.state = State.READY
        elif task.state == State.READY and self.unmet(task):
            task.state = State.WAITING
        else:
            return False
        return True

    def comes_to(self, task: TwinTask, worker: int) -> bool:
        """Is each of its inputs in memory, or with this worker?"""
        deps = [self.tasks[dep] for dep in task.deps]
        return all(dep.state == State.MEMORY or (dep.state, dep.worker) == (State.ASSIGNED, worker) for dep in deps)

    def retire(self, task: TwinTask) -> bool:
        """One step of letting go, if there is one."""
        if self.needed(task):
            return False
        if task.state != State.RELEASED:
            self.leave(task)
            task.state = State.RELEASED
            task.causes = set()
            return True
        if task.young or task.held or any(task.id in other.deps for other in self.tasks.values()):
            return False
        self.effect(Effect.FORGET, task)
        del self.tasks[task.id]
        return True

    def leave(self, task: TwinTask) -> None:
        if task.state == State.ASSIGNED:
            self.effect(Effect.DROP, task, task.worker, task.run)
            self.detach(task)
        for worker in task.holders:
            self.effect(Effect.FREE, task, worker)
        task.holders = set()

    def enter_erred(self, task: TwinTask, causes: set[int]) -> None:
        self.leave(task)
        task.state = State.ERRED
        task.causes = set(causes)
        self.effect(Effect.ERRED, task)

    def lose(self, task: TwinTask) -> None:
        self.effect(Effect.LOST, task)
        task.state = State.RELEASED
        if task.external and not task.handed:
            self.enter_erred(task, {task.id})

    def detach(self, task: TwinTask) -> None:
        if task.rejoining:
            self.workers[task.worker].rejoining.remove(task.id)
        task.worker = -1
        task.seceded = task.rejoining = task.early = False

    def effect(self, kind: Effect, task: TwinTask, a: int = 0, b: int = 0) -> None:
        self.effects.append((kind, task.id, a, b))

    # ---- workers ---------------------------------------------------------------------------------------------------

    def add_worker(self, worker: int, slots: int, limit: int) -> None:
        assert worker not in self.workers
        self.workers[worker] = TwinWorker(slots, limit)

    def remove_worker(self, worker: int) -> None:
        for task in self.tasks.values():
            if task.only == worker:
                task.only = GONE
        lost = []
        for task in self.tasks.values():
            if task.holders == {worker}:
                lost.append(task)
            task.holders.discard(worker)
        for task in lost:
            self.lose(task)
        for task in self.tasks.values():
            if task.worker == worker:
                self.detach(task)
                task.state = State.WAITING
        del self.workers[worker]
        self.settle()
        told = (Effect.ASSIGN, Effect.DROP, Effect.FREE, Effect.REJOIN)
        self.effects = [e for e in self.effects if e[0] not in told or e[2] != worker]

    def assigned(self, worker: int) -> list[TwinTask]:
        return [task for task in self.tasks.values() if task.worker == worker]

    def occupancy(self, worker: int) -> int:
        holding = sum(not (task.seceded or task.early) for task in self.assigned(worker))
        return max(0, holding - self.workers[worker].lent)

    def load(self, worker: int) -> tuple[Fraction, int]:
        return (Fraction(self.occupancy(worker), self.workers[worker].slots), worker)

    def has_room(self, worker: int) -> bool:
        record = self.workers[worker]
        return record.open and record.slots > 0 and self.occupancy(worker) < record.limit

    def idle_slots(self) -> int:
        return sum(max(0, r.slots - self.occupancy(w)) for w, r in self.workers.items() if r.open)

    # ---- tasks -----------------------------------------------------------------------------------------------------

    def add(
        self, id: int, deps: list[int], priority: int, order: int, wants: int, only: int, external: bool = False
    ) -> None:
        assert id not in self.seen, "an id was used twice"
        self.seen.add(id)
        order = self.arrivals if order < 0 else order
        task = TwinTask(id, list(deps), wants, priority, order, self.arrivals, only, external)
        task.young = wants == 0
        self.arrivals += 1
        self.tasks[id] = task

    def want(self, id: int, n: int) -> None:
        self.tasks[id].wants += n
        self.settle()

    def hold(self, id: int) -> None:
        self.tasks[id].held = True

    def let_go(self, id: int) -> None:
        self.tasks[id].held = False
        self.settle()

    def running(self, id: int, run: int, worker: int) -> TwinTask | None:
        task = self.tasks.get(id)
        return task if task and task.state == State.ASSIGNED and (task.run, task.worker) == (run, worker) else None

    def finish(self, id: int, run: int, worker: int, nbytes: int) -> bool:
        task = self.running(id, run, worker)
        if task:
            self.detach(task)
            self.enter_memory(task, worker, nbytes)
        return bool(task)

    def enter_memory(self, task: TwinTask, worker: int, nbytes: int) -> None:
        task.state = State.MEMORY
        task.holders = {worker}
        task.nbytes = nbytes
        self.effect(Effect.MEMORY, task, worker)
        self.settle()

    def fail(self, id: int, run: int, worker: int) -> bool:
        task = self.running(id, run, worker)
        if task:
            self.detach(task)
            task.state = State.WAITING
            self.enter_erred(task, {id})
            self.settle()
        return bool(task)

    def give_back(self, id: int, run: int, worker: int) -> bool:
        task = self.running(id, run, worker)
        if task:
            self.detach(task)
            task.state = State.WAITING
            self.settle()
        return bool(task)

    def err(self, id: int) -> bool:
        task = self.tasks.get(id)
        if not task or task.state in (State.RELEASED, State.ERRED):
            return False
        self.enter_erred(task, {id})
        self.settle()
        return True

    def replica(self, id: int, worker: int, nbytes: int) -> bool:
        task = self.tasks.get(id)
        if not task or worker not in self.workers:
            return False
        if task.state == State.MEMORY:
            task.holders.add(worker)
            return True
        if task.state == State.WAITING and task.external:
            self.enter_memory(task, worker, nbytes)
            return True
        return False

    def drop_replica(self, id: int, worker: int) -> bool:
        task = self.tasks.get(id)
        if not task or worker not in task.holders:
            return False
        task.holders.remove(worker)
        if not task.holders:
            self.lose(task)
            self.settle()
        return True

    def hand_over(self, id: int) -> bool:
        task = self.tasks.get(id)
        if not task or not task.queued:
            return False
        task.external = task.handed = True
        task.state = State.WAITING
        self.settle()
        return True

    def take_back(self, id: int) -> bool:
        task = self.tasks.get(id)
        if not task or task.state != State.WAITING or not task.handed:
            return False
        task.external = task.handed = False
        self.settle()
        return True

    def specify(self, id: int, deps: list[int], priority: int, order: int, worker: int, nbytes: int) -> bool:
        task = self.tasks[id]
        if not task.external or task.handed or task.state not in (State.RELEASED, State.WAITING):
            return False
        task.deps, task.priority, task.order = list(deps), priority, task.seq if order < 0 else order
        task.external = False
        if worker >= 0 and self.needed(task):
            task.run += 1
            self.enter_memory(task, worker, nbytes)
        else:
            self.settle()
        return True

    def upstream(self, id: int) -> set[int]:
        """Everything that this one depends on, itself included."""
        found, todo = {id}, [id]
        while todo:
            new = [dep for dep in self.tasks[todo.pop()].deps if dep not in found]
            found.update(new)
            todo += new
        return found

    # ---- slots -----------------------------------------------------------------------------------------------------

    def secede(self, id: int) -> bool:
        task = self.tasks.get(id)
        if not task or task.state != State.ASSIGNED or task.seceded or task.early:
            return False
        task.seceded = True
        return True

    def rejoin(self, id: int) -> bool:
        task = self.tasks.get(id)
        if not task or not task.seceded or task.rejoining:
            return False
        worker = self.workers[task.worker]
        if not worker.rejoining and self.occupancy(task.worker) < worker.slots and not self.is_ready_due(task.worker):
            task.seceded = False
            worker.rejoins += 1
            return True
        task.rejoining = True
        worker.rejoining.append(id)
        return False

    def overdraw(self, id: int) -> bool:
        task = self.tasks.get(id)
        if not task or not task.seceded:
            return False
        if task.rejoining:
            self.workers[task.worker].rejoining.remove(id)
        task.seceded = task.rejoining = False
        return True

    def claim(self, id: int, worker: int) -> int:
        task = self.tasks.get(id)
        if not task or not task.queued or task.only not in (-1, worker):
            return 0
        self.assign(task, worker)
        return task.run

    def publish(self, id: int, worker: int, nbytes: int, wants: int) -> bool:
        task = self.tasks[id]
        if task.state not in (State.RELEASED, State.WAITING, State.READY) or task.external:
            return False
        task.wants += wants
        task.run += 1
        self.enter_memory(task, worker, nbytes)
        return True

    # ---- placement -------------------------------------------------------------------------------------------------

    def ready(self, only: int = -1) -> list[TwinTask]:
        return sorted(
            (t for t in self.tasks.values() if t.state == State.READY and t.only == only), key=lambda t: t.key
        )

    def is_ready_due(self, worker: int) -> bool:
        waiting = self.ready() or self.ready(worker)
        return self.workers[worker].rejoins >= REJOINS_IN_A_ROW and self.has_room(worker) and bool(waiting)

    def assign(self, task: TwinTask, worker: int) -> None:
        task.state = State.ASSIGNED
        task.worker = worker
        task.run += 1

    def place(self, task: TwinTask, worker: int) -> None:
        self.assign(task, worker)
        self.workers[worker].rejoins = 0
        self.effect(Effect.ASSIGN, task, worker, task.run)

    def n_early(self, worker: int) -> int:
        return sum(task.early for task in self.assigned(worker))

    def place_early(self, id: int, worker: int) -> None:
        """The core has chosen to: was it free to?"""
        task, record = self.tasks[id], self.workers[worker]
        assert task.state == State.WAITING and task.active and task.only in (-1, worker)
        assert self.comes_to(task, worker)
        assert record.open and record.slots > 0 and self.n_early(worker) < record.early
        assert all(task.key < other.key for other in self.ready() + self.ready(worker)), "it was not its turn"
        inputs = {dep for dep in task.deps if self.tasks[dep].state == State.ASSIGNED}
        assert not any(inputs & set(other.deps) for other in self.assigned(worker) if other.early), "one for each input"
        self.assign(task, worker)
        task.early = True

    def grant_rejoins(self, w: int) -> None:
        worker = self.workers[w]
        while worker.rejoining and self.occupancy(w) < worker.slots:
            if self.is_ready_due(w):
                self.place(min(self.ready()[:1] + self.ready(w)[:1], key=lambda t: t.key), w)
                continue
            task = self.tasks[worker.rejoining.pop(0)]
            task.seceded = task.rejoining = False
            worker.rejoins += 1
            self.effect(Effect.REJOIN, task, w, task.run)

    def choose(self, task: TwinTask) -> int | None:
        rooms = [w for w in self.workers if self.has_room(w)]
        if not rooms:
            return None
        least = min(rooms, key=self.load)
        nbytes: Counter[int] = Counter()
        for dep in task.deps:
            for holder in self.tasks[dep].holders:
                nbytes[holder] += self.tasks[dep].nbytes
        homes = [w for w in nbytes if self.workers[w].open and self.workers[w].slots > 0]
        if not homes:
            return least
        home = min(homes, key=lambda w: (-nbytes[w], self.load(w)))
        lighter = self.occupancy(home) < self.workers[home].slots or self.load(home)[0] <= self.load(least)[0]
        return home if self.has_room(home) and (lighter or nbytes[home] >= self.locality_bytes) else least

    def drain(self) -> list[tuple[int, int, int, int]]:
        for task in self.tasks.values():
            task.young = False
        self.settle()
        for worker in self.workers:
            self.grant_rejoins(worker)
        while ready := self.ready():
            worker = self.choose(ready[0])
            if worker is None:
                break
            self.place(min(ready[:1] + self.ready(worker)[:1], key=lambda t: t.key), worker)
        for worker in self.workers:
            while self.has_room(worker) and (own := self.ready(worker)):
                self.place(own[0], worker)
        effects, self.effects = self.effects, []
        return effects
