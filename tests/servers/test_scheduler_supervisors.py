"""Supervisors of workers: what they say of deaths decides who is blamed; those elsewhere have a connection for it."""

from __future__ import annotations

import pytest

from fastsched._version import __version__
from fastsched.wire.messages import (
    Despair,
    Dismiss,
    ErrorKind,
    Expect,
    Obituary,
    Oversee,
    Pressure,
    Refuse,
    Register,
    Report,
    Retire,
    Role,
    Run,
    Shutdown,
    Submit,
    Welcome,
)
from tests.servers.net import run, turn
from tests.servers.test_scheduler_server import Peer, Rig, rig_at, submit


@run
async def test_the_supervisors_word_on_what_was_executed_counts_and_last_lines_are_shown(tmp_path):
    async with rig_at(tmp_path, lost_seconds=1000.0, allowed_failures=0) as rig:
        rig.server.expect("worker")
        client, worker = await rig.client(), await rig.worker(nthreads=2)
        client.send(submit("innocent", "guilty"))
        tasks = (await worker.first(Run)).tasks
        rig.server.worker_died("worker", "SIGSEGV", [tasks[1][0]], "Fatal error\nin line 3")
        worker.channel.close()
        ((fid, error),) = (await client.first(Report)).erred
        assert (fid, error[2]) == (2, "guilty")
        assert error[5].endswith("The last lines that worker wrote to stderr:\nFatal error\nin line 3")


@run
async def test_a_worker_whose_connection_has_ended_is_not_to_live_on(tmp_path):
    async with rig_at(tmp_path, lost_seconds=0.02) as rig:
        lost = []
        rig.server.on_worker_lost = lambda *news: lost.append(news)
        rig.server.expect("mine")
        mine, foreign = await rig.worker("mine"), await rig.worker("foreign")
        for worker in (foreign, mine):
            worker.channel.close()
        while not lost:
            await turn()
        assert lost == [("mine", "its connection ended")]


class Supervisor:
    """The connection of a fastsched-worker command."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.say = peer.send

    async def refused(self) -> str:
        await self.peer.closed()
        return self.peer.of(Refuse)[0].text


async def supervisor(rig: Rig, *names: str, version: str = __version__) -> Supervisor:
    peer = await rig.join(Role.WORKER, None)
    peer.send(Oversee("host-1", version), Expect(names))
    return Supervisor(peer)


@run
async def test_a_supervisor_elsewhere_hears_who_came_and_explains_who_died(tmp_path):
    async with rig_at(tmp_path, lost_seconds=1000.0, allowed_failures=0) as rig:
        boss = await supervisor(rig, "worker")
        client, worker = await rig.client(), await rig.worker(nthreads=2)
        assert (await boss.peer.first(Welcome)).name == "worker"
        client.send(submit("innocent", "guilty"))
        tasks = (await worker.first(Run)).tasks
        worker.channel.close()
        while not rig.server.machine.books.names["worker"].suspect:
            await turn()
        boss.say(Obituary("worker", "SIGSEGV", True, (tasks[1][0],), "Fatal error"))
        ((fid, error),) = (await client.first(Report)).erred
        assert (fid, error[2]) == (2, "guilty")
        assert "(SIGSEGV)" in error[5]
        assert "Fatal error" in error[5]


@run
async def test_a_supervisor_elsewhere_is_told_which_of_its_workers_are_not_to_live_on(tmp_path):
    async with rig_at(tmp_path, lost_seconds=0.02) as rig:
        boss = await supervisor(rig, "worker")
        worker = await rig.worker()
        await boss.peer.first(Welcome)
        worker.channel.close()
        assert await boss.peer.first(Dismiss) == ("worker", "its connection ended")


@run
async def test_news_of_a_supervisor_may_come_faster_than_it_is_taken_in(tmp_path, caplog):
    async with rig_at(tmp_path) as rig:
        boss = await supervisor(rig)
        await turn()
        turns = rig.server.turns
        (channel,) = turns.channels
        for name in ("one", "two"):
            with turns.lock:
                turns.take(channel, [Expect((name,))])
        for name in ("one", "two"):
            await rig.worker(name)
            await boss.peer.until(lambda box, name=name: name in [welcome.name for welcome in box.of(Welcome)])
        assert caplog.text == ""


@run
async def test_a_supervisor_elsewhere_may_have_its_workers_leave(tmp_path):
    async with rig_at(tmp_path) as rig:
        boss = await supervisor(rig, "worker", "late")
        worker = await rig.worker()
        await boss.peer.first(Welcome)
        left = []
        rig.server.on_worker_left = left.append
        boss.say(Retire(("worker", "late")))  # one of them has not come yet
        assert await worker.first(Shutdown) == ("it retires",)
        while not left:
            await turn()
        assert left == ["worker"]
        late = await rig.worker("late")
        assert await late.first(Shutdown) == ("it retires",)
        assert left == ["worker", "late"]


@run
async def test_what_waits_ends_when_the_last_supervisor_has_given_up(tmp_path):
    async with rig_at(tmp_path) as rig:
        bosses = [await supervisor(rig), await supervisor(rig)]
        client = await rig.client()
        client.send(submit("a"))
        bosses[0].say(Despair("first"))
        bosses[0].say(Expect(()), Oversee("again", __version__))  # both are read before it is put out for the second
        await bosses[0].refused()
        assert client.of(Report) == []
        bosses[1].say(Despair("no luck"))
        ((_, error),) = (await client.first(Report)).erred
        assert (error[0], error[5]) == (ErrorKind.NO_WORKERS, "no luck")


@run
async def test_when_a_supervisor_is_gone_its_workers_are_like_any_other(tmp_path):
    async with rig_at(tmp_path, lost_seconds=1000.0, allowed_failures=0) as rig:
        boss = await supervisor(rig, "worker")
        client, worker = await rig.client(), await rig.worker()
        await boss.peer.first(Welcome)
        client.send(submit("a"))
        await worker.first(Run)
        boss.peer.channel.close()
        while "worker" in rig.server._supervised:
            await turn()
        worker.channel.close()
        assert (await client.first(Report)).erred[0][1][0] == ErrorKind.WORKER_LOST


@pytest.mark.parametrize(
    "message",
    [
        Obituary("foreign", "SIGKILL", False, (), ""),
        Pressure("foreign", True),
        Retire(("foreign",)),
        Submit((), ()),
        Register("worker", __version__, 0, 1, "", 0, ""),
    ],
    ids=lambda message: type(message).__name__,
)
@run
async def test_a_supervisor_may_speak_of_its_own_workers_only(tmp_path, message):
    async with rig_at(tmp_path) as rig:
        await supervisor(rig, "foreign")
        boss = await supervisor(rig, "foreign")  # somebody else's
        boss.say(message)
        assert await boss.refused()
        assert await rig.worker("foreign")


@run
async def test_a_supervisor_of_another_version_is_refused_and_both_are_named(tmp_path):
    async with rig_at(tmp_path) as rig:
        boss = await supervisor(rig, version="0.0.7")
        assert await boss.refused() == f"the scheduler is fastsched {__version__}, host-1 is 0.0.7"


@run
async def test_a_worker_may_not_speak_as_a_supervisor(tmp_path):
    async with rig_at(tmp_path) as rig:
        worker = await rig.worker()
        worker.send(Obituary("worker", "SIGKILL", False, (), ""))
        await worker.closed()
