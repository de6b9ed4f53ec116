"""``fastsched-scheduler``: a scheduler in a process of its own.

One concern: from options to a running `SchedulerServer`, and its orderly end. The scheduler listens on TCP and writes
an access file with the address and new keys; whoever can read that file can join the cluster.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import platform
import secrets
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from fastsched._version import __version__
from fastsched.cli.options import DURATION, LOG_LEVEL
from fastsched.cli.process import run_until_told
from fastsched.config import Config
from fastsched.errors import AddressError, ConnectError, FastschedError
from fastsched.net.access import AccessFile, fresh_keys
from fastsched.net.address import Address, Scheme
from fastsched.net.connect import connect
from fastsched.scheduler.server import SchedulerServer
from fastsched.wire.messages import Role

__all__ = ["main"]

PROBE_SECONDS = 2.0  # for a scheduler that an access file names to prove that it is alive
EPOCHS = 1 << 30  # among which a scheduler chooses the first generation of its ids
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
    left = await _left_behind(path, config)
    loop, name, epoch = asyncio.get_running_loop(), f"scheduler-{platform.node()}", 1 + secrets.randbelow(EPOCHS)
    server = SchedulerServer(config, loop, name, epoch=epoch, successor=left is not None)
    keys = fresh_keys() if left is None else left.keys
    try:
        found = await _listen(server, address, left, keys, insecure)
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


async def _listen(
    server: SchedulerServer, address: Address, left: AccessFile | None, keys: dict[Role, bytes], insecure: bool
) -> Address:
    """Where a person said; if any port will do, at that of the scheduler before."""
    if left is not None and not address.port:
        with contextlib.suppress(ConnectError):  # somebody else has it now
            return await server.start(address._replace(port=left.address.port), keys, insecure=insecure)
    return await server.start(address, keys, insecure=insecure)


async def _left_behind(path: Path, config: Config) -> AccessFile | None:
    """What a scheduler has left that ended without taking its file away: its clients and workers may look for us.

    Clients of one that runs would find themselves here: its file is refused.
    """
    try:
        access = AccessFile.read(path, stale=True)
    except FastschedError:  # no such file, or one that anybody may have read
        return None
    try:
        connection = await connect(access.address, Role.CLIENT, access.client_key, config, PROBE_SECONDS)
    except FastschedError:  # nobody there any more
        return access
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
