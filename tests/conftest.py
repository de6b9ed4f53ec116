"""What all tests share: how hard hypothesis looks, and that what is tested is what stands in the files.

``HYPOTHESIS_PROFILE=thorough`` looks twenty times as long as usual; ``ci`` (taken when CI is set) draws the same
examples every time.
"""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from fastsched import _compiled

COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("default", max_examples=100, **COMMON)
settings.register_profile("ci", max_examples=100, derandomize=True, print_blob=True, **COMMON)
settings.register_profile("thorough", max_examples=2000, **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "default"))


def pytest_configure() -> None:
    """A build that is older than its source is another program; and Ctrl-C is what it is in a terminal.

    A shell has its background jobs ignore it, and they hand that on to the programs that tests start and interrupt.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if found := _compiled.stale():
        pytest.exit(f"older than their source: the builds of {', '.join(found)}; run `make test`, which builds", 3)
