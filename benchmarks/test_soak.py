"""What grows is seen; what goes up and down is not taken for growth; all kinds of work do their work."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from benchmarks.soak import KINDS, MOST_GROWTH, Sample, growth, round_trip, verdict
from fastsched import Client


def samples(program: list[int], descriptors: list[int] | None = None) -> list[Sample]:
    """One each half minute."""
    counts = descriptors or [60] * len(program)
    return [
        Sample(30.0 * n, used, 10_000_000, count, 16, 1e-4, 1e-3, 100)
        for n, (used, count) in enumerate(zip(program, counts, strict=True))
    ]


def test_a_slope_is_that_of_the_last_two_thirds() -> None:
    rising = samples([0, 50_000_000, 90_000_000, *(100_000_000 + 1_000 * n for n in range(6))])
    assert growth(rising, lambda one: one.program) == pytest.approx(2_000)
    assert growth(rising[:1], lambda one: one.program) == 0.0


def test_what_is_level_after_warming_up_is_well() -> None:
    assert verdict(samples([0, 50_000_000, 90_000_000, *(100_000_000 + 10_000 * (n % 2) for n in range(9))]))[1]


def test_more_memory_or_descriptors_all_the_time_are_not() -> None:
    lines, well = verdict(samples([10_000_000 + MOST_GROWTH * n for n in range(12)]))
    assert not well
    assert lines[0].startswith("memory: +2000 kB a minute in the program, ")
    assert not verdict(samples([10_000_000] * 12, [60 + 2 * n for n in range(12)]))[1]


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Client(n_workers=1, threads_per_worker=1) as client:
        yield client


@pytest.mark.parametrize("kind", KINDS, ids=[kind.__name__ for kind in KINDS])
def test_every_kind_of_work_comes_out_right(client: Client, kind) -> None:
    kind(client, random.Random(0))
    assert round_trip(client) > 0.0
