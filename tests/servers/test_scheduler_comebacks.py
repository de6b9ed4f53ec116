"""Workers whose connection breaks while the scheduler lives: they come back on another one, and are the same ones."""

from __future__ import annotations

import pytest

from fastsched.wire.messages import Accept, Bring, Dismiss, Report, Role, Run, Welcome
from tests.servers.net import run, turn
from tests.servers.test_scheduler_server import finished, register, rig_at, submit
from tests.servers.test_scheduler_supervisors import supervisor


async def comes_back(rig, times: int, *running: str):
    peer = await rig.join(Role.WORKER, register("worker", 1)._replace(comebacks=times))
    peer.send(Bring((), running, False))
    await peer.first(Welcome)
    return peer


@pytest.mark.parametrize("heard", [True, False], ids=["its end is known", "its end is not known"])
@run
async def test_a_worker_goes_on_and_its_supervisor_keeps_it(tmp_path, heard):
    async with rig_at(tmp_path, lost_seconds=1000.0, allowed_failures=0) as rig:
        boss = await supervisor(rig, "worker")
        client, worker = await rig.client(), await rig.worker()
        client.send(submit("a"))
        await worker.first(Run)
        if heard:
            worker.channel.close()
            while not rig.server.machine.books.names["worker"].suspect:
                await turn()
        again = await comes_back(rig, 1, "a")
        ((key, id, attempt),) = (await again.first(Accept)).items
        assert key == "a"
        again.send(finished((id, attempt)))
        assert (await client.first(Report)).finished
        if not heard:
            await worker.closed()
        await boss.peer.first(Welcome, 2)
        assert boss.peer.of(Dismiss) == []
        assert rig.server.turns.peers.keys() == {peer.number for peer in rig.server.turns.channels.values()}


@run
async def test_one_that_is_gone_for_good_after_that_is_mourned(tmp_path):
    async with rig_at(tmp_path, lost_seconds=0.02) as rig:
        boss = await supervisor(rig, "worker")
        await rig.worker()
        again = await comes_back(rig, 1)
        again.channel.close()
        assert await boss.peer.first(Dismiss) == ("worker", "its connection ended")
