"""Which seeds are run: ``--sim-seed N`` or SIM_SEED for one, SIM_SEEDS for how many, ``-k murder`` for a kind."""

from __future__ import annotations

import os

import pytest

from tests.sim.scenarios import KINDS, kind_of

DEFAULT_SEEDS = 16 * len(KINDS)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sim-seed", type=int, default=None, help="run this seed of tests/sim alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sim_seed" not in metafunc.fixturenames:
        return
    one = metafunc.config.getoption("--sim-seed", default=None)
    if one is None and "SIM_SEED" in os.environ:
        one = int(os.environ["SIM_SEED"])
    seeds = range(int(os.environ.get("SIM_SEEDS", DEFAULT_SEEDS))) if one is None else [one]
    metafunc.parametrize("sim_seed", seeds, ids=lambda seed: f"{kind_of(seed).name}-{seed}")
