"""A thousand connections need more descriptors than most systems give a process unasked."""

from __future__ import annotations

import resource

__all__ = ["allow_many_descriptors"]


def allow_many_descriptors() -> None:
    """As many as the system lets us have; processes that we start inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
