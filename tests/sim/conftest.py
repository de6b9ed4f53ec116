"""Which seeds are run: `--sim-seed N` or SIM_SEED for one, SIM_SEEDS for how many."""

from __future__ import annotations

import os

import pytest

DEFAULT_SEEDS = 17 * 12


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--sim-seed", type=int, default=None, help="run this seed of tests/sim alone, print its journal")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "sim_seed" not in metafunc.fixturenames:
        return
    one = metafunc.config.getoption("--sim-seed", default=None) or os.environ.get("SIM_SEED")
    seeds = range(int(os.environ.get("SIM_SEEDS", DEFAULT_SEEDS))) if one is None else [int(one)]
    metafunc.parametrize("sim_seed", seeds)
