"""The connection on which fastsched-worker tells the scheduler of its workers: it is there again after it was lost."""

from __future__ import annotations

import pytest

from fastsched._version import __version__
from fastsched.cli import overseer as module
from fastsched.cli.overseer import RemoteOverseer
from fastsched.config import Config
from fastsched.errors import ConnectError
from fastsched.net.access import AccessFile
from tests.servers.net import KEYS, run, turn
from tests.servers.test_scheduler_server import Rig, rig_at


def overseer_of(rig: Rig) -> RemoteOverseer:
    access = AccessFile.create(rig.server.address, KEYS, __version__)
    return RemoteOverseer("host-1", Config(), lambda: access)


async def until(holds) -> None:
    while not holds():
        await turn()


@run
async def test_what_happens_to_workers_is_told_both_ways(tmp_path):
    async with rig_at(tmp_path, lost_seconds=0.02) as rig:
        overseer, joined, lost = overseer_of(rig), [], []
        overseer.on_joined, overseer.on_lost = joined.append, lambda *news: lost.append(news)
        await overseer.start()
        overseer.expect("worker")
        await until(lambda: "worker" in rig.server._supervised)
        worker = await rig.worker()
        await until(lambda: joined == ["worker"])
        worker.channel.close()
        await until(lambda: lost == [("worker", "its connection ended")])
        overseer.worker_died("worker", "SIGKILL", None, "")
        await until(lambda: not rig.server._supervised)
        await overseer.close()


@run
async def test_a_lost_connection_is_made_again_and_what_is_expected_is_said_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "AGAIN_SECONDS", 0.0)
    async with rig_at(tmp_path) as rig:
        overseer = overseer_of(rig)
        await overseer.start()
        overseer.expect("worker")
        await until(lambda: "worker" in rig.server._supervised)
        (peer,) = rig.server.turns.peers.values()
        peer.channel.close()
        await until(lambda: "worker" not in rig.server._supervised)
        await until(lambda: "worker" in rig.server._supervised)
        await overseer.close()


@run
async def test_a_scheduler_that_is_not_there_is_an_error_at_the_start(tmp_path):
    async with rig_at(tmp_path) as rig:
        overseer = overseer_of(rig)
        await rig.server.close()
        with pytest.raises(ConnectError, match="nobody listens"):
            await overseer.start()
        await overseer.close()
