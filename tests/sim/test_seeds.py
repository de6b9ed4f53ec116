"""Whole clusters, seed by seed.

A failing seed is replayed by ``SIM_SEED=<seed> python -m pytest tests/sim -k seeds``; the journal of everything that
happened is printed.
"""

from __future__ import annotations

import pytest

from tests.sim.scenarios import cluster_of, kind_of

LAST_LINES = 400


def test_a_cluster_keeps_its_promises(sim_seed: int, request: pytest.FixtureRequest) -> None:
    cluster = cluster_of(sim_seed)
    kind = kind_of(sim_seed)
    try:
        cluster.finish()
    except BaseException:
        lines = list(cluster.world.journal.lines())
        print(f"seed {sim_seed}: {kind.name}, {cluster.world.weather}")
        print(cluster.world.config)
        whole = request.config.getoption("--sim-seed", default=None) is not None
        print("\n".join(lines if whole else lines[-LAST_LINES:]))
        raise
