"""Where a server listens, as text: ``unix:///path`` or ``tcp://host:port``; people may leave the ``tcp://`` out.

One concern: names of places. Called by everything that listens or connects. Opens no socket; imports errors. Each
worker loads it at its start, so what only access files need stands in `fastsched.net.access`.
"""

from __future__ import annotations

import os
import re
import sys
from enum import StrEnum
from typing import NamedTuple

from fastsched import _late
from fastsched.errors import AddressError

__all__ = ["UNIX_PATH_BYTES", "Address", "Scheme", "is_host_and_port", "parse", "unix_address"]

UNIX_PATH_BYTES = 107 if sys.platform == "linux" else 103  # sizeof(sun_path) less the final zero
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
            return bool(_late.ipaddress().ip_address(self.host).is_loopback)
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


def is_host_and_port(text: str) -> bool:
    """Whether this is ``host:port``."""
    return _HOST_PORT.fullmatch(text) is not None
