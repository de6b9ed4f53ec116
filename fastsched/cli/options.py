"""Kinds of option values that click does not have.

One concern: from a text to a number with a unit. Called by the commands; imports durations.
"""

from __future__ import annotations

import re

import click

from fastsched.timing import seconds

__all__ = ["BYTES", "DURATION", "LOG_LEVEL"]

_DECIMAL = {
    prefix + suffix: 1000**power for power, prefix in enumerate(("", "k", "m", "g", "t")) for suffix in ("", "b")
}
_BINARY = {f"{prefix}ib": 1024**power for power, prefix in enumerate(("k", "m", "g", "t"), start=1)}
_UNITS = _DECIMAL | _BINARY
_SIZE = re.compile(r"\s*(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>[a-zA-Z]*)\s*")


class Bytes(click.ParamType):  # type: ignore[type-arg,unused-ignore]  # generic since click 8.2
    """A number of bytes, with a decimal (kB, MB, GB) or binary unit (KiB, MiB, GiB) or none."""

    name = "bytes"

    def convert(self, value: str | int, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType.convert`."""
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(value)
        if match is None or match["unit"].lower() not in _UNITS:
            self.fail(f"{value!r} is no number of bytes such as 4GiB, 500MB or 1000000", param, ctx)
        return int(float(match["number"]) * _UNITS[match["unit"].lower()])


class Duration(click.ParamType):  # type: ignore[type-arg,unused-ignore]
    """A time span, as `fastsched.timing.seconds` reads it."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        try:
            span = seconds(value)
        except ValueError:
            span = None
        if span is None:
            self.fail(f"{value!r} is no duration such as 90, 500ms or 10min", param, ctx)
        return span


BYTES = Bytes()
DURATION = Duration()
LOG_LEVEL = click.Choice(["debug", "info", "warning", "error"])
