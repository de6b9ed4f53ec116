"""Every default of fastsched, with its unit and its reason.

Imports nothing of fastsched. A `Config` is built once where a server or client is made and handed down; nothing reads
the environment later. Each field can be set by an environment variable: ``FASTSCHED_`` + the field's name in capitals
(``FASTSCHED_INLINE_BYTES=1024``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

__all__ = ["Config"]

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Config:
    """All limits and policies.

    Raises
    ------
    TypeError, ValueError
        If a field, or an environment variable, does not hold a number of its kind, or a negative one.
    """

    # -- wire: what a peer may make us hold -------------------------------------------------------------------------
    frame_bytes: int = 64 * MIB  # one frame on a stream; larger buffers travel in chunks of this size at most
    control_bytes: int = 256 * MIB  # a message without its buffers: a batch of 10,000 tasks with 16 KiB each fits
    message_bytes: int = 16 * GIB  # all buffers of one message; memory grows only as bytes arrive
    message_buffers: int = 65_536  # out-of-band buffers of one message
    array_items: int = 1 << 20  # items of one msgpack array
    map_items: int = 1 << 16  # items of one msgpack map
    depth: int = 32  # nesting of msgpack arrays and maps
    attach_bytes: int = 16 * KIB  # buffers from this size on travel beside the control frame, uncopied
    batch_items: int = 10_000  # tasks or reports in one message; longer batches are split
    functions: int = 10_000  # interned functions per connection; the oldest go first

    # -- handshake and connections ------------------------------------------------------------------------------------
    handshake_seconds: float = 2.0  # who has not proved by then to know the key is put out
    half_open: int = 64  # peers in the handshake at once; more wait in the kernel's queue
    connect_seconds: float = 10.0  # dask's comm timeout is 30 s; ours is for loopback and racks
    high_water_bytes: int = 64 * MIB  # a peer with more unsent bytes than this is not read from
    low_water_bytes: int = 16 * MIB  # and is read from again below this

    # -- values -------------------------------------------------------------------------------------------------------
    inline_bytes: int = 64 * KIB  # results up to this size travel inside messages
    inline_budget: int = 64 * MIB  # of them, unreleased, per client
    retain_budget: int = 256 * MIB  # small results that the scheduler keeps beside the worker's copy

    # -- scheduling ---------------------------------------------------------------------------------------------------
    allowed_failures: int = 3  # workers that may die under a task before it is WorkerLost (dask: allowed-failures)
    prefill_seconds: float = 0.005  # work that is sent ahead of a worker's free slots, by measured run time
    prefill_unknown: int = 1  # tasks sent ahead per slot while a function's run time is unknown
    prefill_most: int = 64  # tasks sent ahead per slot at the most
    locality_bytes: int = 1 * MIB  # inputs from this size on decide where a task runs

    # -- workers ------------------------------------------------------------------------------------------------------
    switch_interval: float = 0.0002  # seconds; the worker's I/O thread must get the GIL soon
    start_seconds: float = 30.0  # a worker process that has not registered by then counts as dead at start
    start_failures: int = 3  # worker processes that die at start, in a row, before supervision gives up
    lost_seconds: float = 0.1  # how long an ended connection waits for the supervisor to say how the process died
    close_seconds: float = 2.0  # from asking a worker to stop to killing it

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = (int,) if isinstance(field.default, int) else (int, float)
            if isinstance(value, bool) or not isinstance(value, kinds):
                raise TypeError(f"{field.name} must be a number such as {field.default}, not {value!r}")
            if not value >= 0:
                raise ValueError(f"{field.name} must not be negative: {value}")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, **overrides: float) -> Config:
        """The defaults, overridden by ``FASTSCHED_*`` variables, overridden by keyword arguments."""
        known: dict[str, type] = {field.name: type(field.default) for field in fields(cls)}
        values: dict[str, float] = {}
        for name, kind in known.items():
            text = environ.get("FASTSCHED_" + name.upper())
            if text is not None:
                try:
                    values[name] = kind(text)
                except ValueError:
                    raise ValueError(f"FASTSCHED_{name.upper()} must be a number, not {text!r}") from None
        values.update(overrides)
        return cls(**values)  # type: ignore[arg-type]

    def as_dict(self) -> dict[str, float]:
        """All fields, for a process that is to have the same configuration: ``Config(**config.as_dict())``."""
        return asdict(self)
