"""The worker's machine under random orders and news, in any sequence that a fair or confused scheduler may send.

A plain model keeps what was ordered and what was answered. After each step `check()` holds; at the end, when everything
that runs has ended and everything has been freed, the machine remembers nothing.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fastsched.wire.messages import InputItem
from fastsched.worker.jobs import Job
from tests.machines.helpers.worker_bench import HERE, Bench, inline, remote, task_id

TASKS = range(1, 9)
ADDRESSES = ("unix:///a", "unix:///b", HERE)

task_numbers = st.sampled_from(TASKS)
inputs = st.lists(
    st.one_of(
        st.builds(inline, task_numbers),
        st.builds(lambda n, at: remote(n, *at), task_numbers, st.lists(st.sampled_from(ADDRESSES), unique=True)),
    ),
    max_size=3,
    unique_by=lambda item: item.id,
)


class RandomOrders(RuleBasedStateMachine):
    """The scheduler, the threads and the other workers, all at random."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.attempts: dict[int, int] = dict.fromkeys(TASKS, 0)
        self.open: set[tuple[int, int]] = set()  # ordered, and neither answered nor dropped
        self.early: dict[tuple[int, int], set[tuple[int, int]]] = {}  # open -> its inputs that are open
        self.running: list[Job] = []
        self.rejoining: list[Job] = []
        self.asked: list[tuple[str, int]] = []
        self.asked_last: dict[int, str] = {}
        self.nthreads = 1

    @initialize(nthreads=st.integers(1, 3))
    def begin(self, nthreads: int) -> None:
        self.nthreads = nthreads
        self.bench = Bench(nthreads)

    # -- orders --------------------------------------------------------------------------------------------------------

    @rule(n=task_numbers, needs=inputs, priority=st.integers(-1, 1), newer=st.booleans())
    def run(self, n: int, needs: list[InputItem], priority: int, newer: bool) -> None:
        needs = [item for item in needs if item.id != task_id(n)]
        if newer or (task_id(n), self.attempts[n]) not in self.open:  # an attempt is sent twice by mistake only
            self.abandon(n)  # replaced, and not heard of any more
            self.attempts[n] += 1
            attempt = (task_id(n), self.attempts[n])
            self.early[attempt] = {pair for pair in self.open if pair[0] in {item.id for item in needs}}
            self.open.add(attempt)
        self.bench.run(n, *needs, attempt=self.attempts[n], priority=priority)
        self.follow()

    @rule(n=task_numbers)
    def retract(self, n: int) -> None:
        self.bench.retract(n, self.attempts[n])
        self.follow()

    @rule(n=task_numbers)
    def drop(self, n: int) -> None:
        self.abandon(n)
        self.bench.drop(n, self.attempts[n])
        self.follow()

    @rule(ns=st.lists(task_numbers, max_size=3))
    def free(self, ns: list[int]) -> None:
        self.bench.free(*ns)
        self.follow()

    @rule(n=task_numbers)
    def put(self, n: int) -> None:
        self.bench.put(n)
        self.follow()

    # -- news ----------------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.running)
    @rule(data=st.data(), fails=st.booleans())
    def end(self, data: st.DataObject, fails: bool) -> None:
        job = data.draw(st.sampled_from(self.running))
        self.running.remove(job)
        if fails:
            self.bench.fail(job)
        else:
            self.bench.finish(job)
        self.follow()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def secede(self, data: st.DataObject) -> None:
        self.bench.secede(data.draw(st.sampled_from(self.running)))
        self.follow()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def rejoin(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(self.running))
        if not self.bench.rejoin(job):
            self.running.remove(job)
            self.rejoining.append(job)
        self.follow()

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), found=st.booleans())
    def answer(self, data: st.DataObject, found: bool) -> None:
        address, id = data.draw(st.sampled_from(self.asked))
        self.asked.remove((address, id))
        self.bench.fetched(address, (id - task_id(0), b"fetched" if found else None))
        self.follow()

    # -- what goes with what -------------------------------------------------------------------------------------------

    def abandon(self, n: int) -> None:
        """The scheduler wants no more of this attempt: it drops those that were sent because of it, too."""
        for id, attempt in self.close((task_id(n), self.attempts[n])):
            self.bench.drop(id - task_id(0), attempt)

    def close(self, attempt: tuple[int, int]) -> list[tuple[int, int]]:
        """Nothing is to be heard of this attempt any more, nor of those (returned) that were sent because of it."""
        self.open.discard(attempt)
        self.early.pop(attempt, None)
        gone = []
        for other in [other for other, inputs in self.early.items() if attempt in inputs]:
            if other in self.early:
                gone += [other, *self.close(other)]
        return gone

    # -- what must hold ------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Do what the machine says, as its shell would."""
        bench = self.bench
        for job in bench.started:
            assert len(job.values) == len(job.inputs)
        self.running += bench.started
        bench.started.clear()
        for job in bench.resumed:
            self.rejoining.remove(job)
            self.running.append(job)
        bench.resumed.clear()
        for fetch in bench.fetches:
            assert fetch.address != HERE
            for id in fetch.ids:
                again = (fetch.address, id) in self.asked and self.asked_last[id] == fetch.address
                assert not again, "asked twice in the same place at the same time"
                self.asked.append((fetch.address, id))
                self.asked_last[id] = fetch.address
        bench.fetches.clear()
        done = bench.take_done()
        for item in done.finished:
            attempt = (item.id, item.run)
            assert attempt in self.open, "a value that nobody asked for, or the second one"
            self.open.remove(attempt)
            del self.early[attempt]  # inputs may be open yet: the value was at hand
            for inputs in self.early.values():
                inputs.discard(attempt)
        gone: list[tuple[int, int]] = []
        for attempt in [*((item[0], item[1]) for item in (*done.erred, *done.missing)), *done.returned]:
            if attempt not in gone:  # else it came when its input had just been given back, and was, too
                assert attempt in self.open, "an outcome that nobody asked for, or the second one"
                gone += self.close(attempt)
        for id, run in gone:
            self.bench.drop(id - task_id(0), run)  # it knows, and has forgotten them
        unseceded = [job for job in self.running if not job.seceded]
        assert len(unseceded) <= self.nthreads

    def teardown(self) -> None:
        """Nothing is left over, and nothing waits for ever."""
        while self.asked:
            address, id = self.asked.pop()
            self.bench.fetched(address, (id - task_id(0), None))
            self.follow()
        while self.running or self.rejoining:
            assert self.running, "all wait for a slot"
            self.bench.finish(self.running.pop())
            self.follow()
        assert self.open == set(), "orders without an outcome"
        self.bench.free(*TASKS)
        assert self.bench.is_empty()


TestRandomOrders = RandomOrders.TestCase
TestRandomOrders.settings = settings(stateful_step_count=60)
