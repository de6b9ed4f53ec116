"""A simulated cluster: its nodes, the faults that befall them, and the end of a run.

One concern: bring nodes up and down, let the world run until nothing happens any more, and then see that it is right:
each future that is held has its one outcome, and when all are released nothing is left anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple

from fastsched._core import State
from fastsched.client.machine import ClientMachine
from fastsched.client.record import Status
from fastsched.config import Config
from fastsched.scheduler.machine import SchedulerMachine
from fastsched.wire.messages import ErrorKind, Message, Register, Role, Welcome
from fastsched.worker.machine import WorkerMachine
from tests.sim.fetching import Directory, Fetcher
from tests.sim.network import End
from tests.sim.scheduler import Obituary, SchedulerNode
from tests.sim.site import Site
from tests.sim.threads import Thread
from tests.sim.worker import WorkerNode
from tests.sim.world import World

__all__ = ["ClientNode", "Cluster", "Machines"]

LOOK_SECONDS = 0.01  # between looks for a scheduler, at most

MOST_STEPS = 80_000
MOST_SECONDS = 2000.0
"""A run that goes on after so many steps, or for so long, goes on for ever."""

NEWS_SECONDS = 0.2
"""What a process says arrives after so many seconds."""

RESUME_SECONDS = 0.3
"""Processes that go on after a suspension do so within this time."""

QUIET_SECONDS = 6.0
"""If for so long nothing has happened but in the background, beats and looks who beats, nothing will."""


class Machines(NamedTuple):
    """What a cluster is made of; tests plant bugs here."""

    scheduler: Callable[..., SchedulerMachine] = SchedulerMachine
    worker: Callable[[Config, int, str, str, int], WorkerMachine] = WorkerMachine
    client: Callable[[Config, bool], ClientMachine] = ClientMachine


class ClientNode:
    """A client's process.

    Parameters
    ----------
    world : World
        The ground.
    name : str
        Its name in the cluster.
    machine : ClientMachine
        What it decides.
    directory : Directory
        Where it finds workers.
    end : End
        Its connection to the scheduler.
    look : callable, optional
        Has it look for another scheduler when its own has died; leads to `sign_on`.
    """

    def __init__(
        self,
        world: World,
        name: str,
        machine: ClientMachine,
        directory: Directory,
        end: End,
        look: Callable[[ClientNode], None] | None = None,
    ) -> None:
        world = self.world = world.process()
        self.name = name
        self._look = look
        self._fetcher = Fetcher(world, name, directory)
        self.site = Site(world, name, machine, self._send, self._fetcher)
        self._comebacks = -1
        self.sign_on(end)

    @property
    def alive(self) -> bool:
        """Whether its process is, and it was not closed."""
        return self.site.alive

    def sign_on(self, end: End) -> None:
        """There is a scheduler at the other end."""
        self._end = end
        end.process = self.world.clock
        end.on_messages = self._received
        end.on_closed = self._scheduler_gone
        self._comebacks += 1
        end.send(Register(self.name, "", 0, 0, "", 0, "", self._comebacks))
        self.site.come_back()

    def sever(self) -> None:
        """Its connection breaks."""
        self._end.sever()

    def close(self) -> None:
        """As a user does."""
        if self.site.alive:
            self.site.end(ErrorKind.CANCELLED, "the client was closed")
            self.site.alive = False
            self._end.close()
            self._fetcher.stop(dead=False)

    def vanish(self) -> None:
        """Its process is killed."""
        self.site.alive = False
        self._end.die()
        self._fetcher.stop(dead=True)

    def _send(self, messages: list[Message]) -> None:
        for message in messages:
            self._end.send(message)

    def _received(self, messages: list[Message]) -> None:
        if self.site.alive:
            self.site.receive([message for message in messages if not isinstance(message, Welcome)])

    def _scheduler_gone(self) -> None:
        if self.site.alive and self._look is not None:
            self.site.part()
            self._look(self)
        elif self.site.alive:
            self.site.end(ErrorKind.SCHEDULER_LOST, "the scheduler is gone")
            self.site.alive = False
            self._fetcher.stop(dead=False)


class Cluster:
    """A scheduler, workers, clients.

    Parameters
    ----------
    world : World
        The ground.
    machines : Machines
        What to make them of.
    """

    def __init__(self, world: World, machines: Machines) -> None:
        self.world = world
        self.clients: list[ClientNode] = []
        self.workers: list[WorkerNode] = []  # that are alive
        self.respawns: float | None = None  # seconds until a killed worker has a successor; None: it has none
        self.lasting = False  # clients and workers outlive the scheduler
        self.threads: list[Thread] = []
        self.checks: list[Callable[[], None]] = []  # at the end
        self.scheduler = SchedulerNode(world, machines.scheduler(world.config, world.rng.randrange(100)))
        self.scheduler.on_put_out = self._put_out
        self._halted: dict[str, float] = {}  # since when, by name, until it can have been heard again
        self._machines = machines
        self._directory: Directory = {}
        self._names = 0
        self._epoch = 1

    # -- coming and going ----------------------------------------------------------------------------------------------

    def add_worker(self, nthreads: int) -> None:
        """A worker starts, as soon as there is a scheduler."""
        if not self.scheduler.alive:
            self.world.clock.after(LOOK_SECONDS, lambda: self.add_worker(nthreads))
            return
        self._names += 1
        name, address = f"w{self._names}", f"sim://w{self._names}"
        world, machines = self.world, self._machines
        machine = machines.worker(world.config, nthreads, name, address, world.rng.randrange(1000))
        end = self.scheduler.admit(Role.WORKER, name)
        inner = machines.client(world.config, False)
        look = self._look_again if self.lasting else None
        self.workers.append(WorkerNode(world, name, machine, nthreads, inner, self._directory, end, self, look))
        world.journal.note(name, "starts", f"with {nthreads} threads")

    def add_client(self) -> ClientNode:
        """A client connects."""
        self._names += 1
        name = f"c{self._names}"
        machine = self._machines.client(self.world.config, self.lasting)
        look = self._look_again if self.lasting else None
        client = ClientNode(self.world, name, machine, self._directory, self.scheduler.admit(Role.CLIENT, name), look)
        self.clients.append(client)
        return client

    def run_script(self, client: ClientNode, script: Generator[Any, Any, Any], delay: float = 0.0) -> Thread:
        """Start a user's thread."""
        thread = Thread(client.world, client.site, client.name, script)
        self.threads.append(thread)
        client.world.clock.after(delay, thread.go_on)
        return thread

    def kill(self, worker: WorkerNode) -> None:
        """A worker's process dies."""
        if not worker.alive:
            return
        ledger, executing = self.world.ledger, worker.executing
        keys = [desk.root.key for desk in worker.desks if desk.holds_slot]
        ledger.blamed.update(keys)
        ledger.blamed.update(self._launchers(worker, executing))
        ledger.deaths += 1
        ledger.departures += 1
        ledger.guessed |= not self.scheduler.detection.reads_page
        self._depart(worker, Obituary("SIGKILL", executing))
        worker.die()
        self.world.journal.note(worker.name, "dies", f"executing {keys}")
        if self.respawns is not None:
            self.world.clock.after(self.respawns, lambda: self.add_worker(worker.nthreads))

    def _launchers(self, worker: WorkerNode, executing: Iterable[int]) -> list[str]:
        """Tasks there that have launched these: they answer for what is gone with the worker."""
        books = self.scheduler.machine.books
        there = {desk.root.id: desk.root.key for desk in worker.desks}
        launchers: list[str] = []
        for task_id in executing:
            while books.core.known(task_id):
                extras = books.record(task_id).extras
                task_id = 0 if extras is None else extras.parent
                if task_id in there:
                    launchers.append(there[task_id])
        return launchers

    def halt(self, process: WorkerNode | ClientNode | SchedulerNode, seconds: float) -> None:
        """A process is stopped, and goes on after a while."""
        if process.world.clock.stopped:
            return
        clock = self.world.clock
        if process is not self.scheduler:
            self.world.ledger.halts += 1
        process.world.clock.stop()
        since = self._halted[process.name] = clock.now
        self.world.journal.note(process.name, "is halted", f"for {seconds:.3f} s")

        def go_on() -> None:
            self.world.journal.note(process.name, "goes on")
            process.world.clock.go_on()
            clock.after(NEWS_SECONDS, heard, background=True)

        def heard() -> None:
            if self._halted[process.name] == since:
                del self._halted[process.name]

        clock.after(seconds, go_on)

    @property
    def is_whole(self) -> bool:
        """Whether no process is stopped, and what those have to say that were has arrived."""
        return not self._halted

    def suspend(self, seconds: float) -> None:
        """The machine on which all of them run is suspended for a while: one after the other goes on."""
        for process in (self.scheduler, *self.workers, *self.clients):
            self.halt(process, seconds + self.world.rng.random() * RESUME_SECONDS)

    def _put_out(self, name: str, reason: str) -> None:
        """The scheduler has not heard a worker for `worker_ttl`; who started that one may kill it."""
        world = self.world
        silent = world.clock.now - self._halted.get(name, world.clock.now)
        assert silent > world.config.worker_ttl - world.config.pulse_seconds > 0.0, f"{name} was put out: {reason}"
        world.ledger.deaths += 1
        world.ledger.departures += 1
        world.ledger.guessed = True
        worker = next(worker for worker in self.workers if worker.name == name)
        self.workers.remove(worker)
        world.journal.note(name, "is put out", reason)
        if self.respawns is not None:
            world.clock.after(self.respawns, lambda: worker.alive and worker.die())
            world.clock.after(self.respawns, lambda: self.add_worker(worker.nthreads))

    def retire(self, worker: WorkerNode) -> None:
        """A worker stops as planned."""
        if worker.alive:
            self.world.ledger.departures += 1
            self._depart(worker, Obituary("stopped", ()))
            worker.stop()
            self.world.journal.note(worker.name, "stops")

    def see_off(self, worker: WorkerNode) -> None:
        """A worker is asked to leave, which it does once others hold what only it holds."""
        if worker.alive:
            self.scheduler.see_off(worker.name)
            self.world.journal.note(worker.name, "retires")

    def vanish(self, client: ClientNode) -> None:
        """A client's process dies."""
        self.clients.remove(client)
        client.vanish()
        self.world.journal.note(client.name, "vanishes")

    def close(self, client: ClientNode) -> None:
        """A client closes, with whatever it holds."""
        self.clients.remove(client)
        client.close()
        self.world.journal.note(client.name, "closes")

    def give_up(self) -> None:
        """Supervision starts no more workers."""
        self.world.ledger.hopeless = True
        self.scheduler.give_up("no worker will come")
        self.world.journal.note("scheduler", "gives up")

    def lose_scheduler(self) -> None:
        """The scheduler's process dies, and with it the cluster."""
        self.world.ledger.scheduler_lost = True
        self.scheduler.die()
        self.world.journal.note("scheduler", "dies")

    def replace_scheduler(self, seconds: float) -> None:
        """The scheduler's process dies, and after a while another one takes its place. (They must be `lasting`.)"""
        if self.scheduler.alive:
            self.world.ledger.restarts += 1
            self.scheduler.die()
            self.world.journal.note("scheduler", "dies")
            self.world.clock.after(seconds, self._succeed)

    def sever(self, node: ClientNode | WorkerNode) -> None:
        """Its connection to the scheduler breaks, and it comes back on another one. (It must be `lasting`.)"""
        if node.alive and self.scheduler.alive:
            ledger = self.world.ledger
            ledger.restarts += 1  # as if it were another scheduler
            ledger.departures += 1
            self.world.journal.note(node.name, "is cut off")
            node.sever()

    def _succeed(self) -> None:
        self._epoch += 1
        world = self.world
        machine = self._machines.scheduler(world.config, world.rng.randrange(100), epoch=self._epoch, successor=True)
        self.scheduler = SchedulerNode(world, machine)
        world.journal.note("scheduler", "starts", "in the place of the one that died")

    def _look_again(self, node: ClientNode | WorkerNode) -> None:
        """It looks for a scheduler every now and then, until there is one."""
        clock, rng = self.world.clock, self.world.rng

        def look() -> None:
            if not node.alive:
                return
            if self.scheduler.alive:
                role = Role.WORKER if isinstance(node, WorkerNode) else Role.CLIENT
                node.sign_on(self.scheduler.admit(role, node.name))
                self.world.journal.note(node.name, "is back")
            else:
                clock.after(rng.random() * LOOK_SECONDS, look)

        clock.after(rng.random() * LOOK_SECONDS, look)

    def _depart(self, worker: WorkerNode, obituary: Obituary) -> None:
        self.workers.remove(worker)
        self.scheduler.obituaries[worker.name] = obituary

    # -- the end -------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let things happen until nothing is left to happen: no message under way, no deadline ahead."""
        clock = self.world.clock
        while clock.step():
            if self.world.pulses and clock.quiet_for > QUIET_SECONDS:
                break
            if clock.steps > MOST_STEPS or clock.now > MOST_SECONDS:
                raise AssertionError(f"not quiet after {clock.steps} steps and {clock.now} s")

    def finish(self) -> None:
        """Run to the end; see that it is the right one, and that nothing is left."""
        self.run()
        for check in self.checks:
            check()
        for site in self._sites():
            self.world.ledger.check_kept(key for key in site.kept if self.world.runs(key))
        self._expect_outcomes()
        if not self.scheduler.alive:
            return
        self._expect_agreement()
        self._fetch_values()
        self._expect_agreement()
        self._expect_scripts_over()
        for client in self.clients:
            client.site.release(list(client.site.handles.values()))
        self.run()
        self._expect_nothing_left()
        self._take_down()

    def _expect_outcomes(self) -> None:
        """Every future that is held has ended."""
        pending = [
            f"{site.name}: {handle}"
            for site in self._sites()
            for handle in site.handles.values()
            if handle.record.status is Status.PENDING
        ]
        assert not pending, f"nothing happens any more, and these futures are pending: {pending}"

    def _expect_agreement(self) -> None:
        """What clients believe of their futures is what the scheduler knows."""
        books = self.scheduler.machine.books
        known = {client.name: client for client in books.clients.values()}
        for client in self.clients:
            futures = dict(known[client.name].futures.items())
            handles = client.site.handles
            if self.world.ledger.restarts:  # what had failed before is not told to the next scheduler
                handles = {fid: one for fid, one in handles.items() if fid in futures or one.record.error is None}
            assert futures.keys() == handles.keys(), f"{client.name} and the scheduler know other futures"
            for fid, handle in handles.items():
                state = books.core.state(books.at(futures[fid]).id)
                status = handle.record.status
                if status is not Status.FINISHED:
                    right = state == State.ERRED
                else:
                    right = state == State.MEMORY or (state == State.ERRED and handle.record.frames is not None)
                assert right, f"{client.name}: {handle} is {status}, the scheduler says {State(state).name}"

    def _fetch_values(self) -> None:
        """Every value is there, also those that nobody has asked for yet, and also if now another worker dies."""
        waiting: set[tuple[str, int]] = set()
        for client in self.clients:
            for fid, handle in client.site.handles.items():
                which = (client.name, fid)
                waiting.add(which)
                client.site.obtain(handle, lambda _, which=which: waiting.discard(which))
        if self.respawns is not None and self.workers and self.world.config.allowed_failures:
            self.world.clock.after(self.world.rng.random() * 5e-3, lambda: self.kill(self.workers[0]))
        self.run()
        assert not waiting, f"the values of these futures never came: {sorted(waiting)}"

    def _expect_scripts_over(self) -> None:
        hanging = [thread.name for thread in self.threads if thread.alive and not thread.over]
        assert not hanging, f"these scripts wait for ever: {hanging}"
        running = [repr(desk.root) for worker in self.workers for desk in worker.desks]
        assert not running, f"these tasks wait for ever: {running}"

    def _expect_nothing_left(self) -> None:
        """All futures are released: nothing is known about any task."""
        core = self.scheduler.machine.books.core
        self._check()
        books = self.scheduler.machine.books
        assert core.n_tasks == 0, f"the scheduler still has {[record for record in books.records if record]}"
        assert not books.keys, f"keys are left: {sorted(books.keys)}"
        assert books.retained == 0 and not books.passing, f"{books.retained} bytes are retained"
        for site in self._sites():
            assert site.is_empty, f"{site.name} still has {site.machine.records} {site.handles}"
        for worker in self.workers:
            assert not worker.left, f"{worker.name} still has {worker.left}"

    def _take_down(self) -> None:
        """Everybody leaves: nothing is known about any peer, and no function."""
        for client in list(self.clients):
            client.close()
        for worker in list(self.workers):
            self.retire(worker)
        self.run()
        books = self.scheduler.machine.books
        self._check()
        assert not books.clients and not books.workers and not books.names and not books.handles, "peers are left"
        assert books.core.n_workers == 0, "the core has workers"
        assert not books.functions, f"functions are left: {list(books.functions.values())}"

    def _check(self) -> None:
        if self.scheduler.alive:
            self.scheduler.machine.check()
        for worker in self.workers:
            worker.machine.check()
        for site in self._sites():
            site.machine.check()

    def _sites(self) -> list[Site]:
        return [client.site for client in self.clients] + [worker.site for worker in self.workers if worker.alive]
