"""Threads in virtual time: each drives one generator over `language`.

One concern: carry out operations one after the other, and go on when their answers are there. `Thread` is a user's
script; tasks, which also have a slot to lend, are in `worker`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any

from fastsched.client.record import FutureRecord, Status
from tests.sim.freight import Packed
from tests.sim.language import (
    Ask,
    Boom,
    Call,
    Cancel,
    Close,
    Die,
    Ended,
    Failed,
    Gather,
    Glance,
    Keep,
    Lock,
    Open,
    Outcomes,
    Put,
    Rejoin,
    Release,
    Secede,
    Sleep,
    Stumble,
    Submit,
    Unlock,
    Value,
)
from tests.sim.site import End, Handle, Site
from tests.sim.world import World

__all__ = ["LATER", "Arriving", "Thread", "Wait", "Waiting"]

LATER = object()
"""The answer to an operation will come by `Thread.go_on`."""


class Thread:
    """A user's script.

    Parameters
    ----------
    world : World
        The ground.
    site : Site
        The client that it uses.
    name : str
        For the journal.
    script : generator
        What it does.
    """

    def __init__(self, world: World, site: Site, name: str, script: Generator[Any, Any, Any]) -> None:
        self.world = world
        self.site = site
        self.name = name
        self.over = False
        self._script = script

    @property
    def alive(self) -> bool:
        """Whether its process is."""
        return self.site.alive

    def go_on(self, answer: Any = None, error: Exception | None = None) -> None:
        """Run on, with the answer to the last operation, until one has to be waited for."""
        while self.alive:
            try:
                operation = self._script.send(answer) if error is None else self._script.throw(error)
            except StopIteration as stop:
                self.over = True
                self.returned(stop.value)
                return
            except (Boom, Failed) as raised:
                self.over = True
                self.raised(raised)
                return
            answer, error = None, None
            try:
                answer = self.carry_out(operation)
            except (Boom, Failed) as raised:
                error = raised
            if answer is LATER:
                return
            if self.world.preempts():
                self.go_on_soon(answer, error)
                return

    def go_on_soon(self, answer: Any = None, error: Exception | None = None) -> None:
        """As `go_on`, when the processor is free."""
        self.world.clock.after(self.world.lateness(), lambda: self.go_on(answer, error))

    def returned(self, value: Any) -> None:
        """The script came to its end."""

    def raised(self, error: Exception) -> None:
        """The script ended by an exception: a user sees it, and it has been judged already."""
        self.world.journal.note(self.name, "raises", str(error))

    def carry_out(self, operation: Any) -> Any:
        """Do one operation; its answer, or `LATER`."""
        site = self.site
        match operation:
            case Sleep(seconds):
                self.world.clock.after(seconds, self.go_on)
                return LATER
            case Submit(call):
                return self.submit(call)
            case Gather(handles):
                self.wait(Waiting(self, handles, _values, True))
                return LATER
            case Outcomes(handles):
                self.wait(Waiting(self, handles, _as_they_are, False))
                return LATER
            case Glance(handles, seconds):
                self.wait(Waiting(self, handles, _nothing, False), seconds)
                return LATER
            case Ended(handles):
                self.wait(Arriving(self, handles))
                return LATER
            case Put():
                return self.put(operation)
            case Release(handles):
                return site.release(handles)
            case Cancel(handles):
                return site.cancel(handles)
            case Keep(handles):
                return site.keep(handles)
            case Ask():
                site.ask(operation, self.go_on_soon)
                return LATER
        return self.lend(operation)

    def submit(self, call: Call) -> Handle:
        """Submit a task."""
        return self.site.submit(call)

    def put(self, operation: Put) -> list[Handle]:
        """Scatter values."""
        return self.site.put(operation)

    def lend(self, operation: Open | Close | Secede | Rejoin | Lock | Unlock | Die | Stumble) -> Any:
        """What only a task can do."""
        raise TypeError(f"{self.name} is no task and cannot {operation}")

    def wait(self, waiting: Wait, seconds: float | None = None) -> None:
        """Wait, then go on with what it gives; not for longer than so many seconds."""
        waiting.begin()
        if seconds is not None:
            self.world.clock.after(seconds, waiting.expire)

    def bind(self, packed: Packed) -> Value:
        """A value in this thread's hands; futures inside it are the thread's."""
        return Value(packed.n, packed.size, tuple(self.site.adopt(key) for key in packed.keys))

    def woken(self, make: Callable[[], Any]) -> None:
        """What was waited for is there."""
        try:
            answer = make()
        except Failed as error:
            self.go_on(error=error)
        else:
            self.go_on(answer)


Unpack = Callable[[Packed], Value]


def _values(ends: Sequence[End], unpack: Unpack) -> list[Value]:
    for end in ends:
        if isinstance(end, Failed):
            raise Failed(end.kind, end.key, end.text)
    return [unpack(end) for end in ends if not isinstance(end, Failed)]


def _as_they_are(ends: Sequence[End], unpack: Unpack) -> list[Value | Failed]:
    return [end if isinstance(end, Failed) else unpack(end) for end in ends]


def _nothing(ends: Sequence[End], unpack: Unpack) -> None:
    """Nobody wants to know."""


class Wait:
    """A thread waits for futures.

    Parameters
    ----------
    thread : Thread
        Who waits.
    handles : sequence of Handle
        For what.
    until_error : bool
        Whether it ends at the first that fails.
    most : int
        So many children the thread runs itself before it looks again; 0: all.
    """

    def __init__(self, thread: Thread, handles: Sequence[Handle], until_error: bool, most: int) -> None:
        self.handles = handles
        self.until_error = until_error
        self.most = most
        self._thread = thread
        self._woken_up = False

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for (any more)."""
        raise NotImplementedError

    def begin(self) -> None:
        """Look at all of them."""
        raise NotImplementedError

    def gives(self) -> Any:
        """The answer; raises `Failed`."""
        raise NotImplementedError

    def wake(self) -> None:
        """It is over, once."""
        if not self._woken_up:
            self._woken_up = True
            world = self._thread.world
            world.clock.after(world.lateness(), lambda: self._woken(self.gives))

    def expire(self) -> None:
        """It has taken too long."""
        if not self._woken_up:
            self._woken_up = True
            self._woken(lambda: None)

    def give_up(self) -> None:
        """Nobody wants the task that waits."""
        self.wake()

    def _woken(self, gives: Callable[[], Any]) -> None:
        if self._thread.alive:
            self._thread.woken(gives)


