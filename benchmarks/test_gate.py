"""The gate must be able to fail: at a bound, and at a build that is not what users run."""

from __future__ import annotations

import pytest

from benchmarks import gate
from benchmarks.comparing import machine
from benchmarks.gate import BOUNDS, INSTRUCTIONS, RATIO, WAKEUPS, verdicts
from benchmarks.gating import measures
from benchmarks.gating.works import WORKS
from fastsched import _core


def test_every_piece_of_work_has_a_bound_of_both_kinds() -> None:
    assert set(BOUNDS[INSTRUCTIONS]) == set(BOUNDS[RATIO]) == set(WORKS)


def test_every_bound_is_above_what_was_measured() -> None:
    assert [what for unit in BOUNDS.values() for what, bound in unit.items() if bound.limit <= bound.measured] == []


@pytest.mark.parametrize("unit", BOUNDS)
def test_a_value_holds_up_to_its_bound_and_not_beyond(unit: str) -> None:
    limits = {what: bound.limit for what, bound in BOUNDS[unit].items()}
    assert all(verdict.held for verdict in verdicts(unit, limits))
    beyond = {what: limit * 1.001 for what, limit in limits.items()}
    assert not any(verdict.held for verdict in verdicts(unit, beyond))


@pytest.mark.parametrize("name", WORKS)
def test_work_can_be_done_again_and_again(name: str) -> None:
    work = WORKS[name]()
    for _ in range(2):
        work()


def told(monkeypatch: pytest.MonkeyPatch, factor: float) -> str:
    """What the gate says if everything costs `factor` times its bound; nothing is measured."""
    values = {unit: {what: factor * bound.limit for what, bound in bounds.items()} for unit, bounds in BOUNDS.items()}
    monkeypatch.setattr(measures, "ratios", lambda: values[RATIO])
    monkeypatch.setattr(gate, "wakeup_counts", lambda: values[WAKEUPS])
    try:
        gate.main(["--no-count"])
    except SystemExit as end:
        return str(end.code)
    return ""


def test_the_gate_fails_where_a_bound_is_exceeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "refuse_what_is_not_built", lambda: None)
    assert told(monkeypatch, 0.9) == ""
    assert "cost more than they may: core; core, one by one; scheduler" in told(monkeypatch, 1.1)


def test_it_proposes_lines_for_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(machine, "refuse_what_is_not_built", lambda: None)
    monkeypatch.setattr(measures, "can_count", lambda: True)
    monkeypatch.setattr(measures, "instructions", lambda: dict.fromkeys(WORKS, 12_345.6))
    monkeypatch.setattr(gate, "wakeup_counts", lambda: {**dict.fromkeys(BOUNDS[WAKEUPS], 4.0), "idle, a second": 0.0})
    gate.main(["--propose"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '"core": Bound(12_300, 16_500),'
    assert lines[-1] == '"idle, a second": Bound(0.0, 10.0),'
    assert '"a round trip": Bound(4.0, 5.0),' in lines


@pytest.mark.parametrize(
    ("where", "name", "answer", "said"),
    [
        (_core, "build", {**_core.build(), "debug": True}, "is a debug build"),
        (machine, "interpreted", ["wire/codec"], "run as Python: wire/codec"),
        (machine, "stale", ["wire/codec"], "older than their sources: wire/codec"),
    ],
)
def test_the_gate_fails_on_another_build(
    where: object, name: str, answer: object, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = {**_core.build(), "debug": False}
    for module, function, value in ((_core, "build", release), (machine, "interpreted", []), (machine, "stale", [])):
        monkeypatch.setattr(module, function, lambda value=value: value)
    assert told(monkeypatch, 0.9) == ""
    monkeypatch.setattr(where, name, lambda: answer)
    assert said in told(monkeypatch, 0.9)
