"""``fastsched-worker``: worker processes that join a scheduler.

One concern: from options and an access file to a `Crew` of workers. They are forked by a helper (`fastsched.spawn`),
in process groups of their own: Ctrl-C reaches this process alone, and it stops them.
"""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from pathlib import Path
from typing import Any

import click

from fastsched._version import __version__
from fastsched.cli.crew import Crew
from fastsched.cli.options import BYTES, DURATION, LOG_LEVEL
from fastsched.cli.process import run_until_told
from fastsched.config import Config
from fastsched.errors import AddressError
from fastsched.net.access import AccessFile, locate, looks_like_address
from fastsched.net.address import Address, Scheme
from fastsched.spawn.supervisor import Helper

__all__ = ["main"]

LOOK_SECONDS = 0.1  # between looks for an access file that is not there yet


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
    type=BYTES,
    default="0",
    help="Of each worker, such as 4GiB; not enforced yet.",
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
    memory_limit: int,
    listen: str | None,
    insecure: bool,
    wait: float,
    log_level: str,
) -> None:
    """Run workers for the scheduler that wrote ACCESS_FILE, until it ends or we are told to stop.

    A worker process that dies is replaced. One that is told to stop (SIGTERM, SIGINT) hands its tasks back and is not.
    """
    settings = {
        "nthreads": nthreads or max(1, _cores() // nworkers),
        "memory_limit": memory_limit,
        "listen": listen or "",
        "insecure": insecure,
    }
    base = name or f"{platform.node()}-{os.getpid()}"
    sys.exit(run_until_told(_work(access_file, wait, settings, base, nworkers), log_level))


async def _work(access_file: str, wait: float, settings: dict[str, Any], name: str, nworkers: int) -> int:
    config = Config.from_environment()
    helper = Helper.start()  # it imports what workers need while we look for the scheduler
    try:
        access = await _find(access_file, wait)
        for address in (access.address, Address(Scheme.TCP, settings["listen"] or "localhost", 0, "")):
            _refuse_strangers(address, settings["insecure"])
        return await Crew(helper, config, settings | _surroundings(access, config), name, nworkers).work()
    finally:
        helper.close(config.close_seconds)


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


def _cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    main()
