"""One row in any state that the transition table knows, and every event that can happen to it."""

from __future__ import annotations

from fastsched._core import EARLY, Effect, Event, SchedulerCore, State


class World:
    """A task x with one input a, on two closed workers: `here` runs x, `there` holds a.

    An early x has a second input, that `there` holds, and a runs here.

    Both workers are closed, so that a drain places nothing unless a test opens one.
    """

    def __init__(self, state: State, when: str) -> None:
        self.core = core = SchedulerCore()
        self.when = when
        self.here = core.add_worker(4)
        self.there = core.add_worker(4)
        core.set_open(self.here, False)
        core.set_open(self.there, False)
        self.holder = self.here
        self.input = 0
        self.stored = 0  # the input that can be lost
        self.dependent = 0
        self.x = self.add()
        self.bring_to(state)
        self.arrange()
        core.drain()
        core.check()

    # ---- building --------------------------------------------------------------------------------------------------

    def add(self) -> int:
        core = self.core
        if self.when == "external":
            return core.add_external()
        if self.when.startswith("external, "):
            self.input = core.add_task()
            return core.add_external()
        self.input = self.stored = core.add_task()
        if self.when == "early":
            self.stored = core.add_task()
            return core.add_task([self.input, self.stored])
        if self.when in ("only worker of the task", "its only worker is gone"):
            return core.add_task([self.input], only=self.here)
        return core.add_task([self.input])

    def bring_to(self, state: State) -> None:
        core, x = self.core, self.x
        if self.when == "early":
            self.bring_early()
            return
        if state != State.WAITING and self.input:
            self.finish_input()
        if self.when.startswith("handed over"):
            assert core.hand_over(x)
        if state in (State.RELEASED, State.FREE) or self.when == "has dependents":
            self.add_dependent()
        if state in (State.RELEASED, State.FREE):
            core.unwant(x)
        if state == State.FREE:
            core.unwant(self.dependent)
        if state == State.ERRED:
            assert core.err(x)
        if state in (State.ASSIGNED, State.MEMORY) and self.when not in ("external", "handed over"):
            assert core.claim(x, self.here) == 1
            if state == State.MEMORY:
                assert core.finish(x, 1, self.here, 8)
        elif state == State.MEMORY:
            assert core.replica(x, self.here, 8)

    def bring_early(self) -> None:
        core = self.core
        assert core.claim(self.input, self.here)
        self.finish_input(self.stored)
        core.set_open(self.here, True)
        core.set_early(self.here, 1)
        core.drain()
        core.set_open(self.here, False)
        assert core.flags(self.x) & EARLY

    def add_dependent(self) -> None:
        """A row that depends on x but does not need it: it erred."""
        self.dependent = self.core.add_task([self.x])
        assert self.core.err(self.dependent)

    def finish_input(self, id: int = 0) -> None:
        id = id or self.input
        assert self.core.claim(id, self.there)
        assert self.core.finish(id, self.core.run(id), self.there, 8)

    def arrange(self) -> None:
        """What `when` says about the inputs, about slots and about workers that are gone."""
        core, state = self.core, State(self.core.state(self.x)) if self.core.known(self.x) else State.FREE
        if "input missing" in self.when and core.state(self.input) == State.MEMORY:
            core.drop_replica(self.input, self.there)
        elif "inputs in memory" in self.when and core.state(self.input) != State.MEMORY:
            self.finish_input()
        elif "input erred" in self.when:
            assert core.err(self.input)
        elif "free slot" in self.when:
            assert core.secede(self.x)
        elif self.when == "its only worker is gone":
            if state == State.MEMORY:
                assert core.replica(self.x, self.there, 8)
                self.holder = self.there
            core.remove_worker(self.here)
        elif self.when == "its input is assigned":
            assert core.claim(self.input, self.here)

    # ---- events ----------------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return State(self.core.state(self.x)) if self.core.known(self.x) else State.FREE

    def fire(self, event: Event) -> None:
        """Let it happen; a verb of ownership raises if x has nothing to give."""
        getattr(self, event.name.lower())()

    def effects(self) -> tuple[Effect, ...]:
        """The effects on x since the last drain."""
        effects = tuple(Effect(kind) for kind, id, _, _ in self.core.drain() if id == self.x)
        self.core.check()
        return effects

    def run(self) -> int:
        return self.core.run(self.x) if self.core.known(self.x) else 1

    def needed(self) -> None:
        self.core.want(self.x)

    def unneeded(self) -> None:
        self.core.unwant(self.x)

    def input_memory(self) -> None:
        if self.input and self.core.state(self.input) == State.READY:
            self.finish_input()

    def input_lost(self) -> None:
        self.core.drop_replica(self.stored, self.there)

    def input_erred(self) -> None:
        self.core.err(self.input)

    def place(self) -> None:
        self.core.set_open(self.here, True)

    def claim(self) -> None:
        self.core.claim(self.x, self.here)

    def finish(self) -> None:
        self.core.finish(self.x, self.run(), self.here, 8)

    def fail(self) -> None:
        self.core.fail(self.x, self.run(), self.here)

    def retry(self) -> None:
        self.core.retry(self.x, self.run(), self.here)

    def give_back(self) -> None:
        self.core.give_back(self.x, self.run(), self.here)

    def err(self) -> None:
        self.core.err(self.x)

    def replica(self) -> None:
        self.core.replica(self.x, self.there, 8)

    def drop_replica(self) -> None:
        self.core.drop_replica(self.x, self.holder)

    def remove_worker(self) -> None:
        self.core.remove_worker(self.here)

    def secede(self) -> None:
        self.core.secede(self.x)

    def rejoin(self) -> None:
        if self.when != "seceded, no free slot":
            self.core.rejoin(self.x)
            return
        self.core.set_slots(self.here, 1)
        other = self.core.add_task()
        assert self.core.claim(other, self.here)
        assert not self.core.rejoin(self.x)
        assert self.core.finish(other, 1, self.here, 8)

    def hand_over(self) -> None:
        self.core.hand_over(self.x)

    def take_back(self) -> None:
        self.core.take_back(self.x)

    def dependent_gone(self) -> None:
        self.core.unwant(self.dependent)

    def place_early(self) -> None:
        """The worker has no room for anything else."""
        if self.input and self.core.state(self.input) == State.ASSIGNED:
            self.core.set_slots(self.here, 1)
            self.core.set_limit(self.here, 1)
            self.core.set_early(self.here, 1)
            self.core.set_open(self.here, True)

    def publish(self) -> None:
        self.core.publish(self.x, self.there, 8)

    def specify(self) -> None:
        worker = self.there if "value is there" in self.when else -1
        self.core.specify(self.x, [self.input] if self.input else [], worker=worker, nbytes=8)

    def recall(self) -> None:
        if self.input:
            self.core.give_back(self.input, self.core.run(self.input), self.here)
