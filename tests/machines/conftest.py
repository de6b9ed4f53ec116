"""Fixtures of the machines' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.machines.helpers.scheduler_world import World


@pytest.fixture
def world() -> Iterator[World]:
    """A scheduler's machine with nobody around it; at the end all invariants hold and no news is unheard."""
    world = World()
    yield world
    world.end()
