"""``fastsched-scheduler``: a scheduler in a process of its own.

One concern: from options to a running `SchedulerServer`, and its orderly end. The scheduler listens on TCP and writes
an access file with the address and new keys; whoever can read that file can join the cluster.
"""

from __future__ import annotations

import asyncio
import gc
import platform
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from fastsched._version import __version__
from fastsched.cli.options import DURATION, LOG_LEVEL
from fastsched.cli.process import run_until_told
from fastsched.config import Config
from fastsched.errors import AddressError, FastschedError
from fastsched.net.access import AccessFile, fresh_keys
from fastsched.net.address import Address, Scheme
from fastsched.net.connect import connect
from fastsched.scheduler.server import SchedulerServer
from fastsched.wire.messages import Role

__all__ = ["main"]

PROBE_SECONDS = 2.0  # for a scheduler that an access file names to prove that it is alive
IDLE_LOOKS = 8  # looks for work within one idle timeout
ANY_HOST = ("0.0.0.0", "::")
GC_THRESHOLDS = (100_000, 20, 100)  # what comes and goes here is messages, in which there are no cycles


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--host", default="127.0.0.1", help="Where to listen: an address or name of this machine.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where to listen; 0 takes a free port.")
@click.option(
    "--access-file",
    type=click.Path(dir_okay=False, path_type=Path),
    default="fastsched.json",
    help="Where to write address and keys, for you alone to read; clients and workers need it.",
)
@click.option("--idle-timeout", type=DURATION, help="End after so long without an unfinished task, such as 10min.")
@click.option("--insecure", is_flag=True, help="Listen for other machines although nothing is encrypted yet.")
@click.option("--log-level", type=LOG_LEVEL, default="warning", help="What to tell on standard error.")
@click.version_option(__version__, prog_name="fastsched-scheduler")
def main(host: str, port: int, access_file: Path, idle_timeout: float | None, insecure: bool, log_level: str) -> None:
    """Run a scheduler until it is told to stop: by Ctrl-C, by SIGTERM, or by a client's shutdown().

    Workers join it with `fastsched-worker ACCESS_FILE`, programs with `Client("ACCESS_FILE")`.
    """
    address = Address(Scheme.TCP, host, port, "")
    if not address.is_local and not insecure:
        raise click.UsageError(
            f"--host {host} can be reached from other machines, and nothing on the way is encrypted yet: who reads "
            "along can take the cluster over. Say --insecure if you trust everybody on that network."
        )
    sys.exit(run_until_told(_serve(address, access_file, idle_timeout, insecure), log_level))


async def _serve(address: Address, path: Path, idle_timeout: float | None, insecure: bool) -> int:
    config = Config.from_environment()
    await _refuse_a_taken_file(path, config)
    server = SchedulerServer(config, asyncio.get_running_loop(), f"scheduler-{platform.node()}")
    keys = fresh_keys()
    try:
        found = await server.start(address, keys, insecure=insecure)
        if found.host in ANY_HOST:
            found = found._replace(host=platform.node())
        access = AccessFile.create(found, keys, __version__)
        access.write(path)
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        try:
            click.echo(f"fastsched scheduler {__version__} listens at {found}")
            click.echo(f"access file: {path.absolute()}")
            await _first_of(server.closed.wait(), _idle(server, idle_timeout))
        finally:
            access.remove(path)
    finally:
        await server.close()
    return 0


async def _refuse_a_taken_file(path: Path, config: Config) -> None:
    """Clients of another scheduler that read this file would find themselves here."""
    try:
        access = AccessFile.read(path)
        connection = await connect(access.address, Role.CLIENT, access.client_key, config, PROBE_SECONDS)
    except FastschedError:  # no such file, or nobody there any more
        return
    connection.sock.close()
    raise AddressError(
        f"the access file {str(path)!r} is that of a running scheduler at {access.address} (pid {access.pid} "
        f"on {access.host}): choose another with --access-file"
    )


async def _first_of(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Wait for the first of these; the others are cancelled."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _idle(server: SchedulerServer, timeout: float | None) -> None:
    """Returns once no task has been unfinished for `timeout` seconds, as far as some looks can tell."""
    quiet = 0
    while timeout is None or quiet < IDLE_LOOKS:
        await asyncio.sleep((timeout or 3600.0) / IDLE_LOOKS)
        busy = next(server.machine.books.unfinished(), None) is not None
        quiet = 0 if busy else quiet + 1
    click.echo(f"no unfinished task for {timeout:g} s: the scheduler ends")


if __name__ == "__main__":
    main()
