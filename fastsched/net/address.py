"""Where a server listens, as text and as a file: addresses, access files, and directories for Unix sockets.

One concern: names of places. Called by everything that listens, connects or is started by a person. Opens no socket;
imports errors and the roles of the wire.

An address is ``unix:///path`` or ``tcp://host:port``; people may leave the ``tcp://`` out. An access file is what
``fastsched-scheduler`` writes and everybody else reads: the address and the two keys, readable by its owner only.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import socket
import stat
import sys
import tempfile
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from fastsched.errors import AddressError
from fastsched.wire.messages import Role

__all__ = [
    "AccessFile",
    "Address",
    "Scheme",
    "fresh_keys",
    "locate",
    "looks_like_address",
    "parse",
    "private_directory",
    "unix_address",
]

KEY_BYTES = 32
UNIX_PATH_BYTES = 107 if sys.platform == "linux" else 103  # sizeof(sun_path) less the final zero
_SOCKET_NAME_BYTES = 40  # room that a private directory leaves for the names of sockets in it
_ROOT = 0
_PORTS = range(1 << 16)
_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:/\[\]]+):(?P<port>[0-9]{1,5})")


class Scheme(StrEnum):
    """How to get there."""

    UNIX = "unix"
    TCP = "tcp"


class Address(NamedTuple):
    """One place to listen at or connect to; ``str()`` is what `parse` reads."""

    scheme: Scheme
    host: str  # "" for Unix sockets
    port: int  # 0: any free one, when listening
    path: str  # "" for TCP

    def __str__(self) -> str:
        if self.scheme is Scheme.UNIX:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can get there: a Unix socket, a loopback address."""
        if self.scheme is Scheme.UNIX or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name: where it leads may change
            return False


def parse(text: str) -> Address:
    """Read an address.

    Raises
    ------
    AddressError
        It is none; the message shows what one looks like.
    """
    scheme, separator, rest = text.strip().rpartition("://")
    if scheme == Scheme.UNIX:
        return unix_address(rest)
    match = _HOST_PORT.fullmatch(rest)
    if (
        scheme not in (Scheme.TCP, "")
        or (separator and not scheme)
        or match is None
        or int(match["port"]) not in _PORTS
    ):
        raise AddressError(f"{text!r} is no address: 'tcp://host:port', 'host:port' or 'unix:///path' are")
    return Address(Scheme.TCP, match["host"].strip("[]"), int(match["port"]), "")


def unix_address(path: str | os.PathLike[str]) -> Address:
    """The address of a Unix socket at `path`.

    Raises
    ------
    AddressError
        The path is relative, or longer than the system allows.
    """
    text = os.fspath(path)
    if not text.startswith("/"):
        raise AddressError(f"the path of a Unix socket must be absolute, not {text!r}")
    if len(os.fsencode(text)) > UNIX_PATH_BYTES:
        raise AddressError(f"the path of a Unix socket must not be longer than {UNIX_PATH_BYTES} bytes: {text!r}")
    return Address(Scheme.UNIX, "", 0, text)


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
    def read(cls, path: str | os.PathLike[str]) -> AccessFile:
        """Read an access file.

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
        if access.host == socket.gethostname() and not _is_alive(access.pid):
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
    return "://" in text or (_HOST_PORT.fullmatch(text) is not None and not Path(text).exists())


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
