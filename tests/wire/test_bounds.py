"""The reader reads what it was given and not a byte more."""

from __future__ import annotations

import sys

import pytest

from fastsched.wire.catalogue import MESSAGES
from tests.wire import elsewhere


@pytest.mark.skipif(sys.platform == "win32", reason="memory is protected by mprotect")
def test_no_byte_behind_the_end_is_read() -> None:
    """Where it is, the process ends with a signal; `elsewhere.run` raises then."""
    tried, let_in = map(int, elsewhere.run(["-m", "tests.wire.guarded"]).split())
    assert tried > 100 * 256
    assert len(MESSAGES) <= let_in < tried / 10  # the messages as they were, and those with another last value
