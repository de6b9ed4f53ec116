"""The scheduler's server: real sockets, fake peers that speak messages, no sleeps."""

from __future__ import annotations

import asyncio
import struct
from contextlib import asynccontextmanager

import pytest

from fastsched._version import __version__
from fastsched._wait import TurnLock
from fastsched.config import Config
from fastsched.net.address import unix_address
from fastsched.net.connect import connect
from fastsched.net.inproc import InprocEnd, channel_pair
from fastsched.net.stream import Stream
from fastsched.page import HEADER
from fastsched.scheduler.machine import SchedulerMachine
from fastsched.scheduler.server import SchedulerServer
from fastsched.wire.catalogue import ALLOWED
from fastsched.wire.messages import (
    Answer,
    Call,
    Done,
    Drop,
    ErrorKind,
    FinishedItem,
    Free,
    FunctionItem,
    MissingItem,
    Refuse,
    Register,
    Release,
    Report,
    Role,
    Run,
    RunItem,
    Shutdown,
    Submit,
    TaskItem,
    Verb,
    Welcome,
)
from tests.servers.net import KEYS, Mailbox, run, turn

FN = b"function"


class Peer(Mailbox):
    """A fake client or worker."""

    channel: Stream | InprocEnd
    lock: TurnLock | None = None  # of an embedded client: the scheduler's

    def send(self, *messages) -> None:
        if self.lock is None:
            self.channel.send_all(list(messages))
        else:
            with self.lock:
                self.channel.send_all(list(messages))

    def of(self, kind) -> list:
        return [message for message in self.messages if isinstance(message, kind)]

    async def first(self, kind, count: int = 1):
        """The `count`-th message of a kind."""
        await self.until(lambda box: len(self.of(kind)) >= count or box.reasons)
        return self.of(kind)[count - 1]


def register(name: str, nthreads: int = 0, page: str = "") -> Register:
    return Register(name, __version__, 0, nthreads, f"tcp://{name}:1" if nthreads else "", 0, page)


def submit(*keys: str, fid: int = 1, functions: bool = True) -> Submit:
    tasks = tuple(TaskItem(fid + index, key, FN, (b"args",), (), (), 0, 0, 0) for index, key in enumerate(keys))
    return Submit((FunctionItem(FN, (b"code",)),) if functions else (), tasks)


def finished(item: RunItem, value: bytes = b"value") -> Done:
    id, attempt = item[0], item[1]
    return Done((FinishedItem(id, attempt, "bytes", len(value), 10, (value,), ()),), (), (), (), (), 0)


class Rig:
    """A server at a Unix socket, and peers."""

    def __init__(self, server: SchedulerServer, config: Config) -> None:
        self.server = server
        self.config = config
        self.peers: list[Peer] = []

    async def join(self, role: Role, message: Register | None) -> Peer:
        connection = await connect(self.server.address, role, KEYS[role], self.config)
        peer = Peer()
        loop = asyncio.get_running_loop()
        peer.channel = Stream(connection, loop, self.config, ALLOWED[Role.SCHEDULER], peer.on_message, peer.on_closed)
        self.peers.append(peer)
        if message is not None:
            peer.send(message)
        return peer

    async def client(self, name: str = "client") -> Peer:
        peer = await self.join(Role.CLIENT, register(name))
        await peer.first(Welcome)
        return peer

    async def worker(self, name: str = "worker", nthreads: int = 1, page: str = "") -> Peer:
        peer = await self.join(Role.WORKER, register(name, nthreads, page))
        await peer.first(Welcome)
        return peer

    async def attached(self, name: str = "embedded") -> Peer:
        turns = self.server.turns
        ours, theirs = channel_pair(self.server.pump)
        theirs.on_turn = turns.turn
        peer = Peer()
        peer.channel = ours
        peer.lock = turns.lock
        ours.on_message, ours.on_closed = peer.on_message, peer.on_closed
        self.server.attach(theirs, register(name))
        await peer.first(Welcome)
        return peer


@asynccontextmanager
async def rig_at(path, **settings):
    config = Config(**settings)
    server = SchedulerServer(config, asyncio.get_running_loop(), "the-scheduler")
    await server.start(unix_address(path / "scheduler.sock"), KEYS)
    rig = Rig(server, config)
    yield rig
    if not server.closed.is_set():
        server.check()
    await server.close()
    for peer in rig.peers:
        peer.channel.close()
        await peer.closed()


