"""The threads of a simulated worker: what `worker.executor` decides, in virtual time.

One concern: a small model of it, step by step as it is there. Which children a thread runs itself, and which it leaves
to others; when its slot is lent and when it is wanted back; what the backstop does. The names are those of the real
one. What blocks a thread there takes a function here, which is called when the thread goes on. The tasks themselves are
in `tasks`; the worker that holds this is in `worker`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastsched._wait import Waiter
from fastsched.wire.messages import ErrorItem, ErrorKind
from fastsched.worker.context import CurrentTask, Place
from fastsched.worker.desk import Desk as RealDesk
from fastsched.worker.drops import end_unwanted
from fastsched.worker.jobs import Brood, Child, Job, Resume, Start
from fastsched.worker.store import Value as StoredValue
from tests.sim.locks import Locks
from tests.sim.tasks import TaskThread
from tests.sim.threads import Wait

if TYPE_CHECKING:
    from tests.sim.worker import WorkerNode

__all__ = ["Desk", "Executor"]

Then = Callable[[], object]

OVERDRAW_SECONDS = 0.1
"""As in the real one."""


class Desk:
    """One thread: the task that the scheduler gave it to run, and children inside it. See `worker.desk.Desk`.

    Attributes
    ----------
    root : Job
        That task.
    holds_slot : bool
        Whether it is on the page.
    resume : callable or None
        The thread waits for a slot, and then goes on with this.
    overdrawn : bool
        It has waited for too long, and has gone on without one.
    waiting : Wait or None
        What its innermost task waits for.
    real : fastsched.worker.desk.Desk
        What the part of the real executor gets to see that says who runs in vain.
    """

    def __init__(self, root: Job) -> None:
        self.root = root
        self.holds_slot = True
        self.resume: Then | None = None
        self.overdrawn = False
        self.waiting: Wait | None = None
        self.real = RealDesk(root)
        self.real.place = Place(None)  # type: ignore[arg-type]
        self.lendable = False
        self.depth = 0
        self.away = 0.0  # seconds for which the running task has waited, or run children
        self.since = self.moved = 0.0
        self.steps = self.seen = self.moves = 0
        self.still = self.still_at = 0

    @property
    def brood(self) -> Brood | None:
        """The children of its tasks that have not begun."""
        return self.real.brood

    @brood.setter
    def brood(self, brood: Brood | None) -> None:
        self.real.brood = brood

    @property
    def task(self) -> CurrentTask | None:
        """What it runs at the moment."""
        return self.real.place.task

    def enter(self, job: Job) -> None:
        """It runs this, inside of what it ran."""
        self.real.place.task = CurrentTask(job, None, self.real, self.root, self.task)  # type: ignore[arg-type]

    def leave(self) -> None:
        """That is over."""
        assert self.task is not None
        self.real.place.task = self.task.outer

    @property
    def in_vain(self) -> bool:
        """Whether nobody wants what it runs."""
        return self.task is not None and self.task.job.dropped


class Executor:
    """Threads for the jobs of one machine.

    Parameters
    ----------
    node : WorkerNode
        The worker.
    """

    def __init__(self, node: WorkerNode) -> None:
        self.desks: dict[Job, Desk] = {}
        self.caller: Desk | None = None  # whose thread it is that runs at the moment; None: the I/O thread
        self.locks = Locks(node.world.rng)
        self._node = node
        self._world = node.world
        self._machine = node.machine
        self._lenders: dict[Desk, None] = {}
        self._deep: dict[Desk, None] = {}
        self._moves = 0
        self._claiming = False  # what starts now starts without a slot
        self._most_depth = node.world.rng.choice((1, 3, 24))
        self._long_ticks = node.world.rng.choice((2, 30, 1000))
        self._in_loops = node.world.rng.choice((0.0, 0.0, 0.2))  # how many waits are in a coroutine

    @contextmanager
    def calling(self, desk: Desk) -> Iterator[None]:
        """What the client inside is told meanwhile, this thread tells it."""
        before, self.caller = self.caller, desk
        try:
            yield
        finally:
            self.caller = before

    def brood(self) -> Brood | None:
        """Where what the calling thread submits waits to begin."""
        desk = self.caller
        if desk is None:
            return None
        if desk.brood is None:
            desk.brood = Brood()
        return desk.brood

    def launching(self) -> set[Job]:
        """Those that have launched tasks, or asked for futures."""
        return {desk.root for desk in self.desks.values() if desk.brood is not None}

    # -- starts --------------------------------------------------------------------------------------------------------

    def begin(self, starts: Iterable[Start | Resume]) -> None:
        """Give these jobs their threads."""
        for action in starts:
            self._begin(action)

    def _begin(self, action: Start | Resume) -> None:
        job, world = action.job, self._world
        if isinstance(action, Resume):
            desk = self.desks[job]
            desk.holds_slot = True
            world.clock.after(world.lateness(), lambda: self._resumed(desk))
        else:
            assert job not in self.desks, f"{job} started twice"
            desk = self.desks[job] = Desk(job)
            busy = [other.root.key for other in self.desks.values() if other.holds_slot and other is not desk]
            desk.overdrawn = self._claiming
            if len(busy) >= self._node.nthreads and not desk.overdrawn:
                raise AssertionError(f"{self._node.name}: {job} starts, but {busy} hold all slots")
            world.clock.after(world.lateness(), lambda: self._begin_thread(desk))
        world.journal.note(self._node.name, type(action).__name__.lower() + "s", repr(job))
        self._check_slots()

    def _begin_thread(self, desk: Desk) -> None:
        job = desk.root
        task = TaskThread(self._node, desk, job, self._over)
        if not self._node.alive:
            return
        desk.enter(job)
        if job.wanted:
            task.begin()
        else:
            self._over(task, ErrorItem(ErrorKind.CANCELLED, None, job.key, "", job.attempt, "nobody wants it"), 0, ())

    def _resumed(self, desk: Desk) -> None:
        if self._node.alive:
            then, desk.resume = desk.resume, None
            assert then is not None, f"{desk.root} has a slot that it did not wait for"
            then()

    def _check_slots(self) -> None:
        """No more threads hold a slot than there are, but for those that have waited too long."""
        holding = [desk.root.key for desk in self.desks.values() if desk.holds_slot and not desk.overdrawn]
        if len(holding) > self._node.nthreads:
            raise AssertionError(f"{self._node.name} has {self._node.nthreads} slots, and these hold one: {holding}")

    # -- what threads of tasks ask for ---------------------------------------------------------------------------------

    def open_block(self, desk: Desk) -> bool:
        """The slot may be lent from now on."""
        if desk.lendable or desk.root.seceded:
            return False
        desk.steps += 1
        desk.lendable = True
        self._lenders[desk] = None
        self._node.arm()
        return True

    def close_block(self, desk: Desk, then: Then) -> None:
        """Not any more."""
        desk.lendable = False
        self._lenders.pop(desk, None)
        self.rejoin(desk, then)

    def begin_wait(self, desk: Desk, waiting: Wait) -> bool:
        """The thread will wait: others run what it would have run."""
        desk.real.blocked, desk.waiting = Waiter(), waiting
        desk.since = desk.moved = self._world.clock.now
        desk.steps += 1
        desk.moves = self._moves
        if desk.brood is not None and desk.brood.ready:
            self._machine.nest.give_up(desk.brood)
        had = not desk.root.seceded
        if had:
            self.secede(desk)
        self._node.before_wait()
        return had

    def end_wait(self, desk: Desk, had: bool, then: Then) -> None:
        """It waits no longer."""
        desk.real.blocked = desk.waiting = None
        desk.away += self._world.clock.now - desk.since
        desk.steps += 1
        if had and not desk.lendable:
            self.rejoin(desk, then)
        else:
            then()

    def secede(self, desk: Desk) -> None:
        """Lend the slot."""
        if desk.root.seceded:
            return
        self._lenders.pop(desk, None)
        self.begin(self._secede(desk))
        self._node.arm()

    def _secede(self, desk: Desk) -> list[Start | Resume]:
        self._moves += 1
        if self._machine.secede(desk.root):
            desk.holds_slot = desk.overdrawn = False
        return self._machine.starts()

    def rejoin(self, desk: Desk, then: Then) -> None:
        """Go on with a slot."""
        if not desk.root.seceded or desk.in_vain:
            then()
        elif self._machine.rejoin(desk.root):
            self._seated(desk)
            self._node.arm()
            then()
        else:
            desk.resume = then
            self._node.before_wait()
            self._wait_for_slot(desk, then, self._moves)

    def _wait_for_slot(self, desk: Desk, then: Then, moves: int) -> None:
        """Whoever gives us the slot goes on with `then`. But who holds it may wait for this thread."""

        def look() -> None:
            if not self._node.alive or desk.resume is not then:
                return
            if moves != self._moves:
                self._wait_for_slot(desk, then, self._moves)
            elif self._machine.overdraw(desk.root):
                desk.resume = None
                desk.overdrawn = True
                self._world.journal.note(self._node.name, "overdraws", repr(desk.root))
                self._seated(desk)
                self._node.arm()
                then()

        self._world.clock.after(OVERDRAW_SECONDS, look)

    def _seated(self, desk: Desk) -> None:
        desk.holds_slot = True
        self._check_slots()

    # -- children ------------------------------------------------------------------------------------------------------

    def run_children(self, desk: Desk, fids: Iterable[int], waiting: Wait, then: Then) -> None:
        """Run what the thread would wait for, as far as it has not begun."""
        nest = self._machine.nest
        if not nest.waits():
            then()
            return
        if self._world.rng.random() < self._in_loops:
            self.hand_over(fids)
            then()
            return
        if desk.depth >= self._most_depth:
            self._pass_on(desk, fids, waiting, then)
            return
        had = not desk.root.seceded
        stack = nest.children(fids)
        child: Child | None = None
        if stack:
            if self._has_slot(desk):
                child = nest.claim(stack, waiting.most > 0)
            else:
                nest.hand_over(fids)
                if desk.brood is not None:
                    nest.give_up(desk.brood)
        if child is None:
            if not (had or desk.lendable):
                self.secede(desk)
            then()
        else:
            _Run(self, desk, stack, waiting, had, then).next(child)

    def _pass_on(self, desk: Desk, fids: Iterable[int], waiting: Wait, then: Then) -> None:
        """The thread is too deep: another one runs them. It takes all with it, so here it is the same desk."""
        if not self._machine.nest.children(fids):
            then()
            return
        depth, away, began = desk.depth, desk.away, self._world.clock.now
        desk.depth, desk.away = 0, 0.0

        def back() -> None:
            desk.depth, desk.away = depth, away + self._world.clock.now - began
            desk.steps += 1
            if desk.lendable and not desk.root.seceded:
                self._lenders[desk] = None
                self._node.arm()
            then()

        def other() -> None:
            if self._node.alive:
                self.run_children(desk, fids, waiting, back)

        self._world.clock.after(self._world.lateness(), other)

    def hand_over(self, fids: Iterable[int]) -> None:
        """Have others run these."""
        self._machine.nest.hand_over(fids)
        self._node.flush()

    def _has_slot(self, desk: Desk) -> bool:
        """Whether the task of this thread has a slot, or can have it back at once."""
        if not desk.root.seceded:
            return True
        if not self._machine.has_room() or not self._machine.rejoin(desk.root):
            return False
        self._seated(desk)
        return True

    def begin_child(self, desk: Desk, child: Child, over: Callable[[Job, StoredValue | ErrorItem], object]) -> None:
        """A child that was claimed runs in this thread."""
        desk.steps += 1
        away, desk.away = desk.away, 0.0

        def ended(task: TaskThread, end: StoredValue | ErrorItem, micros: int, pins: tuple[str, ...]) -> None:
            self._moves += 1
            child.function.note(max(micros - 1e6 * desk.away, 0.0))
            desk.away = away + 1e-6 * micros
            if pins:
                self._node.flush_client(desk)
            self._note_end(task, end, 0)
            if isinstance(end, StoredValue):
                self._machine.child_finished(child, end, micros, pins)
            else:
                self._machine.child_failed(child, end)
            self._node.tell_client()
            self._node.check()
            desk.leave()
            over(child, end)

        desk.enter(child)
        task = TaskThread(self._node, desk, child, ended)
        if self._world.preempts():
            self._world.clock.after(self._world.lateness(), task.begin)
        else:
            task.begin()

    def following(self, desk: Desk, stack: list[Child]) -> Child | None:
        """The next child to run, if there is one."""
        return self._machine.nest.claim(stack) if stack and not desk.in_vain and self._has_slot(desk) else None

    def children_begin(self, desk: Desk) -> bool:
        """The thread runs children: they need the slot. Whether it was lendable."""
        lendable, desk.lendable = desk.lendable, False
        self._lenders.pop(desk, None)
        desk.depth += 1
        if desk not in self._deep:
            self._deep[desk] = None
            self._node.arm()
        return lendable

    def children_over(self, desk: Desk, lendable: bool, had: bool, then: Then) -> None:
        """The thread has run what it could."""
        desk.depth -= 1
        if desk.task is not None and desk.task.outer is None:
            del self._deep[desk]
        desk.lendable = lendable
        desk.steps += 1
        if lendable:
            if not desk.root.seceded:
                self._lenders[desk] = None
                self._node.arm()
            then()
        elif had:
            self.rejoin(desk, then)
        else:
            self.secede(desk)
            then()

    def unstick(self, desk: Desk) -> bool:
        """The thread has waited for long: start a child of its tasks that nobody has begun, though there is no slot."""
        machine, now = self._machine, self._world.clock.now
        if desk.moves != self._moves:
            desk.moves, desk.moved = self._moves, now
            return False
        if desk.brood is None or not machine.is_stuck(desk.brood, now - desk.moved):
            return False
        if machine.claim(desk.brood):
            self._claiming = True
            self.begin(machine.starts())
            self._claiming = False
            return False
        asked = machine.nest.claim_away(desk.brood)
        if asked:
            self._node.flush()
        return asked

    def leave(self, following: Child | None) -> None:
        """What the nest has to tell may wait for more; what has become ready may be another thread's, which waits."""
        nest = self._machine.nest
        if nest.has_messages():
            self._node.flush_soon()
        if (following is None and nest.waits()) or nest.ages():
            self._node.arm()

    def end_unwanted(self) -> None:
        """Threads hear of what they run in vain."""
        children = self._machine.nest.everybody()
        if children.shaken:
            end_unwanted([desk.real for desk in self.desks.values()], children)
            for desk in self.desks.values():
                if desk.waiting is not None and desk.in_vain:
                    assert desk.real.blocked is not None
                    assert desk.real.blocked.over, f"{desk.root} is not told that nobody wants it"
                    desk.waiting.give_up()

    # -- the backstop --------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Slots of threads that make no step are lent, their children handed over."""
        for desk in list(self._lenders):
            if desk.lendable and desk.steps == desk.seen:
                del self._lenders[desk]
                self.begin(self._secede(desk))
            desk.seen = desk.steps
        nest = self._machine.nest
        if nest.waits() or nest.ages():
            nest.tick()
        if self._look_at_long_ones() or self._lenders or nest.waits() or nest.ages():
            self._node.arm()

    def _look_at_long_ones(self) -> bool:
        """Children that run for long can be found by their keys. False: there is nobody to look at again."""
        again = False
        for desk in list(self._deep):
            if desk.steps != desk.still_at:
                desk.still_at = desk.steps
                desk.still = 0
            elif desk.still < self._long_ticks:
                desk.still += 1
                if desk.still == self._long_ticks and desk.task is not None:
                    self._machine.nest.share_keys(desk.task.keys())
            again = again or desk.still < self._long_ticks
        return again

    # -- ends ----------------------------------------------------------------------------------------------------------

    def _over(self, task: TaskThread, end: StoredValue | ErrorItem, micros: int, pins: tuple[str, ...]) -> None:
        """A thread has done its task."""
        desk, node, machine = task.desk, self._node, self._machine
        job = desk.root
        job.function.note(max(micros - 1e6 * desk.away, 0.0))
        if pins:
            node.flush_client(desk)
        del self.desks[job]
        self._note_end(task, end, micros)
        if desk.brood is not None:
            machine.nest.give_up(desk.brood)
        self._report(job, end, micros, pins)
        desk.leave()
        desk.holds_slot = desk.overdrawn = False
        starts = machine.starts()
        self.begin(starts)
        if any(isinstance(action, Start) for action in starts):
            node.flush_soon()
        else:
            node.flush()

    def _report(self, job: Job, end: StoredValue | ErrorItem, micros: int, pins: tuple[str, ...]) -> None:
        """A job of the scheduler's has ended."""
        self._moves += 1
        if isinstance(end, StoredValue):
            if pins:
                self._machine.nest.share_keys(pins)
            self._machine.finished(job, end, micros, pins)
        else:
            self._machine.failed(job, end)

    def _note_end(self, task: TaskThread, end: StoredValue | ErrorItem, micros: int) -> None:
        world = self._world
        world.ledger.worked += micros * 1e-6
        world.ledger.last_end = world.clock.now
        world.journal.note(self._node.name, "ends", f"{task.job!r} {end!r}")


class _Run:
    """A thread runs children, one after the other."""

    def __init__(
        self, executor: Executor, desk: Desk, stack: list[Child], waiting: Wait, had: bool, then: Then
    ) -> None:
        self._executor = executor
        self._desk = desk
        self._stack = stack
        self._until_error = waiting.until_error
        self._left = waiting.most
        self._had = had
        self._then = then
        self._lendable = executor.children_begin(desk)

    def next(self, child: Child) -> None:
        """Run this one."""
        self._left -= 1
        self._executor.begin_child(self._desk, child, self._over)

    def _over(self, child: Job, end: StoredValue | ErrorItem) -> None:
        failed = not isinstance(end, StoredValue)
        following: Child | None = None
        if self._left != 0 and not (failed and self._until_error):
            following = self._executor.following(self._desk, self._stack)
        self._executor.leave(following)
        if following is not None:
            self.next(following)
            return
        self._executor.children_over(self._desk, self._lendable, self._had, self._then)
