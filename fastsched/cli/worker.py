"""``fastsched-worker``: worker processes that join a scheduler.

One concern: from options and an access file to a crew of workers, and what a person hears of them. They are forked by a
helper (`fastsched.spawn`), in process groups of their own: Ctrl-C reaches this process alone, and it stops them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

import click

from fastsched._version import __version__
from fastsched.cli.options import DURATION, LOG_LEVEL, MEMORY
from fastsched.cli.overseer import RemoteOverseer
from fastsched.cli.process import run_until_told
from fastsched.config import Config
from fastsched.errors import AddressError
from fastsched.net.access import AccessFile, locate, looks_like_address, private_directory
from fastsched.net.address import Address, Scheme
from fastsched.resources import AUTO, can_measure, cores, limit_of
from fastsched.spawn.crew import Crew
from fastsched.spawn.supervisor import Died, Event, Helper, HelperDied, Spawned

__all__ = ["main"]

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1  # between looks for an access file that is not there yet

ALONE_SECONDS = 3.0  # workers that retire wait so long for a scheduler that cannot be reached


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("access_file")
@click.option("--nworkers", type=click.IntRange(1), default=1, help="Worker processes.")
@click.option(
    "--nthreads",
    type=click.IntRange(1),
    help="Tasks that each worker runs at once.  [default: this machine's cores, divided by --nworkers]",
)
@click.option("--name", help="What to call the worker; several are numbered.  [default: host and pid]")
@click.option(
    "--memory-limit",
    type=MEMORY,
    default=AUTO,
    help="Of each worker: bytes such as 4GiB, a fraction of this machine's memory, 0 for none, or auto for the share "
    "of it that its threads are of the cores. A worker above it is killed and replaced (on Linux).",
)
@click.option("--listen", help="Where to serve results to others: an address or name of this machine.")
@click.option("--insecure", is_flag=True, help="Talk to other machines although nothing on the way is encrypted yet.")
@click.option("--wait", type=DURATION, default="10s", help="How long to wait for the scheduler to write its file.")
@click.option("--log-level", type=LOG_LEVEL, default="warning", help="What to tell on standard error.")
@click.version_option(__version__, prog_name="fastsched-worker")
def main(
    access_file: str,
    nworkers: int,
    nthreads: int | None,
    name: str | None,
    memory_limit: str,
    listen: str | None,
    insecure: bool,
    wait: float,
    log_level: str,
) -> None:
    """Run workers for the scheduler that wrote ACCESS_FILE, until it ends or we are told to stop.

    A worker process that dies is replaced. Ctrl-C ends the workers at once: others run their tasks again. At SIGTERM
    they retire: they take no new tasks, may finish what they run, and other workers fetch what only they hold. A
    second signal ends them at once.
    """
    here = cores()
    threads = nthreads or max(1, here // nworkers)
    settings = {
        "nthreads": threads,
        "memory_limit": limit_of(memory_limit, threads, here),
        "listen": listen or "",
        "insecure": insecure,
    }
    if settings["memory_limit"] and memory_limit != AUTO and not can_measure():
        click.echo("--memory-limit is not enforced on this system, which has no /proc", err=True)
    base = name or f"{platform.node()}-{os.getpid()}"
    shift = Shift()
    sys.exit(run_until_told(_work(access_file, wait, settings, base, nworkers, shift), log_level, shift.retire))


class Shift:
    """The crew at work, which can be told to retire.

    Attributes
    ----------
    crew : Crew or None
        Once it has begun.
    """

    def __init__(self) -> None:
        self.crew: Crew | None = None
        self.retires = False
        self._overseer: RemoteOverseer | None = None
        self._done: asyncio.Future[int] | None = None

    def begin(self, crew: Crew, overseer: RemoteOverseer, done: asyncio.Future[int]) -> None:
        """This crew works until `done` is."""
        self.crew = crew
        self._overseer = overseer
        self._done = done
        overseer.on_left, overseer.on_ended = crew.left, self.alone

    def retire(self) -> bool:
        """Tell the workers to leave. False: there is nobody to wait for."""
        if self.crew is None or self.crew.empty:
            return False
        self.retires = True
        self.crew.retire()
        if self._overseer is not None and not self._overseer.connected:
            self.alone()
        _say("told to stop (SIGTERM): the workers retire; once more ends them at once")
        return True

    def alone(self) -> None:
        """The scheduler cannot be reached: if that stays so there is nobody to see the workers off."""
        if self.retires:
            asyncio.get_running_loop().call_later(ALONE_SECONDS, self._end_if_alone)

    def _end_if_alone(self) -> None:
        done, overseer = self._done, self._overseer
        if done is not None and not done.done() and overseer is not None and not overseer.connected:
            done.set_result(0)


async def _work(access_file: str, wait: float, settings: dict[str, Any], name: str, nworkers: int, shift: Shift) -> int:
    config = Config.from_environment()
    helper = Helper.start()  # it imports what workers need while we look for the scheduler
    pages = private_directory()
    overseer = RemoteOverseer(name, config, lambda: locate(access_file))
    try:
        access = await _find(access_file, wait)
        for address in (access.address, Address(Scheme.TCP, settings["listen"] or "localhost", 0, "")):
            _refuse_strangers(address, settings["insecure"])
        await overseer.start()
        settings |= _surroundings(access, config) | {"place": str(Path(access_file).absolute())}
        return await _keep(helper, config, settings, Names(name, nworkers, pages), overseer, shift)
    finally:
        helper.close(config.close_seconds)
        await overseer.close()
        shutil.rmtree(pages, ignore_errors=True)


class Names(NamedTuple):
    """What workers are called, and where their pages are."""

    base: str
    workers: int
    pages: str

    def name(self, number: int) -> str:
        """Of one worker."""
        return self.base if self.workers == 1 and number == 0 else f"{self.base}-{number}"

    def page(self, name: str) -> str:
        """The path of its page; a name may hold anything."""
        return str(Path(self.pages, f"{hash(name):x}.page"))


async def _keep(
    helper: Helper, config: Config, settings: dict[str, Any], names: Names, overseer: RemoteOverseer, shift: Shift
) -> int:
    """Keep the workers at their number. Returns when none is left that should live.

    Returns
    -------
    int
        0 if all of them ended well (the scheduler is gone, or told them to), 1 if it is no use to start more.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[int] = loop.create_future()

    def settings_of(name: str) -> dict[str, Any]:
        return settings | {"name": name, "page": names.page(name)}

    # a worker that starts while there is no scheduler looks for one
    patient: dict[str, Any] = config.as_dict() | {"start_seconds": config.start_seconds + config.reconnect_seconds}
    crew = Crew(helper, Config(**patient), loop, settings_of, names.name, overseer, True)

    def happened(event: Event) -> None:
        if not shift.retires:
            _tell(event)
        if (crew.empty or isinstance(event, HelperDied)) and not done.done():
            done.set_result(1 if crew.given_up else 0)

    overseer.on_joined, overseer.on_lost, crew.on_event = crew.joined, crew.lost, happened
    shift.begin(crew, overseer, done)
    crew.start(names.workers)
    try:
        return await done
    finally:
        crew.stop()