@run
async def test_a_task_goes_from_a_client_to_a_worker_and_its_value_back(tmp_path):
    async with rig_at(tmp_path) as rig:
        client, worker = await rig.client(), await rig.worker()
        client.send(submit("a"))
        message = await worker.first(Run)
        assert message.functions == ((FN, (b"code",)),)
        worker.send(finished(message.tasks[0]))
        report = await client.first(Report)
        assert report.finished == ((1, "bytes", 5, (b"value",)),)


@run
async def test_welcome_tells_a_peer_its_name_and_the_scheduler(tmp_path):
    async with rig_at(tmp_path) as rig:
        client = await rig.client("me")
        assert await client.first(Welcome) == ("me", __version__, "the-scheduler")


@run
async def test_an_embedded_client_works_as_one_behind_a_socket(tmp_path):
    async with rig_at(tmp_path) as rig:
        client, worker = await rig.attached(), await rig.worker()
        client.send(submit("a"))
        worker.send(finished((await worker.first(Run)).tasks[0]))
        assert (await client.first(Report)).finished[0][3] == (b"value",)
        client.channel.close()
        assert await worker.first(Free)


@run
async def test_what_arrives_together_leaves_together(tmp_path):
    async with rig_at(tmp_path) as rig:
        client, worker = await rig.attached(), await rig.worker(nthreads=100)
        client.send(*[submit(f"k{fid}", fid=fid, functions=fid == 1) for fid in range(1, 51)])
        message = await worker.first(Run)
        assert len(message.tasks) == 50
        assert len(worker.of(Run)) == 1


@run
async def test_who_does_not_begin_with_register_is_put_out(tmp_path, caplog):
    async with rig_at(tmp_path) as rig:
        client = await rig.join(Role.CLIENT, None)
        client.send(submit("a"))
        assert "Register" in (await client.first(Refuse)).text
        await client.closed()
        assert "put out" in caplog.text


@run
async def test_who_does_not_say_who_it_is_is_put_out(tmp_path):
    async with rig_at(tmp_path, handshake_seconds=0.05) as rig:
        client = await rig.join(Role.CLIENT, None)
        assert await client.first(Refuse)
        await client.closed()


@run
async def test_another_version_is_refused_and_both_are_named(tmp_path):
    async with rig_at(tmp_path) as rig:
        client = await rig.join(Role.CLIENT, register("old")._replace(version="0.0.1"))
        text = (await client.first(Refuse)).text
        assert "0.0.1" in text
        assert __version__ in text
        await client.closed()


@run
async def test_an_offender_is_put_out_and_the_others_go_on(tmp_path, caplog):
    async with rig_at(tmp_path) as rig:
        offender, client, worker = await rig.client("offender"), await rig.client(), await rig.worker()
        offender.send(submit("mine"))
        run_message = await worker.first(Run)
        offender.send(Release((99,)))
        assert "99" in (await offender.first(Refuse)).text
        await offender.closed()
        assert (await worker.first(Drop)).attempts == ((run_message.tasks[0][0], 1),)
        client.send(submit("a"))
        worker.send(finished((await worker.first(Run, 2)).tasks[0]))
        assert await client.first(Report)
        assert caplog.text.count("is put out") == 1


class FailsAtRelease(SchedulerMachine):
    """A machine with a bug."""

    def receive(self, peer, message, now):
        if isinstance(message, Release):
            raise ZeroDivisionError("a bug")
        super().receive(peer, message, now)


class FailsAtSubmit(SchedulerMachine):
    """A machine with a bug that shows at the end of the turn."""

    submitted = False

    def receive(self, peer, message, now):
        self.submitted |= isinstance(message, Submit)
        super().receive(peer, message, now)

    def drain(self, patient=False):
        if self.submitted:
            raise ZeroDivisionError("a bug")
        return super().drain(patient)


