"""Closing is silent and quick, at whatever moment: also while workers are still being started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastsched

CLOSE_EARLY = """
import time
from fastsched import Client, LocalCluster

for step in range(8):
    cluster = LocalCluster(n_workers=2)
    time.sleep(0.02 * step)
    cluster.close()
for _ in range(3):
    with Client(n_workers=3) as client:
        client.submit(abs, -1).result()  # the first worker does it, the others are on their way
"""

END_WITHOUT_CLOSING = """
import time
from fastsched import Client

client = Client(n_workers=2)
futures = client.map(time.sleep, [60, 61, 62])
client.submit(abs, -1, priority=1)
"""


@pytest.mark.parametrize("script", [CLOSE_EARLY, END_WITHOUT_CLOSING], ids=["early", "without"])
def test_nothing_is_said_when_a_cluster_ends(tmp_path: Path, script: str) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(fastsched.__file__).parents[1])}
    command = [sys.executable, "-c", script]
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50, check=False
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