class Waiting(Wait):
    """For the ends of all of them, and for their values."""

    def __init__(
        self,
        thread: Thread,
        handles: Sequence[Handle],
        give: Callable[[Sequence[End], Unpack], Any],
        until_error: bool,
    ) -> None:
        super().__init__(thread, handles, until_error, 0)
        self._give = give
        self._ends: list[End | None] = [None] * len(handles)
        self._missing = len(handles)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to wait for (any more)."""
        records = [handle.record for handle in self.handles]
        if self.until_error and any(record.status in (Status.ERROR, Status.CANCELLED) for record in records):
            return True
        return all(record.settled and (record.frames is not None or record.error is not None) for record in records)

    def begin(self) -> None:
        """Look at all of them."""
        if not self.handles:
            self.wake()
        for index, handle in enumerate(self.handles):
            self._thread.site.obtain(handle, lambda end, index=index: self._obtained(index, end))

    def gives(self) -> Any:
        """What `give` makes of the ends."""
        return self._give([end for end in self._ends if end is not None], self._thread.bind)

    def _obtained(self, index: int, end: End) -> None:
        self._ends[index] = end
        self._missing -= 1
        if self._missing == 0 or (self.until_error and isinstance(end, Failed)):
            self.wake()


class Arriving(Wait):
    """For the end of any of them."""

    def __init__(self, thread: Thread, handles: Sequence[Handle]) -> None:
        super().__init__(thread, handles, False, 1)

    @property
    def is_over(self) -> bool:
        """Whether one has ended."""
        return not self.handles or any(handle.record.settled for handle in self.handles)

    def begin(self) -> None:
        """Look at all of them."""
        if self.is_over:
            self.wake()
        for handle in self.handles:
            if not handle.record.settled:
                handle.record.watch(self)

    def gives(self) -> tuple[Handle, ...]:
        """Those that have not ended."""
        return tuple(handle for handle in self.handles if not handle.record.settled)

    def notify(self, record: FutureRecord) -> None:
        """One has settled."""
        self.wake()
