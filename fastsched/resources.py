"""What this machine has: cores, and memory; how much of it a process uses, and what a limit means.

One concern: these questions, answered without a library. Asked by local clusters, by ``fastsched-worker`` and by
the fork helper, before anything heavy is imported. Imports nothing of fastsched.
"""

from __future__ import annotations

import os

__all__ = ["AUTO", "can_measure", "cores", "limit_of", "parse_bytes", "shown", "total_bytes", "used_bytes"]

_DECIMAL = {
    prefix + suffix: 1000**power for power, prefix in enumerate(("", "k", "m", "g", "t")) for suffix in ("", "b")
}
_BINARY = {f"{prefix}ib": 1024**power for power, prefix in enumerate(("k", "m", "g", "t"), start=1)}
_UNITS = _DECIMAL | _BINARY

AUTO = "auto"

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def limit_of(limit: str | float | None, nthreads: int, cores: int) -> int:
    """A worker's limit in bytes, 0: none; follows ``dask.distributed``'s ``parse_memory_limit``.

    Parameters
    ----------
    limit : str, float, int or None
        ``"auto"``: the share of this machine's memory that the worker's threads are of its cores; a fraction up to 1 of
        that memory; bytes, also as a text with a unit (``"4GB"``, ``"500MiB"``); 0 or None: no limit. Never more than
        there is.
    nthreads, cores : int
        Of the worker, and of the machine.

    Raises
    ------
    ValueError
        This is no limit.

    Examples
    --------
    >>> limit_of("1kB", 1, 4), limit_of(0, 1, 4), limit_of(None, 1, 4)
    (1000, 0, 0)
    >>> limit_of("auto", 1, 4) == total_bytes() // 4
    True
    """
    if limit is None or isinstance(limit, bool):
        if limit:
            raise ValueError(_complaint(limit))
        return 0
    if isinstance(limit, str):
        if limit.strip().lower() == AUTO:
            return int(total_bytes() * min(1.0, nthreads / cores))
        limit = _number(limit)
    if not limit >= 0 or limit == float("inf"):
        raise ValueError(_complaint(limit))
    if limit <= 1:
        return int(limit * total_bytes())
    return min(int(limit), total_bytes())


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return parse_bytes(text)


def _complaint(limit: object) -> str:
    return f"{limit!r} is no memory limit such as 'auto', 4GiB, 500MB, 1000000, 0.5 (of this machine's) or 0 (none)"


def parse_bytes(text: str) -> int:
    """A number of bytes, with a decimal (kB, MB, GB) or binary unit (KiB, MiB, GiB) or none.

    Raises
    ------
    ValueError
        This is none.

    Examples
    --------
    >>> parse_bytes("1.5 GiB"), parse_bytes("20k"), parse_bytes("7")
    (1610612736, 20000, 7)
    """
    number = text.strip().rstrip("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text.strip()[len(number) :].lower()
    try:
        if unit not in _UNITS:
            raise ValueError
        value = float(number) * _UNITS[unit]
        if not 0 <= value < 1 << 63:
            raise ValueError
        return int(value)
    except ValueError:
        raise ValueError(_complaint(text)) from None


def shown(nbytes: float) -> str:
    """Bytes for people.

    Examples
    --------
    >>> shown(1_234_000_000), shown(999), shown(64_000_000)
    ('1.23 GB', '999 B', '64 MB')
    """
    for unit, power in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if nbytes >= power:
            return f"{nbytes / power:.2f}".rstrip("0").rstrip(".") + f" {unit}"
    return f"{nbytes} B"


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def total_bytes() -> int:
    """The memory of this machine, or of the container that this process is in."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in _CGROUPS:
        try:
            with open(path) as file:
                total = min(total, int(file.read()))
        except (OSError, ValueError):  # no such limit: it says "max", or there is no such file
            continue
    return total


_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def used_bytes(pid: int) -> int:
    """The resident memory of a process; 0 if it has ended, or if this system cannot say (`can_measure`)."""
    try:
        with open(f"/proc/{pid}/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def can_measure() -> bool:
    """Whether the memory of other processes is to be had here: Linux has it in ``/proc``."""
    return used_bytes(os.getpid()) > 0
