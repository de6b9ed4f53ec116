"""The core against its twin in plain Python: any sequence of verbs, compared and checked after every step.

Set FASTSCHED_TWIN_EXAMPLES (default 60) for a longer run.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fastsched._core import EARLY, EXTERNAL, SECEDED, Effect, SchedulerCore, State
from tests.core.twin import REJOINS_IN_A_ROW, Twin, TwinTask

LOCALITY_BYTES = 100
picks = st.integers(0, 1 << 16)
sizes = st.sampled_from([0, 1, 10, 60, 1000])
some_picks = st.lists(picks, max_size=4)
priorities = st.integers(-1, 1)
orders = st.integers(-1, 5)
counts = st.integers(0, 2)
earlies = st.sampled_from([0, 1, 2, 9])


class CoreAndTwin(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.core = SchedulerCore(LOCALITY_BYTES)
        self.twin = Twin(LOCALITY_BYTES)
        self.ids: list[int] = []
        self.one_worker = False

    # ---- choosing --------------------------------------------------------------------------------------------------

    def any_id(self, pick: int) -> int:
        """Any id that ever was, the recent ones more often."""
        return self.ids[-1 - pick % min(len(self.ids), 6 if pick % 3 else len(self.ids))]

    def live(self, pick: int, *states: State) -> TwinTask:
        tasks = [task for task in self.twin.tasks.values() if not states or task.state in states]
        return tasks[pick % len(tasks)]

    def has(self, *states: State) -> bool:
        return any(task.state in states for task in self.twin.tasks.values())

    def live_ids(self, some: list[int]) -> list[int]:
        live = list(self.twin.tasks)
        return [live[-1 - pick % len(live)] for pick in some] if live else []

    def any_worker(self, pick: int) -> int:
        workers = list(self.twin.workers)
        return workers[pick % len(workers)]

    def same(self, verb: str, *args: int) -> None:
        """Call it on both: the answers must be equal."""
        assert getattr(self.core, verb)(*args) == getattr(self.twin, verb)(*args), verb

    # ---- workers ---------------------------------------------------------------------------------------------------

    @initialize(one_worker=st.booleans(), slots=st.integers(1, 3))
    def begin(self, one_worker: bool, slots: int) -> None:
        self.one_worker = one_worker
        self.new_worker(slots, 0, 0)

    def new_worker(self, slots: int, ahead: int, early: int) -> None:
        worker = self.core.add_worker(slots, slots + ahead)
        self.twin.add_worker(worker, slots, slots + ahead)
        self.core.set_early(worker, early)
        self.twin.workers[worker].early = early

    @precondition(lambda self: len(self.twin.workers) < (1 if self.one_worker else 4))
    @rule(slots=st.integers(0, 3), ahead=st.integers(0, 2), early=earlies)
    def add_worker(self, slots: int, ahead: int, early: int) -> None:
        self.new_worker(slots, ahead, early)

    @precondition(lambda self: self.twin.workers)
    @rule(pick=picks)
    def remove_worker(self, pick: int) -> None:
        worker = self.any_worker(pick)
        self.core.remove_worker(worker)
        self.twin.remove_worker(worker)

    @precondition(lambda self: self.twin.workers)
    @rule(pick=picks, slots=st.integers(0, 3), ahead=st.integers(0, 2), open=st.booleans(), lent=st.integers(-2, 2))
    def change_worker(self, pick: int, slots: int, ahead: int, open: bool, lent: int) -> None:
        worker = self.any_worker(pick)
        record = self.twin.workers[worker]
        lent = max(lent, -slots)
        self.core.set_slots(worker, slots)
        self.core.set_limit(worker, slots + ahead)
        self.core.set_open(worker, open)
        self.core.set_lent(worker, lent)
        record.slots, record.limit, record.open, record.lent = slots, slots + ahead, open, lent

    @precondition(lambda self: self.twin.workers)
    @rule(pick=picks, early=earlies)
    def set_early(self, pick: int, early: int) -> None:
        worker = self.any_worker(pick)
        self.core.set_early(worker, early)
        self.twin.workers[worker].early = early

    # ---- adding ----------------------------------------------------------------------------------------------------

    def added(self, id: int, deps: list[int], wants: int, **more: int) -> None:
        self.ids.append(id)
        fields = {"priority": 0, "order": -1, "only": -1} | more
        self.twin.add(id, deps, wants=wants, **fields)
        self.twin.settle()

    @rule(some=some_picks, priority=priorities, order=orders, wants=counts)
    def add_task(self, some: list[int], priority: int, order: int, wants: int) -> None:
        deps = self.live_ids(some)
        self.added(self.core.add_task(deps, priority, order, wants), deps, wants, priority=priority, order=order)

    @precondition(lambda self: self.has(State.ASSIGNED, State.WAITING))
    @rule(pick=picks, priority=priorities, length=st.integers(1, 4), wants=counts)
    def add_chain(self, pick: int, priority: int, length: int, wants: int) -> None:
        id = self.live(pick, State.ASSIGNED, State.WAITING).id
        for _ in range(length):
            last, id = id, self.core.add_task([id], priority, -1, wants)
            self.added(id, [last], wants, priority=priority)

    @precondition(lambda self: self.twin.workers)
    @rule(some=some_picks, priority=priorities, wants=counts, pick=picks)
    def add_restricted_task(self, some: list[int], priority: int, wants: int, pick: int) -> None:
        deps, only = self.live_ids(some), self.any_worker(pick)
        self.added(self.core.add_task(deps, priority, -1, wants, only), deps, wants, priority=priority, only=only)

    @rule(wants=counts)
    def add_external(self, wants: int) -> None:
        self.added(self.core.add_external(wants), [], wants, external=True)

    @rule(batch=st.lists(st.tuples(priorities, some_picks, some_picks, counts), max_size=5))
    def submit_many(self, batch: list[tuple[int, list[int], list[int], int]]) -> None:
        indptr, flat = array("q", [0]), array("q")
        for i, (_, outside, inside, _) in enumerate(batch):
            flat.extend(self.live_ids(outside))
            flat.extend(-(pick % i + 1) for pick in inside if i)
            indptr.append(len(flat))
        rows = [array("q", (item[k] for item in batch)) for k in (0, 3)]
        ids = list(self.core.submit_many(rows[0], indptr, flat, wants=rows[1]))
        for i, (priority, _, _, wants) in enumerate(batch):
            deps = [ids[-dep - 1] if dep < 0 else dep for dep in flat[indptr[i] : indptr[i + 1]]]
            self.added(ids[i], deps, wants, priority=priority)

    # ---- wants -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.twin.tasks)
    @rule(pick=picks, n=st.integers(1, 2))
    def want(self, pick: int, n: int) -> None:
        id = self.live(pick).id
        self.core.want(id, n)
        self.twin.want(id, n)

    @precondition(lambda self: any(task.wants for task in self.twin.tasks.values()))
    @rule(pick=picks, all=st.booleans())
    def unwant(self, pick: int, all: bool) -> None:
        wanted = [task for task in self.twin.tasks.values() if task.wants]
        task = wanted[pick % len(wanted)]
        n = task.wants if all else 1
        self.core.unwant(task.id, n)
        self.twin.want(task.id, -n)

    # ---- runs ------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.has(State.ASSIGNED))
    @rule(pick=picks, nbytes=sizes)
    def finish(self, pick: int, nbytes: int) -> None:
        task = self.live(pick, State.ASSIGNED)
        self.same("finish", task.id, task.run, task.worker, nbytes)

    @precondition(lambda self: self.has(State.ASSIGNED))
    @rule(pick=picks, verb=st.sampled_from(["fail", "give_back"]))
    def fail_or_give_back(self, pick: int, verb: str) -> None:
        task = self.live(pick, State.ASSIGNED)
        self.same(verb, task.id, task.run, task.worker)

    @precondition(lambda self: self.ids)
    @rule(pick=picks, run=st.integers(0, 2), worker=st.integers(-1, 4), nbytes=sizes)
    def report_anything(self, pick: int, run: int, worker: int, nbytes: int) -> None:
        id = self.any_id(pick)
        self.same("finish", id, run, worker, nbytes)
        self.same("fail", id, run, worker)
        self.same("give_back", id, run, worker)

    @precondition(lambda self: self.ids)
    @rule(pick=picks)
    def err(self, pick: int) -> None:
        self.same("err", self.any_id(pick))

    @precondition(lambda self: self.ids)
    @rule(pick=picks, worker=st.integers(-1, 4), nbytes=sizes)
    def replica(self, pick: int, worker: int, nbytes: int) -> None:
        self.same("replica", self.any_id(pick), worker, nbytes)

    @precondition(lambda self: self.has(State.MEMORY) and self.twin.workers)
    @rule(pick=picks, worker=picks)
    def replica_of_a_value(self, pick: int, worker: int) -> None:
        self.same("replica", self.live(pick, State.MEMORY).id, self.any_worker(worker), 8)

    @precondition(lambda self: self.has(State.MEMORY))
    @rule(pick=picks, worker=st.integers(-1, 4))
    def drop_replica(self, pick: int, worker: int) -> None:
        self.same("drop_replica", self.live(pick, State.MEMORY).id, worker)

    # ---- slots, claims, hand-over ----------------------------------------------------------------------------------

    @precondition(lambda self: self.has(State.ASSIGNED))
    @rule(pick=picks)
    def secede(self, pick: int) -> None:
        self.same("secede", self.live(pick, State.ASSIGNED).id)

    @precondition(lambda self: any(task.seceded for task in self.twin.tasks.values()))
    @rule(pick=picks, verb=st.sampled_from(["rejoin", "rejoin", "overdraw"]))
    def come_back(self, pick: int, verb: str) -> None:
        seceded = [task for task in self.twin.tasks.values() if task.seceded]
        task = seceded[pick % len(seceded)]
        worker = self.twin.workers[task.worker]
        # When a ready task is due on several workers at once, which is asked first is not promised.
        if self.one_worker or worker.rejoins + len(worker.rejoining) < REJOINS_IN_A_ROW:
            self.same(verb, task.id)

    @precondition(lambda self: self.ids and self.twin.workers)
    @rule(pick=picks, worker=picks)
    def claim(self, pick: int, worker: int) -> None:
        self.same("claim", self.any_id(pick), self.any_worker(worker))

    @precondition(lambda self: self.has(State.RELEASED) and self.twin.workers)
    @rule(pick=picks, worker=picks, nbytes=sizes, wants=st.integers(1, 2))
    def publish(self, pick: int, worker: int, nbytes: int, wants: int) -> None:
        self.same("publish", self.live(pick, State.RELEASED).id, self.any_worker(worker), nbytes, wants)

    @precondition(lambda self: self.twin.tasks and self.twin.workers)
    @rule(pick=picks, worker=picks, nbytes=sizes)
    def publish_anything(self, pick: int, worker: int, nbytes: int) -> None:
        self.same("publish", self.live(pick).id, self.any_worker(worker), nbytes, 1)

    @precondition(lambda self: self.twin.tasks)
    @rule(pick=picks, verb=st.sampled_from(["hold", "let_go"]))
    def hold_or_let_go(self, pick: int, verb: str) -> None:
        id = self.live(pick).id
        getattr(self.core, verb)(id)
        getattr(self.twin, verb)(id)

    @precondition(lambda self: self.ids)
    @rule(pick=picks, verb=st.sampled_from(["hand_over", "take_back"]))
    def hand_over(self, pick: int, verb: str) -> None:
        self.same(verb, self.any_id(pick))

    @precondition(lambda self: self.twin.tasks)
    @rule(pick=picks, some=some_picks, priority=priorities, order=orders, there=picks, nbytes=sizes)
    def specify(self, pick: int, some: list[int], priority: int, order: int, there: int, nbytes: int) -> None:
        externals = [task for task in self.twin.tasks.values() if task.external]
        id = externals[pick % len(externals)].id if externals else self.live(pick).id
        deps = [dep for dep in self.live_ids(some) if id not in self.twin.upstream(dep)]
        worker = self.any_worker(there) if there % 3 == 0 and self.twin.workers else -1
        self.same("specify", id, deps, priority, order, worker, nbytes)

    # ---- the turn --------------------------------------------------------------------------------------------------

    @rule(as_array=st.booleans())
    def drain(self, as_array: bool) -> None:
        effects = [tuple(row) for row in self.core.drain_array().tolist()] if as_array else self.core.drain()
        expected = self.twin.drain()
        for kind in (Effect.DROP, Effect.FREE, Effect.MEMORY, Effect.LOST, Effect.FORGET):
            assert Counter(e for e in effects if e[0] == kind) == Counter(e for e in expected if e[0] == kind), (
                kind.name
            )
        for worker in self.twin.workers:
            starts, expected_starts = self.starts(effects, worker), self.starts(expected, worker)
            assert starts[: len(expected_starts)] == expected_starts
            for kind, id, _, run in starts[len(expected_starts) :]:  # who goes early, if anybody, is the core's choice
                assert kind == Effect.ASSIGN
                self.twin.place_early(id, worker)
                assert self.twin.tasks[id].run == run
        # A row may err, or be fetched, on the way to being released in one turn: both must tell where it stayed so.
        for kind, state in ((Effect.ERRED, State.ERRED), (Effect.FETCH, State.WAITING)):
            assert self.told(effects, kind, state) == self.told(expected, kind, state), kind.name
        self.check_forgotten_last(effects)

    @staticmethod
    def starts(effects: list[tuple[int, int, int, int]], worker: int) -> list[tuple[int, int, int, int]]:
        return [e for e in effects if e[0] in (Effect.ASSIGN, Effect.REJOIN) and e[2] == worker]

    def told(self, effects: list[tuple[int, int, int, int]], kind: Effect, state: State) -> set[int]:
        return {e[1] for e in effects if e[0] == kind and self.core.known(e[1]) and self.core.state(e[1]) == state}

    @staticmethod
    def check_forgotten_last(effects: list[tuple[int, int, int, int]]) -> None:
        forgotten: set[int] = set()
        for kind, id, _, _ in effects:
            assert id not in forgotten, "an effect on an id that was forgotten"
            if kind == Effect.FORGET:
                forgotten.add(id)

    # ---- compared after every step ---------------------------------------------------------------------------------

    @invariant()
    def core_is_sound(self) -> None:
        self.core.check()

    @invariant()
    def tasks_agree(self) -> None:
        assert set(self.core.tasks()) == set(self.twin.tasks)
        for id, task in self.twin.tasks.items():
            assert State(self.core.state(id)) == task.state
            assert self.core.needed(id) == self.twin.n_needed(task)
            assert self.core.unmet(id) == self.twin.unmet(task)
            assert set(self.core.holders(id)) == task.holders
            assert self.core.dependencies(id) == task.deps
            assert (self.core.run(id), self.core.worker(id)) == (task.run, task.worker)
            assert (self.core.wants(id), self.core.nbytes(id)) == (task.wants, task.nbytes)
            assert (self.core.priority(id), self.core.order(id)) == (task.priority, task.order)
            assert bool(self.core.flags(id) & EXTERNAL) == task.external
            assert bool(self.core.flags(id) & SECEDED) == task.seceded
            assert bool(self.core.flags(id) & EARLY) == task.early
            assert (self.core.cause(id) in task.causes) if task.causes else self.core.cause(id) == 0
        assert self.core.ready(99) == [task.id for task in self.twin.ready()]

    @invariant()
    def workers_agree(self) -> None:
        assert self.core.workers() == sorted(self.twin.workers)
        assert self.core.idle_slots == self.twin.idle_slots()
        for worker, record in self.twin.workers.items():
            assert sorted(self.core.assigned_to(worker)) == sorted(task.id for task in self.twin.assigned(worker))
            assert self.core.occupancy(worker) == self.twin.occupancy(worker)
            assert self.core.n_rejoining(worker) == len(record.rejoining)
            assert self.core.n_early(worker) == self.twin.n_early(worker)
            assert sorted(self.core.replicas_of(worker)) == sorted(
                task.id for task in self.twin.tasks.values() if worker in task.holders
            )


CoreAndTwin.TestCase.settings = settings(
    max_examples=int(os.environ.get("FASTSCHED_TWIN_EXAMPLES", "60")),
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestCoreAndTwin = CoreAndTwin.TestCase
