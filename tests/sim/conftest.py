"""Which seeds are run: SIM_SEEDS says how many, ``-k murder`` of which kind. They come in blocks, on all cores."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.sim.pool import Block, Pool
from tests.sim.scenarios import KINDS, kind_of
from tests.sim.seeds import MOST_IN_BLOCK, blocks_of

DEFAULT_SEEDS = 10_000


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sim_block" in metafunc.fixturenames:
        blocks = list(blocks_of(range(int(os.environ.get("SIM_SEEDS", DEFAULT_SEEDS)))))
        metafunc.parametrize("sim_block", blocks, ids=_name)


def _name(block: Block) -> str:
    return f"{kind_of(block[0]).name}-{block[0] // (MOST_IN_BLOCK * len(KINDS))}"


@pytest.fixture(scope="module")
def sim_pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Runs all blocks of this session, some tests ahead."""
    chosen = [getattr(item, "callspec", None) for item in request.session.items]
    with Pool([spec.params["sim_block"] for spec in chosen if spec and "sim_block" in spec.params]) as pool:
        yield pool
