"""Futures that are unpickled in these tests are `FakeFuture`s."""

from __future__ import annotations

import pytest

from fastsched.wire.payload import futures
from tests.wire.futures import FakeFuture


@pytest.fixture(autouse=True)
def _fake_futures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(futures, "_loader", [FakeFuture])
