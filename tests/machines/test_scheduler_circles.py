"""Tasks that wait for each other: whoever closes a circle is told."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from fastsched._core import EARLY, State
from fastsched.wire.enums import Stage
from fastsched.wire.messages import Waiting
from tests.machines.helpers.scheduler_world import Worker, World


class Waiters:
    """A world whose workers report waits, by keys of tasks."""

    def __init__(self, *nthreads: int) -> None:
        self.world = World()
        self.client = self.world.client()
        self.workers = [self.world.worker(f"w{i}", n) for i, n in enumerate(nthreads)]
        self.number = 0

    def submit(self, *keys: str) -> None:
        for key in keys:
            self.client.submit(key)

    def where(self, key: str) -> Worker:
        (worker,) = [worker for worker in self.workers if key in worker.tasks]
        return worker

    def wait(self, task: str, *targets: str, first: bool = False, chain: tuple[str, ...] = (), run: int = 0) -> int:
        """The thread of this task (the last of a chain) waits. The number of the wait."""
        worker = self.where(task)
        self.number += 1
        items = [worker.tasks[key] for key in (*chain, task)]
        attempts = tuple((item.id, run or item.run) for item in items)
        worker.say(Waiting(self.number, attempts, tuple(worker.want(key) for key in targets), first))
        return self.number

    def circles(self) -> list[tuple[int, tuple[str, ...]]]:
        """What was found since the last time: which wait fails, and the keys."""
        found = [circle for worker in self.workers for circle in worker.circles]
        for worker in self.workers:
            worker.circles.clear()
        return found


def test_two_tasks_that_wait_for_each_other():
    world = Waiters(1, 1)
    world.submit("a", "b")
    world.wait("a", "b")
    assert world.circles() == []
    second = world.wait("b", "a")
    assert world.circles() == [(second, ("b", "a", "b"))]


def test_a_task_that_waits_for_itself():
    world = Waiters(1)
    world.submit("a")
    number = world.wait("a", "a")
    assert world.circles() == [(number, ("a", "a"))]


def test_who_was_told_is_in_no_circle_any_more():
    world = Waiters(3)
    world.submit("a", "b", "c")
    world.wait("a", "b")
    world.wait("b", "a")
    world.circles()
    world.wait("c", "a")
    assert world.circles() == []
    again = world.wait("b", "a")
    assert world.circles() == [(again, ("b", "a", "b"))]


def test_a_ring_of_three():
    world = Waiters(3)
    world.submit("a", "b", "c")
    world.wait("a", "b")
    world.wait("b", "c")
    number = world.wait("c", "a")
    assert world.circles() == [(number, ("c", "a", "b", "c"))]


def test_a_task_that_waits_for_what_has_not_begun_and_needs_it():
    world = Waiters(2)
    fid = world.client.submit("a")
    world.client.submit("b", [fid])
    number = world.wait("a", "b")
    assert world.circles() == [(number, ("a", "b", "a"))]


def test_a_long_wait_for_what_runs_or_will_run_is_none():
    world = Waiters(1)
    world.submit("a", "b", "c")
    world.wait("a", "b", "c")
    assert world.circles() == []


def test_a_wait_that_is_over_counts_no_more():
    world = Waiters(2)
    world.submit("a", "b")
    number = world.wait("a", "b")
    world.where("a").say(Waiting(number, (), (), False))
    world.wait("b", "a")
    assert world.circles() == []


def test_a_wait_of_another_attempt_counts_for_nothing():
    world = Waiters(2)
    world.submit("a", "b")
    world.wait("a", "b", run=7)
    world.wait("b", "a")
    assert world.circles() == []


def test_a_wait_of_a_task_of_another_worker_counts_for_nothing():
    world = Waiters(1, 1)
    world.submit("a", "b")
    item = world.where("a").tasks["a"]
    liar = world.where("b")
    liar.say(Waiting(1, ((item.id, item.run),), (liar.want("b"),), False))
    world.wait("b", "a")
    assert world.circles() == []


def test_who_waits_for_the_first_goes_on_if_one_can():
    world = Waiters(3)
    world.submit("a", "b", "c")
    world.wait("a", "b", "c", first=True)
    world.wait("b", "a")
    assert world.circles() == []
    number = world.wait("c", "a")
    assert world.circles() == [(number, ("c", "a", "b", "a"))] or world.circles() == []


def test_who_waits_for_the_first_is_stuck_if_none_can():
    world = Waiters(3)
    world.submit("a", "b", "c")
    world.wait("b", "a")
    world.wait("c", "a")
    number = world.wait("a", "b", "c", first=True)
    assert world.circles() == [(number, ("a", "b", "a"))]


def test_only_the_newest_fails_though_others_stand_in_circles_of_their_own():
    """They can go on as soon as it does."""
    world = Waiters(1, 1)
    world.submit("a", "b")
    world.wait("b", "b", "a", first=True)
    fids = [world.client.want("a"), world.client.want("b")]
    world.client.submit("c", fids)
    number = world.wait("a", "c")
    assert world.circles() == [(number, ("a", "c", "a"))]


def test_tasks_of_one_thread_wait_together():
    """The inner one runs inside the outer one, and another thread waits for the outer one."""
    world = Waiters(1)
    world.submit("outer", "b")
    worker = world.workers[0]
    worker.publish(worker.local("inner", Stage.RUNNING))
    world.wait("b", "outer")
    number = world.wait("inner", "b", chain=("outer",))
    assert world.circles() == [(number, ("outer", "b", "outer"))]


def test_a_wait_of_a_worker_that_is_lost_is_over():
    world = Waiters(1, 1)
    world.submit("a", "b")
    world.wait("a", "b")
    lost = world.where("a")
    lost.die(executing=[])
    world.workers.remove(lost)
    world.wait("b", "a")
    assert world.circles() == []


def test_what_is_told_of_nothing_puts_the_worker_out():
    world = Waiters(1)
    world.submit("a")
    item = world.workers[0].tasks["a"]
    world.workers[0].say(Waiting(1, ((item.id, item.run),), (99,), False))
    assert world.world.put_out == ["w0"]


# -- the twin ---------------------------------------------------------------------------------------------------------


class Twin:
    """The same by brute force: who can go on is asked of everybody, again and again."""

    def __init__(self, world: Waiters) -> None:
        self.world = world
        self.inputs: dict[str, list[str]] = {}
        self.waits: dict[int, tuple[tuple[str, ...], tuple[str, ...], bool]] = {}  # chain, targets, first

    def is_over(self, key: str) -> bool:
        books = self.world.world.machine.books
        record = books.keys.get(key)
        return record is None or books.core.state(record.id) in (State.MEMORY, State.ERRED)

    def running(self) -> list[str]:
        """Tasks that a worker has, and that had their inputs when it got them."""
        core = self.world.world.machine.books.core
        return [
            key
            for worker in self.world.workers
            for key, item in worker.tasks.items()
            if not core.flags(item.id) & EARLY
        ]

    def needs(self, key: str) -> tuple[list[str], bool]:
        for chain, targets, first in self.waits.values():
            if key in chain:
                return list(targets), first
        return ([] if key in self.running() else self.inputs[key]), False

    def stuck(self) -> set[str]:
        """Who can never go on."""
        stuck = {key for key in self.inputs if not self.is_over(key)}
        while True:
            free = set()
            for key in stuck:
                needs, first = self.needs(key)
                blocked = [source in stuck for source in needs]
                if not (any(blocked) and (all(blocked) or not first)):
                    free.add(key)
            if not free:
                return stuck
            stuck -= free

    def hear(self) -> None:
        """Each verdict is just, and then nobody is stuck."""
        for number, keys in self.world.circles():
            stuck = self.stuck()
            chain = self.waits[number][0]
            assert set(chain) <= stuck
            assert set(keys) <= stuck
            assert set(chain) & set(keys)
            for key, following in itertools.pairwise(keys):
                assert following in self.needs(key)[0]
            same = [chain for chain, _, _ in self.waits.values() if keys[0] in chain]
            assert keys[0] == keys[-1] or keys[-1] in same[0]
            del self.waits[number]
        assert self.stuck() == set()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whoever_is_stuck_is_found_at_once_and_nobody_else(data):
    world = Waiters(*data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    twin = Twin(world)
    fids: dict[str, int] = {}
    for step in range(data.draw(st.integers(5, 30))):
        waiting = {key for chain, _, _ in twin.waits.values() for key in chain}
        free = sorted(set(twin.running()) - waiting)
        kinds = ["submit", "wait", "wait", "wait", "finish", "over", "die"]
        kind = data.draw(st.sampled_from(kinds))
        if kind == "submit" or not twin.inputs:
            key = f"t{step}"
            sources = st.lists(st.sampled_from(sorted(fids)), unique=True, max_size=2) if fids else st.just([])
            twin.inputs[key] = data.draw(sources)
            fids[key] = world.client.submit(key, [fids[source] for source in twin.inputs[key]])
        elif kind == "wait" and free:
            task = data.draw(st.sampled_from(free))
            here = [key for key in free if key != task and key in world.where(task).tasks]
            chain = tuple(data.draw(st.lists(st.sampled_from(here), unique=True, max_size=1))) if here else ()
            open = sorted(key for key in twin.inputs if not twin.is_over(key))
            targets = tuple(data.draw(st.lists(st.sampled_from(open), min_size=1, max_size=3, unique=True)))
            first = data.draw(st.booleans())
            twin.waits[world.number + 1] = ((*chain, task), targets, first)
            world.wait(task, *targets, first=first, chain=chain)
        elif kind == "finish" and free:
            key = data.draw(st.sampled_from(free))
            world.where(key).finish(key)
        elif kind == "over" and twin.waits:
            number = data.draw(st.sampled_from(sorted(twin.waits)))
            chain, _, _ = twin.waits.pop(number)
            world.where(chain[0]).say(Waiting(number, (), (), False))
        elif kind == "die" and len(world.workers) > 1:
            lost = data.draw(st.sampled_from(world.workers))
            for number, (chain, _, _) in list(twin.waits.items()):
                if chain[0] in lost.tasks:
                    del twin.waits[number]
            lost.die(executing=[])
            world.workers.remove(lost)
        twin.hear()
