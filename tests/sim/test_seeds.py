"""Whole clusters, seed by seed.

A seed that fails prints the end of its journal, and how to run it again; then all of the journal is printed.
"""

from __future__ import annotations

import os

import pytest

from tests.sim.scenarios import cluster_of, kind_of

LAST_LINES = 300


def test_a_cluster_keeps_its_promises(sim_seed: int, request: pytest.FixtureRequest) -> None:
    cluster = cluster_of(sim_seed)
    try:
        cluster.finish()
    except BaseException:
        alone = request.config.getoption("--sim-seed", default=None) is not None or "SIM_SEED" in os.environ
        lines = list(cluster.world.journal.lines())
        print("\n".join(lines if alone else lines[-LAST_LINES:]))
        print(f"{kind_of(sim_seed).name}: {cluster.world.weather}, {cluster.scheduler.detection}")
        print(cluster.world.config)
        print(f"again, with the whole journal: SIM_SEED={sim_seed} python -m pytest tests/sim -k promises")
        raise
