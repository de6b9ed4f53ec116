"""Which row each future of a client stands for: a table that is small for numbers that are counted up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastsched.scheduler.fids import Fids

MOST = 0x7FFFFFFFFFFFFFFF
near = st.integers(0, 300)
steps = st.lists(st.tuples(st.booleans(), st.one_of(near, st.integers(0, MOST), st.integers(MOST - 5, MOST))))


@given(steps)
def test_it_is_a_table(taken: list[tuple[bool, int]]) -> None:
    fids, model = Fids(), {}
    for number, (goes, fid) in enumerate(taken):
        if goes:
            assert fids.take(fid) == model.pop(fid, -1)
        elif fid not in model:
            fids.put(fid, number)
            model[fid] = number
        assert fids.row(fid) == model.get(fid, -1)
        assert (fid in fids) == (fid in model)
        assert len(fids) == len(model)
    assert dict(fids.items()) == model
    for most in (0, 1, len(model) // 2, len(model), len(model) + 1):
        some = fids.some(most)
        assert len(some) == len(set(some)) == min(most, len(model))
        assert set(some) <= model.keys()


def test_what_is_there_is_not_put_again() -> None:
    fids = Fids()
    fids.put(1, 7)
    with pytest.raises(AssertionError):
        fids.put(1, 8)
    with pytest.raises(AssertionError):
        fids.put(2, -1)
    assert fids.items() == [(1, 7)]


def test_numbers_that_are_too_large_are_refused() -> None:
    with pytest.raises(OverflowError):
        Fids().put(MOST + 1, 0)
    with pytest.raises(OverflowError):
        Fids().row(MOST + 1)
