"""The simulation can fail: it finds bugs that are put into the machines."""

from __future__ import annotations

import itertools

import pytest

from tests.sim.planted import PLANTED
from tests.sim.scenarios import cluster_of, kind_of

MOST_SEEDS = 160


@pytest.mark.parametrize("bug", PLANTED)
def test_a_planted_bug_is_found_within_few_seeds(bug: str) -> None:
    machines, kinds = PLANTED[bug]
    seeds = itertools.islice((seed for seed in itertools.count() if kind_of(seed).name in kinds), MOST_SEEDS)
    for seed in seeds:
        try:
            cluster_of(seed, machines).finish()
        except AssertionError as found:
            print(f"seed {seed}, {kind_of(seed).name}: {found}")
            return
    pytest.fail(f"{MOST_SEEDS} seeds did not find that {bug}")
