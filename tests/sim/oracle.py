"""What each call must give.

One concern: run the programs one after the other, children where they are submitted, in plain Python: no cluster, no
time, no faults. The outcome of a call depends on its arguments and on the outcomes of its inputs alone, so each is
computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from fastsched.wire.messages import ErrorKind
from tests.sim.language import (
    Boom,
    Call,
    Die,
    Ended,
    Failed,
    Gather,
    Handle,
    Outcomes,
    Put,
    Stumble,
    Submit,
    Value,
)
from tests.sim.programs import program_of

__all__ = ["Bad", "Good", "Oracle", "Outcome"]


@dataclass(frozen=True, slots=True)
class Good:
    """It has a value; `inner` are the outcomes of the futures inside it."""

    n: int
    size: int
    inner: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Bad:
    """It ends with one of these exceptions of tasks: several if several inputs may be the first to fail.

    None at all: it kills its worker.
    """

    texts: frozenset[str]


Outcome: TypeAlias = Good | Bad


class Oracle:
    """Outcomes of calls."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], Outcome] = {}

    def outcome(self, call: Call, inputs: Sequence[Outcome], pins: Sequence[Outcome]) -> Outcome:
        """What this call must give, its inputs and pinned futures having these outcomes."""
        bad = [one for one in inputs if isinstance(one, Bad)]
        if bad:
            return Bad(frozenset().union(*(one.texts for one in bad)))
        what = (call.program, call.args, tuple(inputs), tuple(pins), call.retries)
        known = self._known.get(what)
        if known is None:
            known = self._known[what] = self._run(call, inputs, pins)
        return known

    def value(self, value: Value) -> Good:
        """What a scattered value is."""
        return Good(value.n, value.size, tuple(value.handles))

    def _run(self, call: Call, inputs: Sequence[Outcome], pins: Sequence[Outcome]) -> Outcome:
        """Drive the program; its handles are the outcomes themselves."""
        values = [self._seen(one) for one in inputs]
        thoughts = program_of(call.program)(values, list(pins), *call.args)
        answer, error = None, None
        while True:
            try:
                operation = thoughts.send(answer) if error is None else thoughts.throw(error)
            except StopIteration as stop:
                return self.value(stop.value)
            except Boom as raised:
                return Bad(frozenset((str(raised),)))
            except _Bad as raised:
                return raised.outcome
            if isinstance(operation, Die):
                return Bad(frozenset())
            answer, error = None, None
            try:
                answer = self._answer(operation, call)
            except (Boom, _Bad) as raised:
                error = raised

    def _answer(self, operation: Any, call: Call) -> Any:
        match operation:
            case Submit(child):
                return self.outcome(child, child.inputs, (*child.pins, *child.names))
            case Gather(handles):
                bad = [outcome for outcome in handles if isinstance(outcome, Bad)]
                if bad:  # it depends on which is the first to fail
                    raise _Bad(Bad(frozenset().union(*(one.texts for one in bad))))
                return [self._seen(outcome) for outcome in handles]
            case Outcomes(handles):
                return [self._seen(one) if isinstance(one, Good) else _failed(one) for one in handles]
            case Ended():
                return ()
            case Put(values):
                return [self.value(value) for value in values]
            case Stumble(times) if times > call.retries:
                raise Boom(f"stumbled {call.args}")
        return None

    def _seen(self, outcome: Handle) -> Value:
        return Value(outcome.n, outcome.size, outcome.inner)


def _failed(outcome: Bad) -> Failed:
    return Failed(ErrorKind.TASK, "", min(outcome.texts, default=""))


class _Bad(Exception):
    """The outcome of a future that the program waited for, on its way through the program."""

    def __init__(self, outcome: Bad) -> None:
        super().__init__(outcome)
        self.outcome = outcome
