"""The table of a greedy client: every case does what it says, and what is seen of it is measured."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.pressure import CASES, Figures, beside, row, under
from fastsched import Client

FEW = 1000
ENDLESS_SECONDS = 20.0  # far more than it takes
ENDING = ("leaving", "stopped")  # the process ends, or stops: for a process of its own


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(n_workers=1, threads_per_worker=4) as client:
        yield client


@pytest.mark.parametrize("case", [case for case in CASES if case not in ENDING])
def test_every_case_comes_to_its_end(client: Client, case: str) -> None:
    CASES[case](client, FEW)


@pytest.mark.parametrize("case", ENDING)
def test_others_are_served_and_what_everybody_holds_is_seen(case: str) -> None:
    figures = under(case, FEW, ENDLESS_SECONDS, after=0.2)
    assert 0.0 < figures.seconds < ENDLESS_SECONDS
    assert figures.trips
    assert min(figures.client, figures.scheduler, figures.worker) > 1_000_000


def test_the_harmless_are_at_it_all_the_time_and_loops_make_up_for_the_rest() -> None:
    figures = beside("slow", 1.3, 0.8)
    assert figures.seconds == 0.0
    assert figures.trips


def test_a_row_says_how_much_longer_the_slow_round_trips_are() -> None:
    quick = Figures(0.0, [0.001] * 100, 1, 2, 3, 1.0)
    slow = Figures(2.0, [0.001] * 95 + [0.004] * 5, 50_000_000, 2_000, 3_000, 1.0)
    cells = row("flood", slow, quick)
    assert cells[:6] == ("flood", "2.0 s", "50 MB", "2 kB", "3 kB", "1.00")
    assert cells[-1] == "4.00"
    assert row("flood", quick, quick)[1] == "not done"
