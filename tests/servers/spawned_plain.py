"""The same worker where the system has no pidfd and no waitid (macOS): importing this takes them away in the helper."""

import os

from tests.servers.spawned import report

__all__ = ["report"]

for _name in ("pidfd_open", "waitid"):
    if hasattr(os, _name):
        delattr(os, _name)
