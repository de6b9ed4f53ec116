"""What this machine has, and what a limit means."""

from __future__ import annotations

import os

import pytest

from fastsched import LocalCluster, local, resources
from fastsched.resources import cores, limit_of, parse_bytes, shown, total_bytes, used_bytes


@pytest.fixture
def machine(monkeypatch):
    monkeypatch.setattr(resources, "total_bytes", lambda: 16_000_000_000)


@pytest.mark.parametrize(
    ("limit", "nbytes"),
    [
        (None, 0),
        (0, 0),
        ("0", 0),
        (0.0, 0),
        ("auto", 4_000_000_000),
        (" Auto ", 4_000_000_000),
        (0.5, 8_000_000_000),
        ("0.25", 4_000_000_000),
        (1, 16_000_000_000),
        (1.0, 16_000_000_000),
        (2_000_000_000, 2_000_000_000),
        ("4GB", 4_000_000_000),
        ("4 GiB", 4 << 30),
        ("500MB", 500_000_000),
        ("1e9", 1_000_000_000),
        ("64GB", 16_000_000_000),
    ],
)
def test_a_limit_means_what_it_means_in_dask(machine, limit, nbytes):
    assert limit_of(limit, nthreads=2, cores=8) == nbytes


def test_the_share_is_never_more_than_there_is(machine):
    assert limit_of("auto", nthreads=16, cores=8) == 16_000_000_000


@pytest.mark.parametrize("limit", ["much", "-1", -1, "4 XB", float("nan"), float("inf"), True, "", "GB"])
def test_what_is_no_limit_is_named(limit):
    with pytest.raises(ValueError, match="is no memory limit such as 'auto', 4GiB"):
        limit_of(limit, 1, 1)


@pytest.mark.parametrize(("nbytes", "text"), [(0, "0 B"), (999_500_000, "999.5 MB"), (1_040_000_000, "1.04 GB")])
def test_bytes_are_shown_for_people(nbytes, text):
    assert shown(nbytes) == text
    assert parse_bytes(text) == nbytes


def test_the_machine_has_memory_and_cores():
    assert total_bytes() > 100_000_000
    assert cores() >= 1


@pytest.mark.skipif(not resources.can_measure(), reason="no /proc")
def test_a_process_uses_some_of_it_and_one_that_has_ended_none():
    before = used_bytes(os.getpid())
    blob = bytearray(os.urandom(1)) * 50_000_000
    assert used_bytes(os.getpid()) - before > 40_000_000
    del blob
    assert used_bytes(2**22 + 1) == 0


def test_a_limit_that_cannot_be_kept_is_said_to_be_none(monkeypatch):
    """As on macOS; the default is no promise to anybody."""
    monkeypatch.setattr(local, "can_measure", lambda: False)
    with LocalCluster(n_workers=0):
        pass
    with pytest.warns(UserWarning, match="memory_limit= is not enforced on this system"):
        LocalCluster(n_workers=0, memory_limit="1GB").close()