def _say(text: str) -> None:
    """Print it, if anybody reads that."""
    try:
        click.echo(text)
    except OSError:  # what is left would be printed at the exit, and make a failure of that
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(event: Event) -> None:
    """What a person hears."""
    if isinstance(event, Spawned):
        _say(f"worker {event.name} runs (pid {event.pid})")
    elif isinstance(event, Died) and (event.code != 0 or event.executing):
        log.warning("worker %s (pid %d) died: %s", event.name, event.pid, event.how)


async def _find(access_file: str, wait: float) -> AccessFile:
    """The access file, which a scheduler that was started together with us may not have written yet."""
    deadline = asyncio.get_running_loop().time() + wait
    waiting = False
    while True:
        try:
            return locate(access_file)
        except AddressError as error:
            if looks_like_address(access_file) or asyncio.get_running_loop().time() >= deadline:
                raise
            if not waiting:
                click.echo(f"{error}; waiting {wait:g} s for it", err=True)
                waiting = True
        await asyncio.sleep(LOOK_SECONDS)


def _refuse_strangers(address: Address, insecure: bool) -> None:
    if not address.is_local and not insecure:
        raise AddressError(
            f"the way by {address.host} leads over other machines, and nothing on it is encrypted yet: who reads along "
            "can take the cluster over. Say --insecure if you trust everybody on that network."
        )


def _surroundings(access: AccessFile, config: Config) -> dict[str, Any]:
    """What every worker is told about the scheduler and about us."""
    return {
        "address": str(access.address),
        "client_key": access.client_key.hex(),
        "worker_key": access.worker_key.hex(),
        "directory": "",
        "sys_path": [entry or str(Path.cwd()) for entry in sys.path],
        "cwd": str(Path.cwd()),
        "environ": dict(os.environ),
        "config": config.as_dict(),
    }


if __name__ == "__main__":
    main()