@run
async def test_a_bug_at_a_message_costs_its_sender_the_connection_and_nobody_else(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("fastsched.scheduler.server.SchedulerMachine", FailsAtRelease)
    async with rig_at(tmp_path) as rig:
        unlucky, client, worker = await rig.client("unlucky"), await rig.client(), await rig.worker()
        unlucky.send(Release((1,)))
        assert "a bug" in (await unlucky.first(Refuse)).text
        client.send(submit("a"))
        worker.send(finished((await worker.first(Run)).tasks[0]))
        assert await client.first(Report)
        assert "ZeroDivisionError" in caplog.text


@run
async def test_a_bug_at_the_end_of_a_turn_ends_the_scheduler_instead_of_hanging_everybody(tmp_path, monkeypatch):
    monkeypatch.setattr("fastsched.scheduler.server.SchedulerMachine", FailsAtSubmit)
    async with rig_at(tmp_path) as rig:
        client, embedded = await rig.client(), await rig.attached()
        client.send(submit("a"))
        await client.closed()
        await embedded.closed()
        await rig.server.closed.wait()


@run
async def test_a_worker_whose_connection_ends_is_lost_at_once_if_nobody_supervises_it(tmp_path):
    async with rig_at(tmp_path, lost_seconds=1000.0) as rig:
        client, first, second = await rig.client(), await rig.worker("first"), await rig.worker("second")
        client.send(submit("a"))
        await first.first(Run)
        first.channel.close()
        assert (await second.first(Run)).tasks[0][2] == "a"


@run
async def test_a_supervised_workers_end_is_told_with_its_cause(tmp_path):
    async with rig_at(tmp_path, lost_seconds=1000.0, allowed_failures=0) as rig:
        rig.server.expect("worker")
        client, worker = await rig.client(), await rig.worker()
        client.send(submit("a"))
        await worker.first(Run)
        worker.channel.close()
        while not rig.server.machine.books.names["worker"].suspect:
            await turn()
        assert client.of(Report) == []
        rig.server.worker_died("worker", "SIGSEGV")
        ((_, error),) = (await client.first(Report)).erred
        assert error[0] == ErrorKind.WORKER_LOST
        assert "SIGSEGV" in error[5]


@run
async def test_a_supervisor_that_says_nothing_is_not_waited_for(tmp_path):
    async with rig_at(tmp_path, lost_seconds=0.02, allowed_failures=0) as rig:
        rig.server.expect("worker")
        client, worker = await rig.client(), await rig.worker()
        client.send(submit("a"))
        await worker.first(Run)
        worker.channel.close()
        ((_, error),) = (await client.first(Report)).erred
        assert error[0] == ErrorKind.WORKER_LOST


@run
async def test_news_that_a_dead_worker_left_behind_is_read_before_it_is_judged(tmp_path):
    async with rig_at(tmp_path, lost_seconds=1000.0, allowed_failures=0) as rig:
        rig.server.expect("worker")
        client, worker = await rig.client(), await rig.worker()
        client.send(submit("a"))
        message = await worker.first(Run)
        rig.server.worker_died("worker", "SIGKILL")
        worker.send(finished(message.tasks[0]))
        worker.channel.close()
        assert (await client.first(Report)).finished[0][0] == 1


@run
async def test_a_connection_that_outlives_its_process_is_cut(tmp_path):
    async with rig_at(tmp_path, lost_seconds=0.02, allowed_failures=0) as rig:
        rig.server.expect("worker")
        client, worker = await rig.client(), await rig.worker()
        client.send(submit("a"))
        await worker.first(Run)
        rig.server.worker_died("worker", "exit 3")  # a child of it holds the connection open
        ((_, error),) = (await client.first(Report)).erred
        assert "exit 3" in error[5]
        await worker.closed()


@run
async def test_the_death_of_a_worker_that_never_came_is_no_news(tmp_path):
    async with rig_at(tmp_path) as rig:
        rig.server.expect("nobody")
        rig.server.worker_died("nobody", "exit 1")
        assert await rig.worker("nobody")


@run
async def test_blame_is_read_from_the_workers_page(tmp_path):
    page = tmp_path / "page"
    page.write_bytes(bytes(16))
    async with rig_at(tmp_path, allowed_failures=0) as rig:
        client, worker = await rig.client(), await rig.worker(nthreads=2, page=str(page))
        client.send(submit("innocent", "guilty"))
        tasks = (await worker.first(Run)).tasks
        page.write_bytes(struct.pack(f"{HEADER + 2}q", *[0] * (HEADER + 1), tasks[1][0]))
        worker.channel.close()
        ((fid, error),) = (await client.first(Report)).erred
        assert (fid, error[2]) == (2, "guilty")
        other = await rig.worker("other", nthreads=2)
        assert [item[2] for item in (await other.first(Run)).tasks] == ["innocent"]


@pytest.mark.parametrize("kind", ["missing", "device", "huge"])
@run
async def test_a_page_that_is_none_blames_as_without_one(tmp_path, kind):
    page = {"missing": "/nowhere/page", "device": "/dev/zero", "huge": str(tmp_path / "huge")}[kind]
    if kind == "huge":
        with open(page, "wb") as file:
            file.truncate(1 << 40)
    async with rig_at(tmp_path, allowed_failures=0) as rig:
        client, worker = await rig.client(), await rig.worker(page=page)
        client.send(submit("a"))
        await worker.first(Run)
        worker.channel.close()
        assert (await client.first(Report)).erred[0][1][0] == ErrorKind.WORKER_LOST


@run
async def test_giving_up_ends_what_waits(tmp_path):
    async with rig_at(tmp_path) as rig:
        client = await rig.client()
        client.send(submit("a"))
        while not rig.server.machine.books.keys:
            await turn()
        rig.server.give_up("no luck")
        ((_, error),) = (await client.first(Report)).erred
        assert (error[0], error[5]) == (ErrorKind.NO_WORKERS, "no luck")


@run
async def test_whoever_is_interested_hears_of_workers(tmp_path):
    async with rig_at(tmp_path) as rig:
        names = []
        rig.server.on_worker = names.append
        await rig.client()
        await rig.worker("w1")
        assert names == ["w1"]


@run
async def test_deadlines_of_the_machine_are_kept(tmp_path):
    async with rig_at(tmp_path) as rig:
        client, worker = await rig.client(), await rig.worker()
        client.send(submit("a"))
        for attempt in range(1, 5):
            item = (await worker.first(Run, attempt)).tasks[0]
            assert item[1] == attempt
            worker.send(Done((), (), (), (MissingItem(item[0], attempt, ()),), (), 0))
        assert await worker.first(Run, 5)


@run
async def test_a_client_that_does_not_read_is_not_read_from_and_hurts_nobody(tmp_path):
    settings = {"high_water_bytes": 1 << 20, "low_water_bytes": 1 << 16}
    async with rig_at(tmp_path, **settings) as rig:
        lazy, client, worker = await rig.client("lazy"), await rig.client(), await rig.worker(nthreads=200)
        lazy.channel.pause_reading()
        lazy.send(submit(*[f"k{n}" for n in range(200)]))
        tasks = []
        while len(tasks) < 200:
            tasks = [item for message in worker.of(Run) for item in message.tasks]
            await turn()
        for item in tasks:
            worker.send(finished(item, b"x" * 60_000))
        while not any(isinstance(channel, Stream) and channel.paused for channel in rig.server.turns.channels):
            await turn()
        client.send(submit("a"))
        while not (item := [entry for message in worker.of(Run) for entry in message.tasks if entry[2] == "a"]):
            await turn()
        worker.send(finished(item[0]))
        assert (await client.first(Report)).finished[0][0] == 1
        lazy.channel.resume_reading()
        await lazy.until(lambda box: sum(len(report.finished) for report in lazy.of(Report)) == 200)
        lazy.send(Call(1, Verb.NTHREADS, (), None))
        assert (await lazy.first(Answer)).value == {"worker": 200}


@run
async def test_close_stops_workers_and_ends_connections(tmp_path):
    async with rig_at(tmp_path) as rig:
        client, worker, embedded = await rig.client(), await rig.worker(), await rig.attached()
        await asyncio.gather(rig.server.close("enough"), rig.server.close())
        assert (await worker.first(Shutdown)).reason == "enough"
        for peer in (client, worker, embedded):
            await peer.closed()
        await rig.server.close()
        with pytest.raises(OSError, match=r"scheduler\.sock"):
            await rig.client()


@run
async def test_a_client_can_shut_the_scheduler_down(tmp_path):
    async with rig_at(tmp_path) as rig:
        client, worker = await rig.client(), await rig.worker()
        client.send(Call(1, Verb.SHUTDOWN, (), None))
        assert (await client.first(Answer)).ok
        assert await worker.first(Shutdown)
        await rig.server.closed.wait()


@run
async def test_garbage_after_the_handshake_ends_one_connection(tmp_path):
    async with rig_at(tmp_path) as rig:
        client, worker = await rig.client(), await rig.worker()
        connection = await connect(rig.server.address, Role.CLIENT, KEYS[Role.CLIENT], rig.config)
        with connection.sock as sock:
            await asyncio.get_running_loop().sock_sendall(sock, b"\xff" * 100)
            assert await asyncio.get_running_loop().sock_recv(sock, 1) == b""
        client.send(submit("a"))
        worker.send(finished((await worker.first(Run)).tasks[0]))
        assert await client.first(Report)
