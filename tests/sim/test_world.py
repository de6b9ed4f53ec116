"""The simulated world itself: time, connections, determinism, the oracle; and that runs meet what they are to meet."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from fastsched.config import Config
from fastsched.wire.catalogue import CODES
from fastsched.wire.messages import (
    Circle,
    Despair,
    Dismiss,
    Done,
    ErrorKind,
    Expect,
    Obituary,
    Oversee,
    Pressure,
    Pulse,
    Report,
    Retire,
    Waiting,
)
from tests.sim.clock import Clock, Process
from tests.sim.cluster import Cluster
from tests.sim.journal import Journal
from tests.sim.language import Call, Failed
from tests.sim.ledger import Ledger, Verdict
from tests.sim.network import Network, Weather
from tests.sim.oracle import Bad, Good, Oracle
from tests.sim.scenarios import KINDS, cluster_of

PULSE = frozenset((Pulse,))
SUPERVISION = (
    Oversee,
    Expect,
    Obituary,
    Pressure,
    Despair,
    Retire,
    Dismiss,
)
"""Who ends workers tells the scheduler here."""
STORM = Weather(latency=1e-3, jitter=5e-3, stalls=0.3, stall=0.05, cuts=0.9, breaks=0.0)


def finished(seed: int) -> Cluster:
    cluster = cluster_of(seed)
    cluster.finish()
    return cluster


def connection(seed: int, weather: Weather = STORM):
    """A connection in a storm, and what arrives at its ends."""
    clock = Clock()
    network = Network(clock, random.Random(seed), Config(frame_bytes=256), weather, Journal(clock))
    one, two = network.connect("one", PULSE, "two", PULSE)
    heard: list[int | str] = []
    two.on_messages = lambda messages: heard.extend(message.beat for message in messages)
    two.on_closed = lambda: heard.append("end")
    return clock, one, two, heard


def run(clock: Clock) -> None:
    while clock.step():
        pass


# -- time --------------------------------------------------------------------------------------------------------------


def test_the_clock_jumps_from_event_to_event_in_order() -> None:
    clock = Clock()
    seen: list[tuple[str, float]] = []
    for name, when in (("late", 100.0), ("early", 1.0), ("tie", 1.0)):
        clock.at(when, lambda name=name: seen.append((name, clock.now)))
    clock.at(2.0, lambda: clock.after(5.0, lambda: seen.append(("planned", clock.now))))
    clock.at(3.0, lambda: seen.append(("never", clock.now))).cancel()
    run(clock)
    assert seen == [("early", 1.0), ("tie", 1.0), ("planned", 7.0), ("late", 100.0)]
    assert not clock.step()


def test_events_in_the_background_go_on_for_ever_and_keep_nobody_busy() -> None:
    clock = Clock()
    beats: list[float] = []

    def beat() -> None:
        beats.append(clock.now)
        clock.after(1.0, beat)  # in the background, too

    clock.at(0.0, beat, background=True)
    clock.at(3.5, lambda: None)
    while clock.now < 3.0:
        assert clock.step()
        assert clock.quiet_for == 0.0
    while clock.quiet_for < 5.0:
        assert clock.step()
    assert clock.busy_at == 3.5
    assert beats == [float(number) for number in range(10)]


def test_what_happens_to_a_stopped_process_happens_when_it_goes_on_and_arrivals_first() -> None:
    clock = Clock()
    process = Process(clock)
    seen: list[tuple[str, float]] = []

    def see(name: str) -> None:
        seen.append((name, clock.now))

    clock.at(1.0, process.stop)
    process.at(0.5, lambda: see("before"))
    process.at(2.0, lambda: see("alarm"))
    process.arrival(3.0, lambda: see("message"))
    process.at(4.0, lambda: see("never")).cancel()
    late = process.at(5.0, lambda: see("called off"))
    clock.at(6.0, late.cancel)
    clock.at(7.0, process.go_on)
    process.at(8.0, lambda: see("after"))
    run(clock)
    assert seen == [("before", 0.5), ("message", 7.0), ("alarm", 7.0), ("after", 8.0)]


# -- connections -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_direction_keeps_its_order_in_any_weather(seed: int) -> None:
    clock, one, _, heard = connection(seed)
    for beat in range(30):
        clock.at(beat * 1e-3, lambda beat=beat: one.send(Pulse(beat)))
    clock.at(1.0, one.close)
    run(clock)
    assert heard == [*range(30), "end"]


def test_connections_overtake_each_other() -> None:
    arrivals = []
    for seed in range(10):
        clock, one, two, _ = connection(seed)
        two.on_messages = lambda _, seed=seed, clock=clock: arrivals.append((clock.now, seed))
        one.send(Pulse(1))
        run(clock)
    assert [seed for _, seed in sorted(arrivals)] != list(range(10))


def test_a_dying_end_loses_nothing_but_a_tail() -> None:
    lengths = set()
    for seed in range(30):
        clock, one, _, heard = connection(seed)
        for beat in range(10):
            one.send(Pulse(beat))
        one.die()
        run(clock)
        *beats, end = heard
        assert beats == list(range(len(beats)))
        assert end == "end"
        lengths.add(len(beats))
    assert len(lengths) > 3
    assert max(lengths) == 10


def test_nobody_hears_from_an_end_that_has_closed() -> None:
    clock, one, two, heard = connection(1)
    two.close()
    one.send(Pulse(1))
    run(clock)
    assert heard == []
    assert not one.open


# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_seed_decides_the_run_whatever_the_process() -> None:
    """Also the order of sets and the addresses of objects must not matter to any machine."""
    program = f"from tests.sim.test_world import digest\nprint(*[digest(seed) for seed in {(1, 6, 9, 16)}])"
    digests = set()
    for hash_seed in ("1", "2"):
        environ = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environ, capture_output=True, check=True, cwd=Path(__file__).parents[2]
        )
        digests.add(done.stdout)
    assert len(digests) == 1


def digest(seed: int) -> str:
    """The journal of a run in a few characters."""
    lines = list(finished(seed).world.journal.lines())
    return f"{len(lines)}:{random.Random(repr(lines)).getrandbits(32):x}"


def test_seeds_differ() -> None:
    assert digest(0) != digest(len(KINDS))


def test_runs_meet_every_message_and_all_kinds_of_news() -> None:
    elsewhere = (Waiting, Circle, *SUPERVISION)  # no thread here reports that it waits
    missing = {kind.__name__ for kind in CODES} - {kind.__name__ for kind in elsewhere}
    missing |= {f"{kind.__name__}.{field}" for kind in (Done, Report) for field in kind._fields}
    for seed in range(4 * len(KINDS)):
        for message in finished(seed).world.journal.messages():
            name = type(message).__name__
            missing.discard(name)
            if isinstance(message, Done | Report):
                missing -= {f"{name}.{field}" for field, value in message._asdict().items() if value}
        if not missing:
            return
    pytest.fail(f"{4 * len(KINDS)} seeds never met {missing}")


# -- oracle and ledger -------------------------------------------------------------------------------------------------


def test_the_oracle_knows_what_programs_give() -> None:
    oracle = Oracle()
    assert oracle.outcome(Call("fib", (100,)), (), ()) == Good(354224848179261915075, 0, ())
    assert oracle.outcome(Call("boom", (7, 0)), (), ()) == Bad(frozenset({"boom 7"}))
    assert oracle.outcome(Call("fragile", (7,)), (), ()) == Bad(frozenset({"boom 7"}))
    assert oracle.outcome(Call("die", (1, 0)), (), ()) == Bad(frozenset())
    assert isinstance(oracle.outcome(Call("stumble", (1, 2), retries=2), (), ()), Good)
    assert isinstance(oracle.outcome(Call("stumble", (1, 2), retries=1), (), ()), Bad)


def test_the_oracle_passes_failures_on() -> None:
    bad = Bad(frozenset({"one"})), Bad(frozenset({"two"}))
    either = Bad(frozenset({"one", "two"}))  # which is the first to fail nobody knows, of inputs or of what is gathered
    assert Oracle().outcome(Call("leaf", (1, 0, 0)), bad, ()) == either
    assert Oracle().outcome(Call("collect", (1,)), (), bad) == either
    assert Oracle().outcome(Call("collect", (1,)), (), bad[:1]) == bad[0]


GOOD = Good(1, 0, ())


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        (GOOD, Good(2, 0, ())),
        (GOOD, Failed(ErrorKind.TASK, "a", "boom")),
        (Bad(frozenset({"boom"})), GOOD),
        (Bad(frozenset({"boom"})), Failed(ErrorKind.TASK, "a", "another")),
        *((GOOD, Failed(kind, "a", "text")) for kind in ErrorKind if kind is not ErrorKind.TASK),
    ],
    ids=str,
)
def test_without_faults_nothing_but_the_right_outcome_is_excused(expected: Good | Bad, seen: Good | Failed) -> None:
    with pytest.raises(Verdict):
        Ledger(allowed_failures=3).judge("somebody", "a", expected, seen)


def test_a_fault_excuses_only_what_depends_on_it() -> None:
    ledger = Ledger(allowed_failures=3)
    ledger.cancelled.add("a")
    ledger.depends("b", ["a"])
    ledger.depends("c", ["b"])
    cancelled = Failed(ErrorKind.CANCELLED, "a", "a was cancelled")
    for key in "abc":
        ledger.judge("somebody", key, GOOD, cancelled)
    with pytest.raises(Verdict, match="nothing to do with"):
        ledger.judge("somebody", "d", GOOD, cancelled)


def test_a_task_may_be_lost_only_if_more_workers_died_under_it_than_allowed() -> None:
    ledger = Ledger(allowed_failures=2)
    lost = Failed(ErrorKind.WORKER_LOST, "a", "")
    ledger.blamed["a"] = 2
    with pytest.raises(Verdict):
        ledger.judge("somebody", "a", GOOD, lost)
    ledger.blamed["a"] = 3
    ledger.judge("somebody", "a", GOOD, lost)
