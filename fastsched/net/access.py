"""How a cluster is joined: access files, the keys in them, and directories for Unix sockets.

One concern: what is on disk before a server listens. An access file is what ``fastsched-scheduler`` writes and
everybody else reads: the address and the two keys, readable by its owner only. Called by the command line, by clients
and by local clusters; workers are told what they need. Opens no socket.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from fastsched.errors import AddressError
from fastsched.net.address import UNIX_PATH_BYTES, Address, is_host_and_port, parse
from fastsched.wire.messages import Role

__all__ = ["AccessFile", "fresh_keys", "locate", "looks_like_address", "private_directory"]

KEY_BYTES = 32
_SOCKET_NAME_BYTES = 40  # room that a private directory leaves for the names of sockets in it
_ROOT = 0


def private_directory() -> str:
    """Make a directory that nobody else can enter (mode 0700), with a path short enough for Unix sockets in it."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        directory = tempfile.mkdtemp(prefix="fastsched-", dir=parent)
        if len(os.fsencode(directory)) + 1 + _SOCKET_NAME_BYTES <= UNIX_PATH_BYTES:
            return directory
        Path(directory).rmdir()
    raise AddressError(f"{directory!r} is too long a path for Unix sockets")


def fresh_keys() -> dict[Role, bytes]:
    """Two new random keys, one that clients prove to know and one for workers."""
    return {Role.CLIENT: secrets.token_bytes(KEY_BYTES), Role.WORKER: secrets.token_bytes(KEY_BYTES)}


class AccessFile(NamedTuple):
    """What one needs to join a cluster.

    Never print it: whoever knows the keys can run code in the cluster.
    """

    address: Address
    client_key: bytes
    worker_key: bytes
    version: str  # of the scheduler's fastsched
    pid: int
    host: str  # where that pid means something

    def __repr__(self) -> str:
        return f"AccessFile({self.address}, version={self.version!r}, pid={self.pid}, host={self.host!r})"

    @classmethod
    def create(cls, address: Address, keys: dict[Role, bytes], version: str) -> AccessFile:
        """The access file of a scheduler in this process."""
        return cls(address, keys[Role.CLIENT], keys[Role.WORKER], version, os.getpid(), socket.gethostname())

    @property
    def keys(self) -> dict[Role, bytes]:
        """What each role has to know."""
        return {Role.CLIENT: self.client_key, Role.WORKER: self.worker_key}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Put the file in place at once, readable by its owner only; a file that is there is replaced.

        Raises
        ------
        AddressError
            It cannot be written there.
        """
        target = Path(path)
        fields = self._asdict() | {
            "address": str(self.address),
            "client_key": self.client_key.hex(),
            "worker_key": self.worker_key.hex(),
        }
        try:
            # mkstemp makes the file with mode 0600, so that there is no moment in which others can read it.
            fd, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
            try:
                with os.fdopen(fd, "w", encoding="utf-8") as file:
                    json.dump(fields, file, indent=2)
                    file.write("\n")
                Path(temporary).replace(target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise AddressError(f"cannot write the access file {str(target)!r}: {error.strerror}") from error

    def remove(self, path: str | os.PathLike[str]) -> None:
        """Take the file away, unless another scheduler has replaced it."""
        try:
            if AccessFile.read(path) == self:
                Path(path).unlink(missing_ok=True)
        except AddressError:  # somebody else's, or gone
            return

    @classmethod
    def read(cls, path: str | os.PathLike[str], stale: bool = False) -> AccessFile:
        """Read an access file; with `stale` also one whose scheduler has ended without taking it away.

        Raises
        ------
        AddressError
            It is not there, cannot be read, belongs to somebody else, could be read by others, is no access file, or
            the scheduler that wrote it on this machine has ended.
        """
        name = repr(os.fspath(path))
        try:
            with Path(path).open("rb") as file:
                _check_private(os.fstat(file.fileno()), name)
                fields = json.loads(file.read(1 << 16))
        except FileNotFoundError:
            raise AddressError(
                f"there is no access file {name}: fastsched-scheduler writes it when it starts"
            ) from None
        except OSError as error:
            raise AddressError(f"cannot read the access file {name}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise AddressError(f"{name} is no access file: {error}") from None
        access = cls._from_fields(fields, name)
        if not stale and access.host == socket.gethostname() and not _is_alive(access.pid):
            raise AddressError(
                f"the access file {name} is stale: the scheduler that wrote it (pid {access.pid}) has ended"
            )
        return access

    @classmethod
    def _from_fields(cls, fields: Any, name: str) -> AccessFile:
        try:
            access = cls(
                parse(fields["address"]),
                bytes.fromhex(fields["client_key"]),
                bytes.fromhex(fields["worker_key"]),
                str(fields["version"]),
                int(fields["pid"]),
                str(fields["host"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise AddressError(f"{name} is no access file: {type(error).__name__}: {error}") from None
        if len(access.client_key) != KEY_BYTES or len(access.worker_key) != KEY_BYTES:
            raise AddressError(f"{name} is no access file: its keys have the wrong length")
        return access


def looks_like_address(text: str) -> bool:
    """Whether a person meant an address, not the path of a file."""
    return "://" in text or (is_host_and_port(text) and not Path(text).exists())


def locate(text: str | os.PathLike[str]) -> AccessFile:
    """What a person gave to say which cluster: the path of an access file.

    Raises
    ------
    AddressError
        It is a mere address, which has no keys; or see `AccessFile.read`.
    """
    name = os.fspath(text)
    if looks_like_address(name):
        raise AddressError(
            f"{parse(name)} alone is not enough: give the access file that fastsched-scheduler wrote, it has the keys"
        )
    return AccessFile.read(name)


def _check_private(status: os.stat_result, name: str) -> None:
    """Refuse what others can read (they know the keys) or have written (they choose where we send our code)."""
    if status.st_uid not in (os.geteuid(), _ROOT):
        raise AddressError(f"the access file {name} belongs to another user")
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise AddressError(
            f"the access file {name} can be read by others (mode {mode:04o}, must be 0600): "
            "its keys are no secret any more, restart the scheduler"
        )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
