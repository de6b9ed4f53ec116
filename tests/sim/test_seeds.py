"""Whole clusters, seed by seed, in blocks that run on all cores.

A seed that fails prints the end of its journal, and how to run it again; then all of the journal is printed.
"""

from __future__ import annotations

import pytest

from tests.sim.pool import Block, Pool


@pytest.mark.timeout(600)
def test_clusters_keep_their_promises(sim_block: Block, sim_pool: Pool) -> None:
    failures = sim_pool.result(sim_block)
    for failure in failures:
        print(failure)
    assert not failures, "\n".join(failure.headline for failure in failures)
