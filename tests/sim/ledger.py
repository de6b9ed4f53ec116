"""Which faults a run had, and so which failures are excused.

One concern: without a fault every future ends as the oracle says. With faults it may end otherwise, but only for a
reason that is written down here, and only if the reason lies upstream of the future: a task that may have been
executing when too many workers died, a key that somebody cancelled, a scattered value whose workers are gone, a cluster
that was given up.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from fastsched.wire.messages import ErrorKind
from tests.sim.language import Failed
from tests.sim.oracle import Bad, Good, Outcome

__all__ = ["Ledger", "Verdict"]


PATIENCE = 1.5
"""Seconds after which work that lies at the wrong place must have moved."""


class Verdict(AssertionError):
    """A future ended as it must not."""


class Ledger:
    """The faults of one run.

    Parameters
    ----------
    allowed_failures : int
        Deaths under a task that do not end it.
    """

    def __init__(self, allowed_failures: int) -> None:
        self._allowed_failures = allowed_failures
        self._upstream: defaultdict[str, set[str]] = defaultdict(set)
        self._around: defaultdict[str, set[str]] = defaultdict(set)  # key -> those whose values hold a future of it
        self.blamed: Counter[str] = Counter()  # key -> workers that died while they executed it
        self.stumbled: Counter[str] = Counter()  # key -> times that its task raised on purpose
        self.executed: Counter[str] = Counter()  # key -> attempts that began
        self.worked = 0.0  # seconds in which threads ran tasks
        self.last_end = 0.0  # when the last one ended
        self.deaths = 0  # of workers, planned ones not counted
        self.halts = 0  # of processes that went on later
        self.departures = 0  # of workers, for any reason
        self.guessed = False  # whether the scheduler was ever left to guess what a dead worker executed
        self.cancelled: set[str] = set()
        self.scattered: set[str] = set()
        self.adopted: set[str] = set()  # futures that tasks have unpickled: forgotten by then, if the task is unwanted
        self.hopeless = False  # supervision gave up
        self.attached: set[str] = set()  # futures that users know by their keys only
        self.scheduler_lost = False
        self.failed: set[str] = set()  # keys that somebody saw fail
        self.restarts = 0  # schedulers that died and were followed by another one

    def depends(self, key: str, upstream: Iterable[str]) -> None:
        """What becomes of `key` depends on these: inputs, pins, children."""
        self._upstream[key].update(upstream)

    def holds(self, key: str, inside: Iterable[str]) -> None:
        """The value of `key` holds futures of these."""
        for inner in inside:
            self._around[inner].add(key)

    def judge(self, who: str, key: str, expected: Outcome, seen: Good | Failed) -> None:
        """See that a future of `key` was right to end as it did.

        Raises
        ------
        Verdict
            It was not.
        """
        if isinstance(seen, Failed):
            self.failed.add(key)
        if isinstance(seen, Good):
            if seen != expected and not self._got_through(key, expected):
                raise Verdict(f"{who}: {key} has the value {seen}, it should be {expected}")
        elif not self._is_excused(expected, seen):
            raise Verdict(f"{who}: {key} ended with {seen}, it should be {expected}")
        elif seen.key and seen.key not in self._closure(key):
            raise Verdict(f"{who}: {key} ended with {seen}, which it has nothing to do with")

    def check_executions(self) -> None:
        """Without faults, and with all futures held, no task begins twice."""
        twice = {key: n for key, n in self.executed.items() if n > 1}
        if twice:
            raise Verdict(f"tasks were executed more than once: {twice}")

    def check_kept(self, keys: Iterable[str]) -> None:
        """What was fired and forgotten has run, if nothing is an excuse."""
        if self.deaths or self.hopeless or self.scheduler_lost or self.restarts:
            return
        for key in keys:
            if not self.executed[key] and (self.cancelled | self.adopted).isdisjoint(self._closure(key)):
                raise Verdict(f"{key} was fired and forgotten, and never ran")

    def check_balance(self, slots: int, longest: float) -> None:
        """No task lay on a busy worker while another one had nothing to do, for longer than it takes to find out."""
        most = self.worked / slots + longest + PATIENCE
        if self.last_end > most:
            raise Verdict(f"{self.worked} s of work on {slots} slots took until {self.last_end} s")

    def _got_through(self, key: str, expected: Outcome) -> bool:
        """Whether it may have a value though it, or what it was made from, stumbles more often than it may be tried.

        The news of one of the failures was lost with a worker or a scheduler, or came when the task had been moved:
        that attempt does not count, and there was another.
        """
        lost_news = self.deaths + self.restarts + self.halts > 0
        return isinstance(expected, Bad) and lost_news and any(self.stumbled[one] for one in self._closure(key))

    def _is_excused(self, expected: Outcome, seen: Failed) -> bool:
        match seen.kind:
            case ErrorKind.TASK:
                if self.stumbled[seen.key] and self._got_through(seen.key, expected):  # past another one that stumbles
                    return True
                return isinstance(expected, Bad) and seen.text in expected.texts
            case ErrorKind.WORKER_LOST:
                deaths = self.deaths if self.guessed else self.blamed[seen.key]
                return deaths > self._allowed_failures
            case ErrorKind.CANCELLED:
                if seen.text.startswith("unknown key"):
                    if self.halts > 0:  # a child that only a silent worker knows of, and that one is not waited for
                        return True
                    if self.restarts and seen.key in self.attached | self.failed | self.scattered:
                        return True  # the next scheduler is told of no failure, and knows keys by what has their values
                    # a future that travelled: cancelled with what it depends on, or with the value in which it did
                    return not self.cancelled.isdisjoint(self._closure(seen.key) | _reached(seen.key, self._around))
                return seen.key in self.cancelled
            case ErrorKind.DATA_LOST:
                if self.restarts:  # who is known by its key only cannot be made again
                    return seen.key in self.scattered | self.attached
                return seen.key in self.scattered and self.departures > 0
            case ErrorKind.NO_WORKERS:
                return self.hopeless
            case ErrorKind.SCHEDULER_LOST:
                return self.scheduler_lost
        return False

    def _closure(self, key: str) -> set[str]:
        """Everything that this key depends on, itself included."""
        return _reached(key, self._upstream)


def _reached(key: str, links: dict[str, set[str]]) -> set[str]:
    found = {key}
    todo = [key]
    while todo:
        for other in links.get(todo.pop(), ()):
            if other not in found:
                found.add(other)
                todo.append(other)
    return found
